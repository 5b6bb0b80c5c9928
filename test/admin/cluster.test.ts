// The routes of whoever runs the cluster: what is told, what is asked of the metadata, and what a refusal looks like.
import { expect, test } from 'vitest';
import type { ClusterFacts, ClusterNode } from '../../src/admin/ports.ts';
import { adminHandler } from '../../src/admin/routes.ts';
import { infoLines, problemsOf } from '../../src/cli/cluster.ts';
import type { MetadataResult } from '../../src/cluster/ports.ts';
import { encodeUtf8 } from '../../src/std/utf8.ts';

function nodeOf(id: number, more: Partial<ClusterNode> = {}): ClusterNode {
  const counts = { leaderCount: 1, preferredCount: 1, replicaCount: 2, outOfSyncCount: 0 };
  const state = { isLive: true, isLeaving: false };
  return { id, role: 'disk', rack: undefined, address: `h:${id}`, ...state, ...counts, ...more };
}

function world(result: MetadataResult = { kind: 'ok', version: 9 }) {
  const asked: unknown[][] = [];
  const facts: ClusterFacts = {
    nodes: [
      nodeOf(1),
      nodeOf(2, { isLeaving: true, rack: 'r' }),
      nodeOf(3, { isLeaving: true, replicaCount: 0 }),
      nodeOf(4, { isLive: false }),
    ],
    removed: [5],
    reassignments: [
      { destination: 't', partition: 0, replicas: [1, 4, 2], adding: [4], removing: [2] },
    ],
    settings: [['replica.replace.after.ms', 600_000]],
    profile: 'classic-kafka',
    isRebalancing: false,
  };
  const note =
    (name: string) =>
    async (...args: unknown[]) => {
      asked.push([name, ...args.slice(0, -1)]);
      return result;
    };
  const operations = ['reassign', 'drainNode', 'removeNode', 'set'];
  const handler = adminHandler({
    view: {
      clusterId: 'c',
      controllerId: 1,
      destination: (name: string) => (name === 't' ? { logs: [{ logId: 7 }] } : undefined),
    },
    cluster: Object.fromEntries(operations.map((name) => [name, note(name)])),
    clusterFacts: () => facts,
  } as never);
  const send = async (method: string, path: string, body?: object) => {
    const bytes = body === undefined ? new Uint8Array(0) : encodeUtf8(JSON.stringify(body));
    const answer = await handler({ method, path, query: new Map(), body: bytes } as never);
    return { status: answer.status, body: JSON.parse(String(answer.body)) };
  };
  return { asked, send };
}

test('says who the nodes are, in what state, and what moves', async () => {
  const { send } = world();
  const { status, body } = await send('GET', '/api/cluster');
  expect(status).toBe(200);
  expect(body.nodes.map(({ state }: { state: string }) => state)).toEqual([
    'live',
    'draining',
    'drained',
    'dead',
  ]);
  expect(body).toMatchObject({
    removedNodes: [5],
    settings: { 'replica.replace.after.ms': 600_000 },
  });
  expect(body.reassignments[0]).toMatchObject({ destination: 't', adding: [4], removing: [2] });
  const lines = infoLines(body).join('\n');
  expect(lines).toContain('draining');
  expect(lines).toMatch(/t-0 +1,4,2 +4 +2/);
  const sound = {
    leaderlessCount: 0,
    underReplicatedCount: 1,
    controllerId: 1,
    isDiskShort: false,
  };
  expect(problemsOf({ ...sound, nodeId: 1 } as never, body)).toEqual([
    '1 logs lack an in-sync replica',
    'node 4 is dead',
  ]);
});

test('changes are asked of the metadata as they are meant', async () => {
  const { asked, send } = world();
  await send('POST', '/api/cluster/reassign', { destination: 't', replicas: [1, 2, 4] });
  await send('POST', '/api/cluster/reassign', { destination: 't', partition: 0, replicas: null });
  await send('POST', '/api/cluster/nodes/2/drain');
  await send('POST', '/api/cluster/nodes/2/drain', { cancel: true });
  await send('POST', '/api/cluster/nodes/3/remove');
  await send('POST', '/api/cluster/rebalance');
  await send('POST', '/api/cluster/settings', { name: 'x', value: 5 });
  expect((await send('POST', '/api/cluster/settings', { name: 'x', value: null })).status).toBe(
    200,
  );
  expect(asked).toEqual([
    ['reassign', 7, [1, 2, 4]],
    ['reassign', 7, []],
    ['drainNode', 2, true],
    ['drainNode', 2, false],
    ['removeNode', 3],
    ['set', 'rebalance', 'requested'],
    ['set', 'x', '5'],
    ['set', 'x', undefined],
  ]);
});

test.each([
  ['GET', '/api/cluster/rebalance', undefined, 405],
  ['POST', '/api/cluster', undefined, 405],
  ['POST', '/api/cluster/reassign', { destination: 'gone', replicas: [1] }, 404],
  ['POST', '/api/cluster/reassign', { destination: 't', replicas: [] }, 400],
  ['POST', '/api/cluster/reassign', { destination: 't', replicas: ['a'] }, 400],
  ['POST', '/api/cluster/nodes/2/drain', { force: true }, 400],
  ['POST', '/api/cluster/settings', { name: 'x' }, 400],
])('%s %s with %j is %i, and changes nothing', async (method, path, body, status) => {
  const { asked, send } = world();
  expect((await send(method, path, body)).status).toBe(status);
  expect(asked).toEqual([]);
});

test.each([
  [{ kind: 'refused', code: 'last-in-sync', message: 'why' }, 409, 'CLUSTER_LAST_IN_SYNC'],
  [{ kind: 'refused', code: 'unknown-node', message: 'why' }, 404, 'CLUSTER_UNKNOWN_NODE'],
  [{ kind: 'unavailable', message: 'why' }, 503, 'METADATA_UNAVAILABLE'],
] as const)('a refusal (%j) is told with its reason', async (result, status, code) => {
  const { send } = world(result);
  const answer = await send('POST', '/api/cluster/nodes/2/drain');
  expect(answer).toEqual({ status, body: { error: { code, message: 'why' } } });
});
