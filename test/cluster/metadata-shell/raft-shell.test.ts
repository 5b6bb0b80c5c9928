// What Raft remembers on a disk that is full for a while: a peer whose snapshot found no room takes part again when
// there is some.
import { expect, test } from 'vitest';
import type { System } from '../../../src/actors/system.ts';
import { RaftShell } from '../../../src/cluster/metadata-shell/raft-shell.ts';
import { configurationOf, peerOf, RAFT_DEFAULTS } from '../../../src/raft/index.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { openOn, World } from '../../storage/support/store-kit.ts';

/** Snapshots are made after so many entries, and of so many bytes they go to a file. */
const ENTRIES = 1_000;
const IMAGE_BYTES = 64 * 1024;

function systemOf(world: World): System {
  const deadlines = {
    after: (delayMs: number, fire: () => void) => world.at(world.nowMs + delayMs, fire),
    cancel: (cancel: () => void) => cancel(),
  };
  const clock = { monotonicMs: () => world.nowMs };
  const random = new SeededRandom(1);
  return { clock, deadlines, random, turn: { request: () => undefined } } as unknown as System;
}

test.each(['ENOSPC', 'EMFILE'])('a snapshot that met %s is stored later', async (errno) => {
  const world = new World();
  const disk = world.newDisk();
  const { store } = await openOn(world, disk, { walFileBytesMax: 16 << 20 });
  const stored = store.createLog(1, { durability: 'sync' });
  const self = peerOf(1, 0);
  let applied = 0;
  const errors: Error[] = [];
  const shell = new RaftShell({
    system: systemOf(world),
    raft: { ...RAFT_DEFAULTS, self },
    bootstrap: configurationOf([self]),
    stored,
    machine: {
      apply: () => undefined,
      snapshot: () => new Uint8Array(IMAGE_BYTES),
      restore: () => undefined,
      applied: (index) => {
        applied = index;
      },
      leadershipChanged: () => undefined,
    },
    send: () => undefined,
    onFatal: (error) => errors.push(error),
  });
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 5) {
      store.startGroup();
      await world.advance(5);
      shell.durable();
    }
  };
  await shell.start();
  await pass(50);
  expect(shell.isLeader).toBe(true);

  disk.onCall = (call, path) => (call === 'write' && path.endsWith('.view') ? errno : undefined);
  for (let i = 0; i < ENTRIES; i += 1) void shell.propose(new Uint8Array(8));
  await pass(200);
  const before = applied;
  expect(before).toBeGreaterThanOrEqual(ENTRIES);
  let isDone = false;
  void shell.propose(new Uint8Array(8)).then(({ kind }) => {
    isDone = kind === 'done';
  });
  await pass(3_000);
  // It waits for its snapshot.
  expect(isDone).toBe(false);
  const warnings = world.lines.filter(({ message }) => message === 'a state was not stored');
  expect(warnings.length).toBeGreaterThan(1);
  expect(warnings.length).toBeLessThan(10);

  disk.onCall = () => undefined;
  await pass(1_000);
  expect(isDone).toBe(true);
  expect(applied).toBeGreaterThan(before);
  expect(errors).toEqual([]);
});
