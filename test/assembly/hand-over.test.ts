// A node that stops while it leads the metadata hands over first: it hears of its heir before it ends.
import { afterEach, expect, test } from 'vitest';
import type { Environment, Log } from '../../src/env/environment.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/** The leaders that each node hears of, in order; -1 for nobody. By the order of starts, which is that of numbers. */
const heard: number[][] = [];

function listening(env: Environment): Environment {
  const leaders: number[] = [];
  heard.push(leaders);
  const wrap = (log: Log): Log => ({
    debug: (message, fields) => log.debug(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    error: (message, fields) => log.error(message, fields),
    child: (fields) => wrap(log.child(fields)),
    info: (message, fields) => {
      if (message === 'metadata leader') leaders.push(Number(fields?.['controller']));
      log.info(message, fields);
    },
  });
  return { ...env, log: wrap(env.log) };
}

test('the metadata leader that stops hears of its heir', async () => {
  // Far longer than the test may take: what is waited for is the heir, not the time.
  const parts = { timing: { handOverMs: 600_000 } };
  const running = await testCluster({ envOf: listening, parts });
  cluster = running;
  await running.ready();
  const leader = heard[0]!.at(-1)!;
  expect(leader).toBeGreaterThan(0);
  await running.stopNode(leader);
  const last = heard[leader - 1]!.at(-1)!;
  expect(last).toBeGreaterThan(0);
  expect(last).not.toBe(leader);
});
