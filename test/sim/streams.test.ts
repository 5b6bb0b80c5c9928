// Links and streams of two simulated nodes while the network is cut, clogged and reset, and the reading node pauses and
// dies: what arrives of a stream is its beginning, `complete` is true, everything ends, and messages keep their order.
import { expect, test } from 'vitest';
import {
  actor,
  createSystem,
  protocol,
  type StreamEnd,
  streamAddress,
  tell,
} from '../../src/actors/index.ts';
import { Links } from '../../src/actors/links/links.ts';
import { none, record, u32 } from '../../src/codec/index.ts';
import type { Environment } from '../../src/env/environment.ts';
import { inWorld } from '../../src/sim/runner.ts';
import type { World } from '../../src/sim/world.ts';
import { runs } from '../setup/runs.ts';

const Taker = protocol('taker', 1, {
  take: tell(record({ id: u32, stream: streamAddress })),
  note: tell(u32),
});
const Giver = protocol('giver', 1, { go: tell(none) });
const PORT = 7_000;
const SLOT = 5;
const STREAMS = 14;
const CHAOS_MS = 40_000;

interface Carried {
  readonly total: number;
  received: number;
  isPrefix: boolean;
  accepted: number;
  /** In the present life of the reader. */
  isOpen: boolean;
  readEnds: StreamEnd[];
  writeEnd: StreamEnd | undefined;
}

const byteOf = (id: number, at: number): number => (id * 101 + at * 31 + (at >>> 8)) & 0xff;

async function play(world: World) {
  const random = world.workload;
  const host = (node: number) => world.node(`n${node}`).host;
  const carried: Carried[] = [];
  const noted: number[][] = [];
  let isLate = false;

  const start = (env: Environment, node: number) => {
    const system = createSystem(env, {
      name: `n${node}`,
      node,
      incarnation: 1 + random.below(1_000_000),
      thread: 0,
      threadCount: 1,
      protocols: [Taker],
    });
    const links = new Links(system, { clusterId: 'streams', token: 'of the simulation' });
    void links.listen({ host: host(node), port: PORT }).catch((error: unknown) => {
      world.fail('listen', String(error));
    });
    links.setAddress(3 - node, { host: host(3 - node), port: PORT });
    return { system, links };
  };

  const startReader = () => {
    const { system } = start(world.node('n2').start().environment, 2);
    const notes: number[] = [];
    noted.push(notes);
    const TakerActor = actor(Taker, (ctx, _args: undefined) => ({
      note: (sequence) => void notes.push(sequence),
      take({ id, stream }) {
        const each = carried[id]!;
        each.accepted += 1;
        each.isOpen = true;
        let at = 0;
        ctx.acceptStream(
          stream,
          {
            onBytes(view) {
              if (!each.isOpen) isLate = true;
              for (const byte of view) {
                if (byte !== byteOf(id, at)) each.isPrefix = false;
                at += 1;
              }
              each.received = at;
              // Some readers are slow.
              if (id % 3 !== 0) return undefined;
              return new Promise((resolve) => {
                system.deadlines.after(5, () => resolve());
              });
            },
            onEnd(end) {
              each.isOpen = false;
              each.readEnds.push(end);
            },
          },
          { windowBytes: 4_096 << (id % 6) },
        );
      },
    }));
    system.spawnWellKnown(SLOT, 'taker', TakerActor, undefined);
  };

  startReader();
  const writer = start(world.node('n1').start().environment, 1);
  const taker = writer.system.wellKnown(Taker, { node: 2, thread: 0, slot: SLOT });

  const giver = (id: number) =>
    actor(Giver, (ctx, _args: undefined) => {
      const each = carried[id]!;
      const out = ctx.openStream();
      taker.tell('take', { id, stream: out.address });
      const write = async (): Promise<void> => {
        for (let at = 0; at < each.total; ) {
          const length = Math.min(each.total - at, 1 + random.below(90_000));
          const from = at;
          const piece = new Uint8Array(length).map((_, i) => byteOf(id, from + i));
          for (;;) {
            const taken = out.write(piece);
            if (taken === 'ended') return;
            if (taken === 'accepted') break;
            await out.ready();
          }
          at += length;
        }
        out.finish();
      };
      void write();
      void out.done.then((end) => {
        each.writeEnd = end;
        ctx.stop();
      });
      return { go: () => undefined };
    });

  for (let id = 0; id < STREAMS; id += 1) {
    const total = 1 + random.below(id % 2 === 0 ? 2_000_000 : 50_000);
    world.afterMs(random.below(CHAOS_MS), () => {
      carried[id] = {
        total,
        received: 0,
        isPrefix: true,
        accepted: 0,
        isOpen: false,
        readEnds: [],
        writeEnd: undefined,
      };
      writer.system.spawn(`giver-${id}`, giver(id), undefined);
    });
  }
  for (let sequence = 0; sequence < 1_000; sequence += 1) {
    world.afterMs(sequence * 40, () => taker.tell('note', sequence));
  }
  for (let atMs = 500; atMs < CHAOS_MS; atMs += 1_000 + random.below(9_000)) {
    world.afterMs(atMs, () => fault(world, startReader, carried), 'fault');
  }
  await world.advance(CHAOS_MS + 1_000);
  world.network.heal();
  world.node('n2').resume();
  // Half-open links are found after 40 s, a reader that never came after 10 s.
  await world.advance(120_000);
  return { carried, noted, isLate };
}

/** Mostly shorter than anybody notices, now and then longer than half-open links live. */
function lastingMs(faults: World['faults']): number {
  return faults.below(faults.below(4) === 0 ? 60_000 : 3_000);
}

function fault(world: World, startReader: () => void, carried: readonly Carried[]): void {
  const { faults, network } = world;
  const [a, b] = [world.node('n1').host, world.node('n2').host];
  const reader = world.node('n2');
  switch (faults.below(5)) {
    case 0: {
      const mend = network.block(a, b);
      world.afterMs(lastingMs(faults), mend, 'fault');
      break;
    }
    case 1: {
      const mends = [network.block(a, b), network.block(b, a)];
      for (const mend of mends) world.afterMs(lastingMs(faults), mend, 'fault');
      break;
    }
    case 2:
      network.resetOne(faults, () => true);
      break;
    case 3:
      reader.pause();
      world.afterMs(faults.below(5_000), () => reader.resume(), 'fault');
      break;
    default:
      reader.kill();
      // What it read is gone with it.
      for (const each of carried) if (each !== undefined) each.isOpen = false;
      startReader();
  }
}

test('streams arrive as a beginning or whole, end for both sides, and messages keep their order', async () => {
  let complete = 0;
  const reasons = new Set<string>();
  const seeds = runs(200, 12);
  for (let seed = 1; seed <= seeds; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const { carried, noted, isLate } = await play(world);
      const label = `seed ${seed}`;
      expect(world.failure, label).toBeUndefined();
      expect(isLate, label).toBe(false);
      for (const [id, each] of carried.entries()) {
        const what = `${label}, stream ${id}: ${JSON.stringify(each)}`;
        expect(each.isPrefix && each.accepted <= 1, what).toBe(true);
        expect(each.writeEnd, what).toBeDefined();
        expect(each.isOpen, what).toBe(false);
        const readEnd = each.readEnds.at(-1);
        if (each.writeEnd!.reason === 'complete') expect(readEnd?.reason, what).toBe('complete');
        if (readEnd?.reason === 'complete') expect(each.received, what).toBe(each.total);
        if (each.writeEnd!.reason === 'complete') complete += 1;
        reasons.add(each.writeEnd!.reason);
      }
      for (const notes of noted) {
        expect(
          notes.every((note, i) => i === 0 || note > notes[i - 1]!),
          label,
        ).toBe(true);
      }
    });
  }
  // The faults are not so many that nothing works, nor so few that nothing breaks.
  expect(complete).toBeGreaterThan(3 * seeds);
  expect([...reasons]).toEqual(expect.arrayContaining(['complete', 'unreachable']));
}, 240_000);
