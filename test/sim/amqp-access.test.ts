import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { amqpAccess } from '../../src/sim/scenarios/amqp-access.ts';

test('rights that are taken away are gone within a bounded time, and vhosts keep their messages', async () => {
  const run = await runSeed(501, amqpAccess);
  expect(run.failure).toBeUndefined();
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(200);
}, 600_000);
