// The bell of threads that block, the counts of a slab and the heartbeat, in every order of the atomic
// operations of both threads. What is run is the real code; each has a mistake beside it that must be found.
import { describe, expect, test } from 'vitest';
import { Heartbeat, HeartbeatWatch } from '../../../src/actors/threads/heartbeat.ts';
import {
  createSlab,
  SLAB_UNIT_BYTES,
  SlabPool,
  SlabReader,
} from '../../../src/actors/threads/slab-pool.ts';
import { WaitBell } from '../../../src/actors/threads/wait-bell.ts';
import { Interleavings } from './interleavings.ts';

describe('a bell over Atomics.wait', () => {
  const BELL = 0;
  const WORK = 1;

  interface World {
    readonly words: Int32Array;
    heard: number;
  }

  /** One thread counts work up and rings each time; the other sleeps until it has seen all of it. */
  function explore(
    wait: (bell: WaitBell, words: Int32Array) => void,
    ring: (bell: WaitBell, words: Int32Array) => void = (bell) => bell.ring(),
  ): Interleavings<World> {
    const work = 3;
    const walk: Interleavings<World> = new Interleavings<World>({
      make: () => ({ words: new Int32Array(new SharedArrayBuffer(8)), heard: 0 }),
      words: ({ words }) => [...words],
      threads: (world) => [
        () => {
          for (let done = 1; done <= work; done += 1) {
            Atomics.add(world.words, WORK, 1);
            ring(new WaitBell(world.words, BELL), world.words);
          }
        },
        () => {
          const bell = new WaitBell(world.words, BELL);
          world.heard = 0;
          while (Atomics.load(world.words, WORK) < work) {
            wait(bell, world.words);
            world.heard += 1;
          }
        },
      ],
      atEnd({ heard }, isBlocked) {
        expect(isBlocked).toEqual([false, false]);
        expect(heard).toBeLessThanOrEqual(work);
      },
    });
    return walk.run();
  }

  test('wakes who waits, whenever it was rung, and never more often than it was rung', () => {
    const walk = explore((bell) => expect(bell.wait()).toBe(true));
    expect(walk.states).toBeGreaterThan(50);
    expect(walk.ends).toBeGreaterThan(1);
  });

  test('with a limit it may wake for nothing, and still misses no ring', () => {
    const words = new Int32Array(new SharedArrayBuffer(8));
    let falseWakes = 0;
    const walk = new Interleavings<{ woke: boolean }>({
      make() {
        words.fill(0);
        return { woke: false };
      },
      words: () => [...words],
      threads: (world) => [
        () => new WaitBell(words).ring(),
        () => {
          const bell = new WaitBell(words);
          world.woke = bell.wait(1);
          if (!world.woke) falseWakes += 1;
          // Nobody has taken the ring away: it is heard now or by the next wait.
          if (!world.woke) expect(bell.wait()).toBe(true);
        },
      ],
      atEnd: (_world, isBlocked) => expect(isBlocked).toEqual([false, false]),
    });
    expect(walk.run().ends).toBeGreaterThan(1);
    expect(falseWakes).toBeGreaterThan(0);
  });

  test('a wait that does not look at the bell first is found', () => {
    const wait = (_bell: WaitBell, words: Int32Array): void => {
      Atomics.store(words, BELL, 0);
      Atomics.wait(words, BELL, 0);
    };
    expect(() => explore(wait)).toThrow(/after [01]+:/);
  });

  test('a wait that believes every knock wakes more often than it was rung, and is found', () => {
    const wait = (_bell: WaitBell, words: Int32Array): void => {
      if (Atomics.exchange(words, BELL, 0) === 1) return;
      Atomics.wait(words, BELL, 0);
      Atomics.exchange(words, BELL, 0);
    };
    expect(() => explore(wait)).toThrow(/after [01]+:/);
  });

  test('a ring without a knock is found', () => {
    const ring = (_bell: WaitBell, words: Int32Array): void => {
      Atomics.store(words, BELL, 1);
    };
    expect(() => explore((bell) => void bell.wait(), ring)).toThrow(/after [01]+:/);
  });
});

describe('a slab', () => {
  const UNITS = 2;
  const ROUNDS = 3;
  /** Wants room, and the counts of the units. */
  const WORDS = [0, 32, 33];

  interface World {
    /** Where the run of a round is, plus 1. */
    readonly mail: Int32Array;
    /** The round that a unit was taken for last: stands for its bytes. */
    readonly content: Int32Array;
    readonly bells: Int32Array;
    wrong: number;
  }

  interface Parts {
    /** How the owner begins to wait for room: true if it must wait for its bell. */
    readonly mustWait: (pool: SlabPool) => boolean;
    /** Holds a run once more, reads and releases twice: true if the owner's bell is due. */
    readonly use: (reader: SlabReader, position: number, read: () => void) => boolean;
  }

  const SOUND: Parts = {
    mustWait(pool) {
      pool.wantRoom();
      const position = pool.take(SLAB_UNIT_BYTES);
      if (position >= 0) pool.give(position);
      return position < 0;
    },
    use(reader, position, read) {
      reader.retain(position);
      const isDue = reader.release(position);
      read();
      return reader.release(position) || isDue;
    },
  };

  /** The owner takes runs and passes them on; the reader uses each. */
  function explore(changes: Partial<Parts> = {}): Interleavings<World> {
    const parts = { ...SOUND, ...changes };
    const buffer = createSlab(UNITS * SLAB_UNIT_BYTES);
    const control = new Int32Array(buffer, 0, 40);
    const size = control[1]!;
    const words = () => new Int32Array(new SharedArrayBuffer(4 * ROUNDS));
    const walk: Interleavings<World> = new Interleavings<World>({
      make() {
        control.fill(0);
        control[1] = size;
        return { mail: words(), content: words(), bells: words(), wrong: 0 };
      },
      words: ({ mail, content, bells }) => [
        ...WORDS.map((at) => control[at]!),
        ...mail,
        ...content,
        ...bells,
      ],
      threads(world) {
        const bells = walk.bells(world.bells);
        return [
          () => {
            const pool = new SlabPool(buffer);
            for (let round = 1; round <= ROUNDS; round += 1) {
              let position = pool.take(SLAB_UNIT_BYTES);
              while (position < 0) {
                if (parts.mustWait(pool)) bells.waitFor(0);
                position = pool.take(SLAB_UNIT_BYTES);
              }
              Atomics.store(world.content, position / SLAB_UNIT_BYTES, round);
              Atomics.store(world.mail, round - 1, position + 1);
              bells.ring(1);
            }
          },
          () => {
            const reader = new SlabReader(buffer);
            world.wrong = 0;
            for (let round = 1; round <= ROUNDS; round += 1) {
              let mail = Atomics.load(world.mail, round - 1);
              while (mail === 0) {
                bells.waitFor(1);
                mail = Atomics.load(world.mail, round - 1);
              }
              const unit = (mail - 1) / SLAB_UNIT_BYTES;
              const read = () => {
                if (Atomics.load(world.content, unit) !== round) world.wrong += 1;
              };
              if (parts.use(reader, mail - 1, read)) bells.ring(0);
            }
          },
        ];
      },
      atEnd({ wrong }, isBlocked) {
        expect(isBlocked).toEqual([false, false]);
        expect(wrong).toBe(0);
        expect(WORDS.slice(1).map((at) => control[at])).toEqual([0, 0]);
      },
    });
    return walk.run();
  }

  test('what is held stays as it is, all is free in the end, and who waits for room hears of it', () => {
    const walk = explore();
    expect(walk.states).toBeGreaterThan(50);
    expect(walk.ends).toBeGreaterThan(1);
  });

  test('an owner that waits for room without looking again is found', () => {
    const mustWait = (pool: SlabPool): boolean => {
      pool.wantRoom();
      return true;
    };
    expect(() => explore({ mustWait })).toThrow(/after [01]+:/);
  });

  test('a reader that releases less often than it holds is found', () => {
    const use = (reader: SlabReader, position: number): boolean => {
      reader.retain(position);
      return reader.release(position);
    };
    expect(() => explore({ use })).toThrow(/after [01]+:/);
  });

  test('a reader that reads what it has released is found', () => {
    const use = (reader: SlabReader, position: number, read: () => void): boolean => {
      const isDue = reader.release(position);
      read();
      return isDue;
    };
    expect(() => explore({ use })).toThrow(/after [01]+:/);
  });
});

describe('a heartbeat', () => {
  const LOOKS = 2;
  const LOOKS_IN_ALL = 7;

  /** Who moves, rests, moves, and then stands or rests for ever. The verdicts are judged by what was seen. */
  function explore(start: number, restsAtEnd: boolean): { ends: number; judged: number } {
    let judged = 0;
    const words = new Int32Array(new SharedArrayBuffer(4));
    const walk = new Interleavings<{ verdicts: boolean[] }>({
      make() {
        words[0] = start;
        return { verdicts: [] };
      },
      words: () => [words[0]!],
      threads: (world) => [
        () => {
          const heart = new Heartbeat(words);
          heart.beat();
          heart.beat();
          heart.rest();
          heart.beat();
          if (restsAtEnd) heart.rest();
        },
        () => {
          const watch = new HeartbeatWatch(words, 0, LOOKS);
          world.verdicts = [];
          for (let look = 0; look < LOOKS_IN_ALL; look += 1) world.verdicts.push(watch.look());
        },
      ],
      atEnd({ verdicts }, _isBlocked, logs) {
        const seen = logs[1]!;
        let same = 0;
        const due = seen.slice(1).map((value, look) => {
          same = value === seen[look] && (value & 1) === 1 ? same + 1 : 0;
          return same > 0 && same % LOOKS === 0;
        });
        expect(verdicts).toEqual(due);
        if (verdicts.includes(true)) judged += 1;
      },
    });
    const { ends } = walk.run();
    return { ends, judged };
  }

  test.each([0, 0x7fff_fffa, -6])(
    'stands still who works at one step for two looks, from %i',
    (start) => {
      const { ends, judged } = explore(start, false);
      expect(ends).toBeGreaterThan(20);
      expect(judged).toBeGreaterThan(10);
    },
  );

  test.each([0, 0x7fff_fffa, -6])(
    'who rests in the end is judged only before, from %i',
    (start) => {
      const { ends, judged } = explore(start, true);
      expect(judged).toBeGreaterThan(0);
      expect(judged).toBeLessThan(ends);
    },
  );
});
