// A node that is in nobody's list asks a member, registers, votes, gets replicas and leads; its restart needs no member
// to be named; and who may not join is told why, with its folder as it was.
import fs from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeAnswer } from '../../src/actors/links/handshake.ts';
import { membershipOf } from '../../src/assembly/joining.ts';
import type { NodeConfig } from '../../src/assembly/node-config.ts';
import type { ProbedNode } from '../../src/assembly/probe.ts';
import { createNodeEnvironment } from '../../src/env/node/environment.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const JOINER = 4;
let root: string;
let cluster: TestCluster;

beforeAll(async () => {
  root = fs.mkdtempSync(join(tmpdir(), 'callboard-join-'));
  cluster = await testCluster({
    nodes: 3,
    dataRoot: (id) => join(root, `node-${id}`),
    parts: { timing: { joinMs: 1_000 } },
  });
  await cluster.ready();
}, 60_000);

afterAll(async () => {
  await cluster?.stop();
  fs.rmSync(root, { recursive: true, force: true });
});

const folder = (name: string) => join(root, name);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'joined',
    (error: { code?: string }) => error.code,
  );
const changes = (id: number) => (cluster.nodes.get(id) as ProbedNode).probe().operations!;
const standing = (of: number, by: number) =>
  (cluster.nodes.get(by) as ProbedNode).probe().standing(of);

test('a node joins by the address of any member, and leads what it is given', async () => {
  await cluster.join(JOINER, { dataRoot: folder('node-4'), members: [2] });
  await cluster.ready([JOINER]);
  for (const id of [1, 2, 3]) expect(standing(JOINER, id)?.isLive).toBe(true);
  expect((cluster.nodes.get(JOINER) as ProbedNode).probe().isSettledMember).toBe(true);
  const probe = (cluster.nodes.get(1) as ProbedNode).probe();
  const [logId] = [...probe.assigned()].find(([, count]) => count === 3)!;
  const moved = await changes(1).reassign(logId, [JOINER, 1, 2], 5_000);
  expect(moved.kind).toBe('ok');
  await expect
    .poll(
      () =>
        [...(cluster.nodes.get(JOINER) as ProbedNode).probe().replicas].filter((r) => r.isLeader)
          .length,
      {
        timeout: 30_000,
      },
    )
    .toBeGreaterThan(0);
}, 60_000);

test('the restart of a node that has joined needs no member, and no cluster id', async () => {
  await cluster.stopNode(JOINER);
  await cluster.join(JOINER, { dataRoot: folder('node-4'), members: [] });
  await cluster.ready([JOINER]);
  await expect.poll(() => standing(JOINER, 1)?.isLive, { timeout: 30_000 }).toBe(true);
}, 60_000);

describe('whoever has the port of a member now', () => {
  let stranger: Server;
  let port: number;
  const bytes = encodeAnswer({ kind: 'refused', reason: 'go away', twiceProof: undefined });

  beforeAll(async () => {
    stranger = createServer((socket) => socket.on('error', () => undefined).end(bytes));
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    port = (stranger.address() as AddressInfo).port;
  });
  afterAll(() => stranger.close());

  const config = (over: Partial<NodeConfig> = {}): NodeConfig => ({
    clusterId: '',
    nodeId: 9,
    nodes: [{ ...cluster.addresses[0]!, id: 9 }],
    join: [port, cluster.addresses[1]!.linkPort].map((each) => ({ host: '127.0.0.1', port: each })),
    dataRoot: undefined,
    shards: 0,
    host: '127.0.0.1',
    token: 'secret',
    ...over,
  });
  const ask = (over: Partial<NodeConfig> = {}) =>
    membershipOf(createNodeEnvironment({}), config(over), 1_000);

  test('does not keep a newcomer from the members that are named too', async () => {
    expect(await ask()).toMatchObject({ config: { clusterId: 'test-cluster' } });
    const alone = ask({ join: [{ host: '127.0.0.1', port }] });
    expect(await codeOf(alone)).toBe('NODE_JOIN_REFUSED');
  });

  test('does not keep a node from the members that its folder knows', async () => {
    await cluster.stopNode(JOINER);
    await cluster.join(JOINER, { dataRoot: folder('node-4'), members: [], port });
    await cluster.ready([JOINER]);
  }, 60_000);

  test('and a member of another cluster than the configured one: refused', async () => {
    expect(await codeOf(ask({ clusterId: 'elsewhere' }))).toBe('NODE_CONFIG_INVALID');
    expect((await ask({ clusterId: 'test-cluster' })).config.clusterId).toBe('test-cluster');
  });
});

test('a folder that knows its name and no member says so', async () => {
  const dataRoot = folder('forgetful');
  fs.cpSync(folder('node-4'), dataRoot, { recursive: true });
  fs.rmSync(join(dataRoot, 'LOCK'), { force: true });
  fs.rmSync(join(dataRoot, 'members.json'));
  const error = await cluster.join(JOINER, { dataRoot, members: [] }).catch((each) => each);
  expect(error).toMatchObject({ code: 'NODE_CONFIG_INVALID' });
  expect(String(error)).toContain('--join HOST:PORT');
}, 60_000);

test('all start again, and find the one that is in nobody’s list', async () => {
  for (const id of [1, 2, 3, JOINER]) await cluster.stopNode(id);
  // With two founders alone there is no quorum of four.
  await cluster.join(JOINER, { dataRoot: folder('node-4'), members: [] });
  await cluster.start(1, false);
  await cluster.start(2, false);
  await expect.poll(() => standing(JOINER, 1)?.isLive, { timeout: 30_000 }).toBe(true);
  await cluster.start(3, false);
  await cluster.ready();
}, 60_000);

test.each([
  ['a wrong token', 'NODE_JOIN_TOKEN', { id: 5, token: 'guessed' }],
  ['the number of a live node', 'NODE_JOIN_ID_TAKEN', { id: 2 }],
  ['nobody at the address', 'NODE_JOIN_UNREACHABLE', { id: 5, members: [] as number[], port: 1 }],
])(
  '%s is refused as %s, and nothing is written',
  async (_what, code, wish) => {
    const { id, ...rest } = wish;
    const dataRoot = folder(`refused-${code}`);
    expect(await codeOf(cluster.join(id, { members: [1], ...rest, dataRoot }))).toBe(code);
    const left = fs.existsSync(dataRoot) ? fs.readdirSync(dataRoot) : [];
    expect(left.filter((name) => name !== 'LOCK')).toEqual([]);
  },
  60_000,
);

test('the folder of another cluster is refused, and stays as it was', async () => {
  const dataRoot = folder('foreign');
  fs.mkdirSync(dataRoot);
  const file = join(dataRoot, 'node.json');
  const text = JSON.stringify({
    format: 1,
    clusterId: 'elsewhere',
    nodeId: 5,
    incarnation: 7,
    bootCounter: 1,
    isClean: true,
    osBootId: '',
  });
  fs.writeFileSync(file, text);
  const code = await codeOf(cluster.join(5, { dataRoot, members: [1] }));
  expect(code).toBe('NODE_FOLDER_FOREIGN');
  expect(fs.readFileSync(file, 'utf8')).toBe(text);
  // Nor does the number of another node fit.
  fs.cpSync(folder('node-4'), folder('copy-of-4'), { recursive: true });
  fs.rmSync(join(folder('copy-of-4'), 'LOCK'), { force: true });
  const copied = cluster.join(5, { dataRoot: folder('copy-of-4'), members: [1] });
  expect(await codeOf(copied)).toBe('NODE_FOLDER_FOREIGN');
}, 60_000);

test('without a member and without a past there is no cluster to join', async () => {
  const alone = cluster.join(5, { dataRoot: folder('alone'), members: [] });
  expect(await codeOf(alone)).toBe('NODE_CONFIG_INVALID');
});

test('a node that was removed is refused with its old folder, and joins with an empty one', async () => {
  const dataRoot = folder('node-4');
  await expect
    .poll(async () => (await changes(1).drainNode(JOINER, true, 5_000)).kind, { timeout: 30_000 })
    .toBe('ok');
  await expect
    .poll(async () => (await changes(1).removeNode(JOINER, 5_000)).kind, { timeout: 30_000 })
    .toBe('ok');
  await cluster.told((event) => event.event === 'failed' && event.code === 'NODE_REMOVED');
  await cluster.stopNode(JOINER);
  expect(await codeOf(cluster.join(JOINER, { dataRoot, members: [3] }))).toBe('NODE_REMOVED');
  await cluster.join(JOINER, { dataRoot: folder('new-4'), members: [3] });
  await cluster.ready([JOINER]);
}, 90_000);
