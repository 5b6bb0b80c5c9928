// When answers leave in each durability, and what of them is left when nodes fail. Disks stand still here, so what is
// answered before a write shows.
import { describe, expect, test } from 'vitest';
import type { Durability } from '../../../src/cluster/ports.ts';
import { awaitedStep } from '../../../src/cluster/replica/durability.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

const ALL = [1, 2, 3];

/** Nothing is written anywhere for a while; short enough that no leader gives up. */
function stall(rig: Rig, ids: readonly number[] = ALL, ms = 400): void {
  for (const id of ids) rig.world.node(`n${id}`).device.stall((rig.world.nowMs + ms) * 1e6);
}

function isAnswered(rig: Rig, id: number, token: number): boolean {
  return rig.answer(id, token) !== undefined;
}

async function seeded(rig: Rig, durability: Durability, options = {}): Promise<void> {
  await led(rig, 1, { durability, ...options });
  await rig.result(1, rig.append(1, LOG, 'first', 'committed'));
  await rig.until(() => ALL.every((id) => rig.values(id, LOG).length === 1));
}

describe('a level is', () => {
  test.each([
    ['stored', 'sync', 'committed'],
    ['stored', 'replicated', 'received'],
    ['stored', 'async', 'nothing'],
    ['stored', 'memory', 'committed'],
    ['local', 'sync', 'local'],
    ['local', 'replicated', 'nothing'],
    ['local', 'async', 'nothing'],
    ['local', 'memory', 'local'],
    ['accepted', 'sync', 'nothing'],
    ['committed', 'async', 'committed'],
    ['committed', 'replicated', 'committed'],
    ['none', 'sync', 'nothing'],
  ] as const)('%s of a %s destination: %s', (level, durability, step) => {
    expect(awaitedStep(level, durability)).toBe(step);
  });
});

describe('while no disk writes', () => {
  test.each([
    ['sync', 'stored', false],
    ['sync', 'local', false],
    ['replicated', 'stored', true],
    ['replicated', 'local', true],
    ['async', 'stored', true],
    ['async', 'local', true],
    ['async', 'committed', false],
    ['replicated', 'committed', false],
  ] as const)(
    '%s at level %s is answered: %s; nothing is committed',
    async (mode, level, isEarly) => {
      await inRig(1, async (rig) => {
        await seeded(rig, mode);
        stall(rig);
        const token = rig.append(1, LOG, 'v', level);
        await rig.advance(200);
        expect(isAnswered(rig, 1, token)).toBe(isEarly);
        const { leader, stored } = rig.at(1).host.hosted(LOG)!;
        expect(leader!.core.committedSeq).toBe(stored.endSeq - 1);
        expect(stored.durableSeq).toBe(stored.endSeq - 1);
        // Nobody reads what may still be cut: followers apply what is committed.
        expect(rig.values(2, LOG)).toEqual(['first']);
        // It is written like everything else.
        expect(await rig.result(1, token)).toBe('ok');
        await rig.until(() => ALL.every((id) => rig.values(id, LOG).at(-1) === 'v'));
      });
    },
  );

  test('replicated is answered when all of the set have it, not before', async () => {
    await inRig(2, async (rig) => {
      await seeded(rig, 'replicated');
      const link = rig.world.network.block(rig.world.node('n1').host, rig.world.node('n3').host);
      const token = rig.append(1, LOG, 'v', 'stored');
      await rig.advance(200);
      expect(isAnswered(rig, 1, token)).toBe(false);
      link();
      expect(await rig.result(1, token)).toBe('ok');
    });
  });

  test('of a quorum, when a majority has it', async () => {
    await inRig(3, async (rig) => {
      await seeded(rig, 'replicated', { mode: 'quorum', minInsync: 2 });
      rig.world.network.block(rig.world.node('n1').host, rig.world.node('n3').host);
      stall(rig);
      const token = rig.append(1, LOG, 'v', 'stored');
      await rig.advance(200);
      expect(isAnswered(rig, 1, token)).toBe(true);
    });
  });

  test('no more is answered early than the budget: then answers wait for the disk', async () => {
    await inRig(4, async (rig) => {
      await seeded(rig, 'async');
      stall(rig, [1]);
      const value = 'x'.repeat(512 * 1024);
      const tokens = Array.from({ length: 12 }, (_, i) => rig.append(1, LOG, value + i, 'stored'));
      await rig.advance(200);
      const early = tokens.filter((token) => isAnswered(rig, 1, token)).length;
      expect(early).toBeGreaterThan(4);
      expect(early).toBeLessThan(12);
      for (const token of tokens) expect(await rig.result(1, token)).toBe('ok');
    });
  });
});

test('replicated: a follower whose disk stands still says of no more than the budget that it has it', async () => {
  await inRig(10, async (rig) => {
    await seeded(rig, 'replicated');
    stall(rig, [2, 3]);
    const value = 'x'.repeat(512 * 1024);
    const tokens: number[] = [];
    for (let i = 0; i < 12; i += 1) {
      tokens.push(rig.append(1, LOG, value + i, 'stored'));
      // The leader's disk keeps up.
      await rig.advance(15);
    }
    expect(rig.at(2).store.unwrittenBytes).toBeGreaterThan(12 * value.length);
    const early = tokens.filter((token) => isAnswered(rig, 1, token)).length;
    expect(early).toBeGreaterThan(4);
    expect(early).toBeLessThan(12);
    for (const token of tokens) expect(await rig.result(1, token)).toBe('ok');
  });
});

describe('the leader is killed before anything is written', () => {
  const killed = async (rig: Rig, mode: Durability): Promise<string[]> => {
    await seeded(rig, mode);
    stall(rig);
    const tokens = ['a', 'b', 'c'].map((value) => rig.append(1, LOG, value, 'stored'));
    await rig.until(() => tokens.every((token) => isAnswered(rig, 1, token)));
    rig.kill(1);
    rig.fence(1);
    rig.grant(LOG, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    expect(await rig.result(2, rig.append(2, LOG, 'after', 'committed'))).toBe('ok');
    await rig.startNode(1);
    await rig.until(() => ALL.every((id) => rig.values(id, LOG).at(-1) === 'after'));
    return rig.values(1, LOG);
  };

  test('replicated: the next one has it, and so has everybody in the end', async () => {
    await inRig(5, async (rig) => {
      expect(await killed(rig, 'replicated')).toEqual(['first', 'a', 'b', 'c', 'after']);
    });
  });

  test('async: what no other has is gone, and nobody ever read it', async () => {
    await inRig(6, async (rig) => {
      await seeded(rig, 'async');
      const links = [2, 3].map((id) =>
        rig.world.network.block(rig.world.node('n1').host, rig.world.node(`n${id}`).host),
      );
      const tokens = ['a', 'b'].map((value) => rig.append(1, LOG, value, 'stored'));
      await rig.until(() => tokens.every((token) => isAnswered(rig, 1, token)));
      rig.kill(1);
      for (const heal of links) heal();
      rig.fence(1);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      expect(await rig.result(2, rig.append(2, LOG, 'after', 'committed'))).toBe('ok');
      await rig.startNode(1);
      await rig.until(() => ALL.every((id) => rig.values(id, LOG).at(-1) === 'after'));
      for (const id of ALL) expect(rig.values(id, LOG)).toEqual(['first', 'after']);
    });
  });

  test('replicated: all are killed at once: gone, and the replicas agree', async () => {
    await inRig(7, async (rig) => {
      await seeded(rig, 'replicated');
      stall(rig);
      const token = rig.append(1, LOG, 'v', 'stored');
      await rig.until(() => isAnswered(rig, 1, token));
      for (const id of ALL) rig.kill(id);
      for (const id of ALL) await rig.startNode(id);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      expect(await rig.result(2, rig.append(2, LOG, 'after', 'stored'))).toBe('ok');
      await rig.until(() => ALL.every((id) => rig.values(id, LOG).at(-1) === 'after'));
      for (const id of ALL) expect(rig.values(id, LOG)).toEqual(['first', 'after']);
    });
  });
});

test('F23: the durability changes under a leader: answers from then on mean the new one', async () => {
  await inRig(8, async (rig) => {
    await seeded(rig, 'sync');
    rig.logs.get(LOG)!.durability = 'async';
    rig.changed();
    await rig.advance(50);
    stall(rig);
    const early = rig.append(1, LOG, 'early', 'stored');
    await rig.advance(100);
    expect(isAnswered(rig, 1, early)).toBe(true);
    rig.logs.get(LOG)!.durability = 'sync';
    rig.changed();
    await rig.advance(50);
    const late = rig.append(1, LOG, 'late', 'stored');
    await rig.advance(100);
    expect(isAnswered(rig, 1, late)).toBe(false);
    expect(await rig.result(1, late)).toBe('ok');
  });
});

test('in memory: another epoch of its leader goes on with what has left the tail, and writes nothing', async () => {
  await inRig(
    9,
    async (rig) => {
      await led(rig, 1, { durability: 'memory', replicas: [1] });
      const values = Array.from({ length: 40 }, (_, i) => `v${i}`.padEnd(1_000, '.'));
      for (const value of values)
        expect(await rig.result(1, rig.append(1, LOG, value, 'stored'))).toBe('ok');
      const { stored } = rig.at(1).host.hosted(LOG)!;
      await rig.until(() => stored.firstSeq > 1);
      rig.grant(LOG, 1);
      await rig.until(() => rig.at(1).host.hosted(LOG)?.leader?.epoch === 2);
      await rig.until(() => rig.isLeading(1, LOG));
      expect(await rig.result(1, rig.append(1, LOG, 'after', 'stored'))).toBe('ok');
      expect(rig.values(1, LOG)).toEqual([...values, 'after']);
      expect(rig.at(1).store.counters.walFrames).toBe(0);
    },
    { settleBytes: 4 * 1024 },
  );
});
