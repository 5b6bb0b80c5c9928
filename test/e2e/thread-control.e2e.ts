// The threads of a running node from the command line and over HTTP: files for the tools that read them, settings,
// and refusals, while the node serves.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApiThreadState } from '../../src/admin/api-types.ts';
import type { DevCluster } from '../../tools/lib/dev-cluster.mjs';
import { BIN, freshFolder, shardsWanted, startDev, until } from '../../tools/lib/dev-cluster.mjs';

const folder = freshFolder();
/** The last thread: a shard where shards have threads of their own. */
const thread = shardsWanted();

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDev({ nodes: 3 });
});

afterAll(async () => {
  await cluster?.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function actors(...words: readonly string[]): Promise<Run> {
  const args = [BIN, 'actors', ...words, '--data', cluster.data];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

it('writes a CPU profile of a thread, and never over a file', async () => {
  const words = ['profile', '--node', 'n2', '--shard', String(thread), '--seconds', '1'];
  const taken = await actors(...words, '--json');
  expect(taken).toMatchObject({ code: 0, stderr: '' });
  const { file, ...rest } = JSON.parse(taken.stdout);
  expect(rest).toMatchObject({ node: 2, thread });
  expect(file).toBe(fs.realpathSync(join(folder, `node2-thread${thread}.cpuprofile`)));
  const text = fs.readFileSync(file, 'utf8');
  expect(text.length).toBe(rest.bytes);
  const profile = JSON.parse(text);
  expect(profile.endTime - profile.startTime).toBeGreaterThan(900_000);
  expect(await actors(...words)).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('is there already [CLI_FILE_EXISTS]'),
  });
  expect(fs.readFileSync(file, 'utf8')).toBe(text);
});

it('writes a heap snapshot of a thread, and the node goes on', async () => {
  const out = join(folder, 'a heap');
  const words = ['heap', '--node', '1', '--shard', String(thread), '--out', out];
  expect(await actors(...words)).toMatchObject({ code: 0, stderr: '' });
  const { snapshot, nodes } = JSON.parse(fs.readFileSync(out, 'utf8'));
  expect(nodes.length).toBe(snapshot.node_count * snapshot.meta.node_fields.length);
  const status = await fetch(`${cluster.nodes[0]!.http}/api/status`);
  expect(await status.json()).toMatchObject({ health: 'ok' });
});

it.each([
  [['profile', '--shard', '0'], 2, 'the cluster has 3 nodes: name one with --node'],
  [['heap', '--node', '9'], 4, 'no live node 9'],
  [['heap', '--node', '1', '--shard', '200'], 4, 'node 1 has no thread 200 [THREAD_UNKNOWN]'],
  [['profile', '--node', '1', '--seconds', '0'], 2, 'is not a whole number from 1 to 300'],
  [['profile', '--node', 'x'], 2, '"x" is no node: name it as 1 or n1'],
  [['profile', '--node', '1', '--sample', '1s'], 2, '--sample is not for profile'],
])('%j fails and leaves no file', async (words, code, text) => {
  const before = fs.readdirSync(folder);
  const run = await actors(...words);
  expect(run).toMatchObject({ code, stdout: '' });
  expect(run.stderr).toContain(text);
  expect(fs.readdirSync(folder)).toEqual(before);
});

it('changes the log level of a thread while it runs', async () => {
  const url = `${cluster.nodes[0]!.http}/api/threads/${thread}`;
  const state = async () => (await (await fetch(url)).json()) as ApiThreadState;
  const before = await state();
  expect(before).toMatchObject({ node: 1, thread, settings: { logLevel: 'info' } });
  expect(before.facts.heapUsedBytes).toBeGreaterThan(1_000_000);
  const body = JSON.stringify({ logLevel: 'warn', limits: { messagesPerCell: 32 } });
  const changed = await fetch(`${url}/settings`, { method: 'POST', body });
  expect(await changed.json()).toMatchObject({ logLevel: 'warn', limits: { messagesPerCell: 32 } });
  expect((await state()).settings).toMatchObject({ logLevel: 'warn' });
  const wrong = await fetch(`${url}/settings`, { method: 'POST', body: '{"logLevel":"loud"}' });
  expect(wrong.status).toBe(400);
  // A page of another origin burdens no thread.
  const origin = 'http://evil.example';
  const foreign = await fetch(`${url}/heap-snapshot`, { method: 'POST', headers: { origin } });
  expect(foreign.status).toBe(403);
});

it.runIf(thread > 0)(
  'a shard of a cluster at rest is woken less than ten times a second',
  async () => {
    const seconds = 3;
    const loops = async () => {
      const urls = cluster.nodes.flatMap(({ http }) =>
        Array.from({ length: thread }, (_, at) => `${http}/api/threads/${at + 1}`),
      );
      const states = urls.map(async (url) => (await (await fetch(url)).json()) as ApiThreadState);
      return (await Promise.all(states)).map(({ facts }) => facts.loopCount ?? Number.NaN);
    };
    const rates = async () => {
      const before = await loops();
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
      return (await loops()).map((count, at) => (count - before[at]!) / seconds);
    };
    // What the tests before have begun (a checkpoint, say) comes to its end first.
    await until('every shard rests', async () => {
      const now = await rates();
      return now.length > 0 && now.every((rate) => rate < 10);
    });
  },
);
