// Whose a crew is: a node ends the one that was made for it, and no other.
import { expect, it } from 'vitest';
import { LocalShards, localShards } from '../../src/assembly/local-shards.ts';
import type { MakeShards } from '../../src/assembly/shards.ts';
import type { Crew } from '../../src/env/environment.ts';
import { testCluster } from './support/cluster.ts';

async function closesOf(makeShards: (crew: Crew) => MakeShards): Promise<number> {
  let closes = 0;
  const crew: Crew = {
    run: () => Promise.reject(new Error('nothing to do')),
    threads: 0,
    close: () => {
      closes += 1;
      return Promise.resolve();
    },
  };
  const cluster = await testCluster({
    nodes: 1,
    parts: { makeShards: makeShards(crew) },
    envOf: (env) => ({ ...env, crew }),
  });
  await cluster.ready();
  await cluster.stop();
  return closes;
}

it('goes on after the node, if it came from outside', async () => {
  expect(await closesOf(() => localShards)).toBe(0);
});

it('ends with the node that it was made for', async () => {
  expect(await closesOf((crew) => (options) => new LocalShards(options, crew))).toBe(1);
});
