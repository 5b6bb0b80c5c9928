// How `dev` starts, lives and ends over a node without a broker, which can be misled; test/e2e has the same over
// the real one, and there everything that may start and kill `dev`. Processes and waits: `npm run test:e2e`.
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { shellWord } from '../../src/cli/text.ts';
import {
  BIN,
  callboard,
  endedWithin,
  FAKE_ARGS,
  freshFolder,
  isAlive,
  Run,
  startDev,
} from './run-dev.ts';

/** The promise is 3 s on a machine that has time; the test machine may not. */
const END_LIMIT_MS = 3000;

async function stopped(run: Run): Promise<number | string> {
  run.child.kill('SIGTERM');
  return run.exited;
}

async function allPids(run: Run): Promise<number[]> {
  return [run.pid, ...(await run.ready()).map(({ pid }) => pid)];
}

describe('callboard dev starts', () => {
  test('started twice on a folder: the second shows the first and exits 0', async () => {
    const folder = freshFolder();
    const first = startDev(folder);
    await expect.poll(() => fs.existsSync(join(folder, 'data/dev.lock'))).toBe(true);
    // Not ready yet: the second waits for it.
    const second = startDev(folder);
    const nodes = await first.ready();
    expect(await second.exited).toBe(0);
    expect(await second.ready()).toEqual(nodes);
    const third = callboard(['dev', '--data', join(folder, 'data')]);
    expect(await third.exited).toBe(0);
    expect(third.stdout).toMatch(new RegExp(`already running, pid ${first.pid}\n`));
    for (const { kafka, pid } of nodes) {
      expect(third.stdout).toContain(kafka);
      expect(third.stdout).toContain(String(pid));
    }
    expect(third.stdout).toMatch(/^data {4}.*data \([\d.]+ KiB\)$/m);
    expect(await stopped(first)).toBe(0);
  });

  test('after kill -9 of everything starts again as the same cluster with its data', async () => {
    const folder = freshFolder();
    const identity = () => fs.readFileSync(join(folder, 'data/cluster.json'), 'utf8');
    const starts = (id: number) => fs.readFileSync(join(folder, `data/node-${id}/starts`), 'utf8');
    const first = startDev(folder, ['--nodes', '3']);
    const nodes = await first.ready();
    const before = identity();
    for (const pid of [first.pid, ...nodes.map((node) => node.pid)]) process.kill(pid, 'SIGKILL');
    await first.exited;
    const again = startDev(folder);
    expect(await again.ready()).toHaveLength(3);
    expect(identity()).toBe(before);
    expect([1, 2, 3].map(starts)).toEqual(['2', '2', '2']);
    expect(await stopped(again)).toBe(0);

    const other = startDev(folder, ['--nodes', '5']);
    expect(await other.exited).toBe(2);
    expect(other.stderr).toMatch(/holds a cluster of 3 nodes, not 5/);
    const reset = startDev(folder, ['--nodes', '1', '--reset']);
    expect(await reset.ready()).toHaveLength(1);
    expect(identity()).not.toBe(before);
    expect(starts(1)).toBe('1');
    expect(await stopped(reset)).toBe(0);
  });

  test('the node process gets a thread pool of its own size and says what it has', async () => {
    const folder = freshFolder();
    const run = startDev(folder, ['--nodes', '1', '--shards', '0'], { UV_THREADPOOL_SIZE: '' });
    await run.ready();
    const [line] = fs.readFileSync(join(folder, 'data/logs/node-1.log'), 'utf8').split('\n');
    expect(JSON.parse(line ?? '')).toMatchObject({ msg: 'starting', threadPool: '12', shards: 0 });
    expect(await stopped(run)).toBe(0);
  });
});

describe('callboard dev ends', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'by %s: every node is stopped, exit 0',
    async (signal) => {
      const folder = freshFolder();
      const run = startDev(folder);
      const pids = await allPids(run);
      expect(new Set(pids).size).toBe(4);
      run.child.kill(signal);
      expect(await run.exited).toBe(0);
      expect(pids.filter(isAlive)).toEqual([]);
      const log = fs.readFileSync(join(folder, 'data/logs/node-1.log'), 'utf8');
      expect(log).toContain('"msg":"stopped"');
    },
  );

  test('by SIGKILL: the nodes notice and end by themselves', async () => {
    const run = startDev(freshFolder());
    const pids = await allPids(run);
    run.child.kill('SIGKILL');
    expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
  });

  test.each(['hang-stop', 'spin-on-stop'])('in time although its nodes %s', async (wish) => {
    const run = startDev(freshFolder(), [], { FAKE_NODE: wish });
    const pids = await allPids(run);
    run.child.kill('SIGTERM');
    expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
  });

  test('at once when it is asked twice', async () => {
    const run = startDev(freshFolder(), [], { FAKE_NODE: 'hang-stop' });
    const pids = await allPids(run);
    run.child.kill('SIGINT');
    await run.child.stdout?.readableFlowing;
    await new Promise((resolve) => setTimeout(resolve, 50));
    run.child.kill('SIGINT');
    expect(await run.exited).toBe(130);
    expect(await endedWithin(pids, 1000)).toBeDefined();
  });

  test('while it is still starting', async () => {
    const folder = freshFolder();
    const run = startDev(folder, ['--nodes', '3']);
    await expect
      .poll(() => fs.existsSync(join(folder, 'data/dev.lock')), { timeout: 5000 })
      .toBe(true);
    run.child.kill('SIGTERM');
    expect(await run.exited).toBe(0);
    expect(run.stdout).toBe('');
    expect(fs.existsSync(join(folder, 'data/dev.lock'))).toBe(false);
  });
});

test('a cluster whose shell was stopped and continued, as by Ctrl-Z and fg, goes on', async () => {
  const folder = freshFolder();
  const words = [process.execPath, BIN, 'dev', '--data', join(folder, 'd'), ...FAKE_ARGS, '--json'];
  const run = new Run('sh', ['-c', `${words.map(shellWord).join(' ')}; true`], { detached: true });
  const nodes = await run.ready();
  // Only time shows that nothing happens: two polls before, two after.
  const twoPolls = () => new Promise((resolve) => setTimeout(resolve, 1000));
  await twoPolls();
  process.kill(-run.pid, 'SIGSTOP');
  process.kill(-run.pid, 'SIGCONT');
  await twoPolls();
  expect(nodes.map(({ pid }) => isAlive(pid))).toEqual([true, true, true]);
  // The same shell, now interrupted: it keeps that for itself, and we notice.
  process.kill(run.pid, 'SIGINT');
  expect(
    await endedWithin(
      nodes.map(({ pid }) => pid),
      END_LIMIT_MS,
    ),
  ).toBeDefined();
});

describe('a node that dies', () => {
  test('is reported with its signal and its leaders, restarted, and reported back in sync', async () => {
    const folder = freshFolder();
    const run = callboard(['dev', '--data', join(folder, 'd'), ...FAKE_ARGS]);
    await run.saw(/stop {4}Ctrl-C/);
    const state = () =>
      JSON.parse(fs.readFileSync(join(folder, 'd/dev.json'), 'utf8')) as {
        nodes: { pid: number }[];
      };
    const before = state().nodes.map(({ pid }) => pid);
    process.kill(before[1] ?? 0, 'SIGKILL');
    await run.saw(/^node 2 died \(SIGKILL\), 2 leaders moved in \d+ ms, restart in 50 ms$/m);
    await run.saw(/^node 2 is back in sync, \d+ ms after it died$/m);
    const after = state().nodes.map(({ pid }) => pid);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(isAlive(after[1] ?? 0)).toBe(true);
    run.child.kill('SIGTERM');
    expect(await run.exited).toBe(0);
    expect(after.filter(isAlive)).toEqual([]);
    expect(run.stdout.match(/^node 2/gm)).toHaveLength(2);
  });

  test('stays dead with --restart never, and the others go on', async () => {
    const run = startDev(freshFolder(), ['--restart', 'never']);
    const nodes = await run.ready();
    process.kill(nodes[2]?.pid ?? 0, 'SIGKILL');
    await run.saw(/^node 3 died \(SIGKILL\), .*, not restarted$/m, 'stderr');
    expect(nodes.map(({ pid }) => isAlive(pid))).toEqual([true, true, false]);
    expect(run.stdout.trimEnd().split('\n')).toHaveLength(1);
    run.child.kill('SIGTERM');
    expect(await run.exited).toBe(0);
  });

  test('before all were ready is a failed start: cause first, log tail, exit 1, nothing left', async () => {
    const folder = freshFolder();
    const run = startDev(folder, [], { FAKE_NODE: 'fail:2' });
    expect(await run.exited).toBe(1);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(
      /^callboard: node 2 did not start: the fake was told to fail \[FAKE_FAILED\]/,
    );
    expect(run.stderr).toContain('the node did not start');
    expect(run.stderr).toContain(join(folder, 'data/logs/node-2.log'));
    expect(fs.existsSync(join(folder, 'data/dev.lock'))).toBe(false);
  });
});
