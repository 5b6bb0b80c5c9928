// The replicas of a destination's logs over HTTP, and elections that are asked for there.
import { expect, test } from 'vitest';
import { adminHandler } from '../../src/admin/routes.ts';
import { replicaLines } from '../../src/cli/topic.ts';
import type { LogStatus, MetadataResult } from '../../src/cluster/ports.ts';
import { encodeUtf8 } from '../../src/std/utf8.ts';

function status(role: LogStatus['role'], endOffset: number, committedOffset: number): LogStatus {
  const nothing = { uncleanFrom: -1, lostFrom: -1, lostCommittedTo: -1, lostTo: -1 };
  const seqs = { lastEpoch: 3, endSeq: endOffset, committedSeq: committedOffset };
  return {
    logId: 7,
    role,
    epoch: 3,
    startOffset: 1,
    endOffset,
    committedOffset,
    ...seqs,
    ...nothing,
  };
}

function world(log: object = {}, result: MetadataResult = { kind: 'ok', version: 1 }) {
  const asked: unknown[] = [];
  const statuses = new Map([
    [1, status('leader', 10, 8)],
    [2, status('follower', 9, 7)],
    [3, status('failed', 4, 4)],
  ]);
  const view = {
    logId: 7,
    partition: 0,
    leader: 1,
    epoch: 3,
    replicas: [1, 2, 3, 4, 5],
    isr: [1, 2],
    offline: [4],
    minInsync: 2,
    ...log,
  };
  const note = (name: string) => async (what: unknown) => {
    asked.push([name, what]);
    return result;
  };
  const handler = adminHandler({
    view: {
      destination: (name: string) => (name === 't' ? { name, logs: [view] } : undefined),
      log: () => view,
    },
    cluster: { preferLeaders: note('prefer'), allowUnclean: note('unclean') },
    clusterFacts: () => ({ nodes: [], removed: [], reassignments: [], settings: [] }),
    replicaStatus: async () => ({
      leaders: new Map([[7, statuses.get(1)!]]),
      all: new Map([[7, statuses]]),
      failed: new Map([[7, [3]]]),
    }),
  } as never);
  const send = async (method: string, path: string, body?: object) => {
    const bytes = body === undefined ? new Uint8Array(0) : encodeUtf8(JSON.stringify(body));
    const parts = path.split('/').slice(1);
    const answer = await handler({ method, path, parts, query: new Map(), body: bytes } as never);
    return { status: answer.status, body: JSON.parse(String(answer.body)) };
  };
  return { asked, send };
}

test('says who is assigned, in sync and not, how far each reaches and how far behind it is', async () => {
  const { send } = world();
  const { body } = await send('GET', '/api/topics/t/replicas');
  expect(body.partitions[0]).toMatchObject({
    assigned: [1, 2, 3, 4, 5],
    inSync: [1, 2],
    outOfSync: [3, 4, 5],
    highWatermark: 8,
    endOffset: 10,
    uncleanFrom: null,
  });
  const shown = body.partitions[0].replicas.map((each: Record<string, unknown>) => [
    each['state'],
    each['highWatermark'],
    each['endOffset'],
    each['lag'],
  ]);
  expect(shown).toEqual([
    ['leader', 8, 10, 0],
    ['in sync', 7, 9, 1],
    ['failed', 4, 4, 6],
    ['offline', null, null, null],
    ['silent', null, null, null],
  ]);
  expect(replicaLines(body)[1]).toMatch(/^t-0 +3 +1,2 +3,4,5 +1 +leader +1 +8 +10 +0$/);
  expect((await send('GET', '/api/topics/u/replicas')).status).toBe(404);
  expect((await send('POST', '/api/topics/t/replicas')).status).toBe(405);
});

test('elections: by the first replica or, where nobody leads, by whoever reaches furthest', async () => {
  const elect = { destination: 't' };
  const led = world({ leader: 2 });
  expect((await led.send('POST', '/api/cluster/elect', elect)).status).toBe(200);
  expect(led.asked).toEqual([['prefer', [7]]]);
  for (const unfit of [{ isr: [2] }, { offline: [1] }]) {
    const behind = world({ leader: 2, ...unfit });
    const answer = await behind.send('POST', '/api/cluster/elect', elect);
    expect([answer.status, answer.body.error.code]).toEqual([409, 'CLUSTER_NOT_IN_SYNC']);
    expect(behind.asked).toEqual([]);
  }
  const unclean = { destination: 't', unclean: true };
  const refused = await led.send('POST', '/api/cluster/elect', unclean);
  expect([refused.status, refused.body.error.code]).toEqual([409, 'CLUSTER_ELECTION_NOT_NEEDED']);
  const offline = world({ leader: -1 });
  expect((await offline.send('POST', '/api/cluster/elect', unclean)).status).toBe(200);
  expect(offline.asked).toEqual([['unclean', 7]]);
  const first = await world().send('POST', '/api/cluster/elect', { destination: 't' });
  expect([first.status, first.body.error.code]).toEqual([409, 'CLUSTER_ELECTION_NOT_NEEDED']);
});
