// How `callboard dev` over the real node ends and what survives it: nothing of the processes, everything
// of the data.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { shellWord } from '../../src/cli/text.ts';
import { until } from '../../tools/lib/dev-cluster.mjs';
import { BIN, callboard, endedWithin, freshFolder, isAlive, Run } from '../cli/run-dev.ts';

/** The promise of the program. */
const END_LIMIT_MS = 3_000;

function words(folder: string): string[] {
  return [BIN, 'dev', '--data', join(folder, 'data'), '--base-port', '0', '--json'];
}

function devPid(folder: string): number {
  const text = fs.readFileSync(join(folder, 'data/dev.json'), 'utf8');
  return (JSON.parse(text) as { readonly pid: number }).pid;
}

async function allPids(run: Run, folder: string): Promise<number[]> {
  const nodes = await run.ready();
  const pids = [devPid(folder), ...nodes.map(({ pid }) => pid)];
  expect(pids.filter(isAlive)).toHaveLength(4);
  return pids;
}

describe('every process has ended within 3 s', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)(
    'when dev itself gets %s',
    async (signal) => {
      const folder = freshFolder();
      const run = new Run(process.execPath, words(folder));
      const pids = await allPids(run, folder);
      run.child.kill(signal);
      expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
      if (signal !== 'SIGKILL') expect(await run.exited).toBe(0);
    },
  );

  it('when its parent is killed', async () => {
    const folder = freshFolder();
    const command = ['node', ...words(folder)].map(shellWord).join(' ');
    // Two commands, so that the shell stays in between instead of becoming the program.
    const run = new Run('sh', ['-c', `${command}; true`]);
    const pids = await allPids(run, folder);
    run.child.kill('SIGKILL');
    expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    'when npm, which started it, gets %s',
    async (signal) => {
      const folder = freshFolder();
      const start = ['node', ...words(folder)].map(shellWord).join(' ');
      fs.writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts: { start } }));
      const run = new Run('npm', ['start', '--silent'], { cwd: folder });
      const pids = await allPids(run, folder);
      run.child.kill(signal);
      expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
    },
  );

  it.runIf(spawnSync('script', ['--version']).status === 0)(
    'when its terminal is closed',
    async () => {
      const folder = freshFolder();
      const command = ['node', ...words(folder)].map(shellWord).join(' ');
      const run = new Run('script', ['-qfc', command, '/dev/null'], {
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      await until('dev is ready', () => fs.existsSync(join(folder, 'data/dev.json')));
      const text = fs.readFileSync(join(folder, 'data/dev.json'), 'utf8');
      const state = JSON.parse(text) as { pid: number; nodes: { pid: number }[] };
      const pids = [state.pid, ...state.nodes.map(({ pid }) => pid)];
      run.child.kill('SIGKILL');
      expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
    },
  );
});

test('after kill -9 of everything, everything that was produced is there', async () => {
  const folder = freshFolder();
  const at = ['--data', join(folder, 'data')];
  const identity = () => fs.readFileSync(join(folder, 'data/cluster.json'), 'utf8');
  const sent: string[] = [];
  let before: string | undefined;
  for (let round = 0; round < 3; round += 1) {
    const run = new Run(process.execPath, words(folder));
    const pids = await allPids(run, folder);
    before ??= identity();
    expect(identity()).toBe(before);
    const produce = callboard(['produce', 'all', ...at], { stdio: ['pipe', 'pipe', 'pipe'] });
    const values = Array.from({ length: 20 }, (_, i) => `r${round} m${i}`);
    produce.child.stdin?.end(`${values.join('\n')}\n`);
    expect(await produce.exited, produce.stderr).toBe(0);
    sent.push(...values);
    const read = callboard(['consume', 'all', '--from', 'earliest', '--no-follow', ...at]);
    expect(await read.exited, read.stderr).toBe(0);
    expect(read.stdout.trimEnd().split('\n').sort()).toEqual([...sent].sort());
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    expect(await endedWithin(pids, END_LIMIT_MS)).toBeDefined();
  }
}, 120_000);

test('a killed node is one line with its leaders, a second one when it is back in sync', async () => {
  const folder = freshFolder();
  const run = new Run(process.execPath, [...words(folder).slice(0, -1), '--restart', '3s']);
  await run.saw(/stop {4}Ctrl-C\n/);
  const at = ['--data', join(folder, 'data')];
  for (let i = 0; i < 3; i += 1) {
    const sent = callboard(['produce', 'moved', '--partition', String(i), '--value', 'x', ...at]);
    expect(await sent.exited, sent.stderr).toBe(0);
  }
  const table = run.stdout.length;
  const pidOf = () => {
    const text = fs.readFileSync(join(folder, 'data/dev.json'), 'utf8');
    const { nodes } = JSON.parse(text) as { nodes: { id: number; pid: number }[] };
    return nodes.find(({ id }) => id === 2)?.pid ?? 0;
  };
  const pid = pidOf();
  process.kill(pid, 'SIGKILL');
  await run.saw(
    /^node 2 died \(SIGKILL\), [1-9]\d* leaders? moved in (\d+ ms|[\d.]+ s), restart in 3000 ms$/m,
  );
  await run.saw(/^node 2 is back in sync, (\d+ ms|[\d.]+ s) after it died$/m);
  expect(pidOf()).not.toBe(pid);
  expect(run.stdout.slice(table).trimEnd().split('\n')).toHaveLength(2);
  run.child.kill('SIGTERM');
  expect(await run.exited).toBe(0);
}, 60_000);
