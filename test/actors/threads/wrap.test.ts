// Three threads that send each other records of every size at once, over small rings whose indices run across
// 2^31 and 2^32: in the ring up to a quarter of it, in the slab, and lent. Skip markers fill the end of the
// ring about once for every ten records.
import { expect, test } from 'vitest';
import type { Ref } from '../../../src/actors/index.ts';
import { actor, createSystem } from '../../../src/actors/index.ts';
import { SLAB_UNIT_BYTES } from '../../../src/actors/threads/slab-pool.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { runs } from '../../setup/runs.ts';
import { PeerOfAllSizes, peerOfAllSizes } from '../workers/all-sizes.mjs';
import { quiet } from './support.ts';

type PeerOps = (typeof PeerOfAllSizes)['ops'];

/** Asks until so many were taken; a question too may find the ring full. */
async function reportOf(peer: Ref<PeerOps>, count: number) {
  for (;;) {
    try {
      const report = await peer.ask('report', undefined, { timeoutMs: 20_000 });
      if (report.taken >= count) return report;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ACTOR_FULL' });
      await peer.ready();
    }
  }
}

const THREADS = [0, 1, 2];
const RING_BYTES = 8192;

test.each([0x7fff_f000, 0xffff_f000])(
  'records of every size, skip markers and slabs, among three threads, from index %i',
  async (ringStartIndex) => {
    const count = runs(20_000, 5_000);
    const env = createNodeEnvironment({ log: quiet });
    const system = createSystem(env, {
      name: 'test',
      threadCount: THREADS.length,
      protocols: [PeerOfAllSizes],
    });
    const group = new ThreadGroup(system, {
      entry: new URL('../workers/wrap.mjs', import.meta.url),
      workers: THREADS.length - 1,
      ringBytes: RING_BYTES,
      slabBytes: 64 * SLAB_UNIT_BYTES,
      ringStartIndex,
    });
    const { setup, options } = peerOfAllSizes(system);
    system.spawnWellKnown(10, 'peer', actor(PeerOfAllSizes, setup, options), undefined);
    await group.start();
    const peers: Ref<PeerOps>[] = THREADS.map((thread) =>
      system.wellKnown(PeerOfAllSizes, { thread, slot: 10 }),
    );
    for (const [from, peer] of peers.entries()) {
      for (const thread of THREADS) if (thread !== from) peer.tell('send', { thread, count });
    }
    let held = 0;
    for (const peer of peers) {
      const report = await reportOf(peer, 2 * count);
      expect(report).toMatchObject({ taken: 2 * count, wrong: 0 });
      expect(report.lent).toBeGreaterThan(count / 100);
      expect(report.kept).toBeGreaterThan(0);
      held += report.kept;
    }
    expect(system.deadLetters.total).toBe(0);
    const { bytesSent, full, outOfBandBytes } = group.hub.counters;
    expect(bytesSent).toBeGreaterThan(2 * 50 * RING_BYTES);
    expect(outOfBandBytes).toBeGreaterThan(count * 100);
    expect(full).toBeGreaterThan(0);
    // What is not kept is free.
    expect(group.hub.slab.usedBytes).toBeLessThanOrEqual(held * 2 * SLAB_UNIT_BYTES);
    await group.stop({ timeoutMs: 2_000 });
    await system.shutdown({ timeoutMs: 1_000 });
  },
);
