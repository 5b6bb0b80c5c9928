// Durable actors of an application on the simulator's disks: programs that are killed and plugs that are pulled at any
// moment, between the making of a name and the first answer too. The ledger is the test's own.
import { expect, test } from 'vitest';
import { ask, createSystem, protocol } from '../../src/actors/index.ts';
import { array, none, record, u32, u53 } from '../../src/codec/index.ts';
import { durable, openDurableActors } from '../../src/doors/durable.ts';
import type { Environment } from '../../src/env/environment.ts';
import { inWorld } from '../../src/sim/runner.ts';
import type { World } from '../../src/sim/world.ts';
import { runs } from '../setup/runs.ts';

const LIVES = 12;
const LIFE_MS_MAX = 1_500;
/** Less than a write takes: often the next end comes first. */
const GAP_MS = 0.1;
const NAMES = ['a', 'b', 'c'];
const within = { timeoutMs: 60_000 };

const look = record({ sum: u53, timeMs: u53 });
const Account = durable(protocol('account', 1, { add: ask(u32, u53), look: ask(none, look) }), {
  events: { added: u32 },
  state: u53,
  initial: () => 0,
  decide: {
    add: (sum, amount) => ({ events: [{ type: 'added', value: amount }], reply: sum + amount }),
    look: (sum, _input, { logTimeMs }) => ({ reply: { sum, timeMs: Math.floor(logTimeMs) } }),
  },
  apply: { added: (sum, amount) => sum + amount },
});

interface Entry {
  sent: number;
  /** The largest sum that was answered. */
  answered: number;
  timeMs: number;
}

const pause = (env: Environment, ms: number): Promise<void> =>
  new Promise((resolve) => {
    env.timers.at(env.clock.monotonicMs() + ms, resolve);
  });

/** One life of the program: looks at what there is, and adds until it ends. */
async function live(env: Environment, ledger: Map<string, Entry>): Promise<void> {
  const system = createSystem(env, { name: 'app', strict: true });
  const actors = await openDurableActors(env, { kinds: [Account] });
  const run = async (name: string, entry: Entry): Promise<void> => {
    const ref = actors.spawn(system, Account, name);
    const { sum, timeMs } = await ref.ask('look', undefined, within);
    expect(sum).toBeGreaterThanOrEqual(entry.answered);
    expect(sum).toBeLessThanOrEqual(entry.sent);
    expect(timeMs).toBeGreaterThanOrEqual(entry.timeMs);
    entry.timeMs = timeMs;
    // What was not answered in the life before is there or not: from now on it is known.
    entry.sent = sum;
    entry.answered = sum;
    for (;;) {
      entry.sent += 1;
      const after = await ref.ask('add', 1, within);
      expect(after).toBe(entry.sent);
      entry.answered = after;
      await pause(env, GAP_MS);
    }
  };
  await Promise.all([...ledger].map(([name, entry]) => run(name, entry)));
}

async function lives(world: World, ledger: Map<string, Entry>): Promise<void> {
  const draws = world.faults.fork('lives');
  const node = world.node('n1');
  const failures: unknown[] = [];
  for (let life = 0; life < LIVES; life += 1) {
    live(node.start().environment, ledger).catch((error: unknown) => failures.push(error));
    await world.advance(1 + draws.below(LIFE_MS_MAX));
    expect(failures).toEqual([]);
    if (draws.below(2) === 0) node.kill();
    else node.powerCut();
    await world.advance(100);
  }
}

test.each(Array.from({ length: runs(6, 2) }, (_, i) => i + 1))(
  'what was answered is there in every next life: seed %i',
  async (seed) => {
    const ledger = new Map<string, Entry>();
    for (const name of NAMES) ledger.set(name, { sent: 0, answered: 0, timeMs: 0 });
    await inWorld(seed, { buggify: false }, async (world) => {
      await lives(world, ledger);
      expect(world.failure).toBeUndefined();
    });
    for (const { answered } of ledger.values()) expect(answered).toBeGreaterThan(0);
  },
);

const bell = record({ number: u32, setMs: u53, afterMs: u32, rungMs: u53 });
const Bells = durable(
  protocol('bells', 1, {
    set: ask(record({ number: u32, afterMs: u32 }), none),
    ring: ask(u32, none),
    look: ask(none, array(bell)),
  }),
  {
    events: { set: bell, rung: bell },
    state: array(bell),
    initial: (): readonly Bell[] => [],
    decide: {
      set: (_bells, { number, afterMs }, { logTimeMs }) => ({
        events: [{ type: 'set', value: { number, afterMs, setMs: logTimeMs, rungMs: 0 } }],
        timers: [{ key: `${number}`, afterMs, op: 'ring', input: number }],
        reply: undefined,
      }),
      ring(bells, number, { logTimeMs }) {
        const found = bells.find((each) => each.number === number);
        // One that rings again is a bell of its own: the ledger sees it.
        const value = { setMs: 0, afterMs: 0, ...found, number, rungMs: logTimeMs };
        return { events: [{ type: 'rung', value }], reply: undefined };
      },
      look: (bells) => ({ reply: bells }),
    },
    apply: {
      set: (bells, value) => [...bells, value],
      rung: (bells, value) => {
        const at = bells.findIndex(({ number, rungMs }) => number === value.number && rungMs === 0);
        return at < 0 ? [...bells, value] : bells.map((each, i) => (i === at ? value : each));
      },
    },
  },
);
type Bell = { number: number; setMs: number; afterMs: number; rungMs: number };

test.each([1, 2, 3, 4].slice(0, runs(4, 2)))(
  'timers ring once, not early, in whichever life: seed %i',
  async (seed) => {
    const set = new Set<number>();
    let bells: readonly Bell[] = [];
    await inWorld(seed, { buggify: false }, async (world) => {
      const draws = world.faults.fork('lives');
      const node = world.node('n1');
      let number = 0;
      const open = async (env: Environment) => {
        const system = createSystem(env, { name: 'app', strict: true });
        return (await openDurableActors(env, { kinds: [Bells] })).spawn(system, Bells, 'tower');
      };
      const ringers = async (env: Environment): Promise<void> => {
        const tower = await open(env);
        for (;;) {
          number += 1;
          const mine = number;
          await tower.ask('set', { number: mine, afterMs: draws.below(3_000) }, within);
          set.add(mine);
          await pause(env, 20 + draws.below(200));
        }
      };
      const failures: unknown[] = [];
      for (let life = 0; life < LIVES; life += 1) {
        ringers(node.start().environment).catch((error: unknown) => failures.push(error));
        await world.advance(100 + draws.below(LIFE_MS_MAX));
        expect(failures).toEqual([]);
        if (draws.below(2) === 0) node.kill();
        else node.powerCut();
        await world.advance(draws.below(1_000));
      }
      const { environment } = node.start();
      const looking = (async () => {
        const tower = await open(environment);
        await pause(environment, 4_000);
        bells = await tower.ask('look', undefined, within);
      })();
      await world.advance(6_000);
      await looking;
      expect(world.failure).toBeUndefined();
    });
    const numbers = bells.map((each) => each.number);
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const number of set) expect(numbers).toContain(number);
    for (const { setMs, afterMs, rungMs } of bells) expect(rungMs).toBeGreaterThan(setMs + afterMs);
    expect(set.size).toBeGreaterThan(20);
  },
);
