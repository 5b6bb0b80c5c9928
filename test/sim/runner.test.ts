import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import type { Scenario } from '../../src/sim/scenario.ts';
import { quorumLog } from '../../src/sim/scenarios/quorum-log.ts';
import { runs } from '../setup/runs.ts';

const MAIN = fileURLToPath(new URL('../../dist/sim/main.js', import.meta.url));

function sim(...argv: string[]): { code: number; out: string; err: string } {
  try {
    const out = execFileSync(process.execPath, [MAIN, ...argv], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return { code: 0, out, err: '' };
  } catch (error) {
    const failed = error as { status: number; stdout: string; stderr: string };
    return { code: failed.status, out: failed.stdout, err: failed.stderr };
  }
}

test('one seed gives one trace, event for event, whatever ran before it', async () => {
  const first = await runSeed(21, quorumLog);
  await runSeed(22, quorumLog);
  const second = await runSeed(21, quorumLog);
  expect(second.traceHash).toBe(first.traceHash);
  expect(second.checkpoints).toEqual(first.checkpoints);
  expect(second).toEqual(first);
});

test('seeds differ from each other', async () => {
  const hashes = new Set<string>();
  for (let seed = 30; seed < 34; seed += 1) hashes.add((await runSeed(seed, quorumLog)).traceHash);
  expect(hashes.size).toBe(4);
});

test('durable servers lose nothing that was acknowledged, under every kind of fault', async () => {
  const kinds = new Set<string>();
  for (let seed = 100; seed < 100 + runs(15, 5); seed += 1) {
    const result = await runSeed(seed, quorumLog);
    expect(result.failure).toBeUndefined();
    expect(result.counts.lost).toBe(0);
    expect(result.counts.acknowledged).toBeGreaterThan(1_500);
    for (const kind of result.faults.keys()) kinds.add(kind);
  }
  expect(kinds.size).toBeGreaterThan(20);
});

test('servers that answer before they sync are found out within 20 seeds', async () => {
  let found: string | undefined;
  for (let seed = 1; seed <= 20 && found === undefined; seed += 1) {
    const result = await runSeed(seed, quorumLog, { bug: 'ack-before-sync' });
    found = result.failure?.check;
  }
  expect(found).toBe('quorum-log/lost-write');
});

test('a check that fails, a check that throws and a drain that never ends each fail the seed', async () => {
  const broken = (change: (run: ReturnType<Scenario['create']>) => void): Scenario => ({
    ...quorumLog,
    chaosMs: 500,
    drainMs: 2_000,
    create: (world, options) => {
      const run = quorumLog.create(world, options);
      change(run);
      return run;
    },
  });
  const failing = broken((run) => {
    run.check = () => [{ check: 'canary', message: 'always' }];
  });
  expect((await runSeed(1, failing)).failure?.check).toBe('canary');
  const probing = broken((run) => {
    run.probe = () => ({ check: 'canary-probe', message: 'always' });
  });
  expect((await runSeed(1, probing)).failure?.check).toBe('canary-probe');
  const endless = broken((run) => {
    run.isDrained = () => false;
  });
  expect((await runSeed(1, endless)).failure?.check).toBe('liveness');
});

test('the command prints the hash that this process computed, and totals', async () => {
  const here = await runSeed(21, quorumLog);
  const { code, out } = sim(
    '--scenario',
    'quorum-log',
    '--seeds',
    '1',
    '--from',
    '21',
    '--verbose',
  );
  expect(code).toBe(0);
  expect(out).toContain(`hash ${here.traceHash}`);
  expect(out.trimEnd().split('\n').at(-1)).toMatch(/^seeds 1 \| failed 0 \| virtual .* \| lost 0$/);
});

test('the command fails with one line that replays the failure', () => {
  const { code, out } = sim(
    '--scenario',
    'quorum-log',
    '--seeds',
    '20',
    '--from',
    '1',
    '--bug',
    'ack-before-sync',
  );
  expect(code).toBe(1);
  const line = /^replay: npm run sim -- (.*)$/m.exec(out)?.[1];
  expect(line).toMatch(/--bug ack-before-sync/);
  const again = sim(...line!.split(' '));
  expect(again.code).toBe(1);
  expect(again.out).toContain('quorum-log/lost-write');
});

test('the command refuses what it does not know, with exit code 2', () => {
  expect(sim('--sedes', '3')).toMatchObject({ code: 2, err: expect.stringContaining('--sedes') });
  expect(sim('--scenario', 'none')).toMatchObject({
    code: 2,
    err: expect.stringContaining('known:'),
  });
  expect(sim('--scenario', 'quorum-log', '--bug', 'x')).toMatchObject({ code: 2 });
  expect(sim('--seeds', '0')).toMatchObject({ code: 2 });
});
