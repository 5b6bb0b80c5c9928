// The places a message can cross, all under a manual clock: within one thread, loose and strict, through
// a ring in shared memory, and over a link between nodes. What an outcome test says holds in each of them.
import type { Ref, System, SystemOptions } from '../../src/actors/index.ts';
import { createSystem } from '../../src/actors/index.ts';
import { Links } from '../../src/actors/links/links.ts';
import type { Ops, Protocol } from '../../src/actors/protocol.ts';
import type { ManualEnvironment } from '../../src/actors/testkit/index.ts';
import { MemoryNet, manualEnvironment } from '../../src/actors/testkit/index.ts';
import { createRing } from '../../src/actors/threads/ring.ts';
import { RingHub } from '../../src/actors/threads/ring-hub.ts';
import { createSlab, SlabPool } from '../../src/actors/threads/slab-pool.ts';
import type { Threads } from '../../src/env/threads.ts';

export const RING_BYTES = 8 * 1024;
export const SLAB_BYTES = 512 * 1024;

export interface World {
  readonly env: ManualEnvironment;
  /** Whoever asks lives here. */
  readonly here: System;
  /** Whoever is asked lives there: the same system on one thread. */
  readonly there: System;
  /** Of the well-known actor in that slot there. */
  ref<O extends Ops>(protocol: Protocol<O>, slot: number): Ref<O>;
  /** Bytes of large messages that are still lent to somebody. */
  lentBytes(): number;
}

export type Place = 'one thread' | 'one thread, strict' | 'ring' | 'link';
export const PLACES: readonly Place[] = ['one thread', 'one thread, strict', 'ring', 'link'];

export function makeWorld(place: Place, options: Partial<SystemOptions> = {}): World {
  if (place === 'ring') return ringWorld({ system: options });
  if (place === 'link') return linkWorld(options);
  const env = manualEnvironment(1);
  const strict = place === 'one thread, strict';
  const system = makeSystem(env, 1, 0, 1, { strict, ...options });
  return {
    env,
    here: system,
    there: system,
    ref: (protocol, slot) => system.wellKnown(protocol, { thread: 0, slot }),
    lentBytes: () => 0,
  };
}

function makeSystem(
  env: ManualEnvironment,
  node: number,
  thread: number,
  threadCount: number,
  options: Partial<SystemOptions>,
): System {
  return createSystem(env, {
    name: `n${node}t${thread}`,
    node,
    incarnation: 1,
    thread,
    threadCount,
    ...options,
  });
}

export interface RingWorldOptions {
  readonly system?: Partial<SystemOptions>;
  /** Default: `SLAB_BYTES`. */
  readonly slabBytes?: number;
}

export function ringWorld({ system = {}, slabBytes = SLAB_BYTES }: RingWorldOptions): World {
  const env = manualEnvironment(1);
  const systems = [0, 1].map((thread) => makeSystem(env, 1, thread, 2, system));
  const slabs = systems.map(() => new SlabPool(createSlab(slabBytes)));
  // A bell is a task of the other thread's run queue.
  const bells: (() => void)[] = [];
  const hubs = systems.map((system, thread) => {
    const threads = {
      doorbell: (peer: number) => ({ ring: () => env.runQueue.soon(() => bells[peer]?.()) }),
      onBell: (handle: (peer: number) => void) => {
        bells[thread] = () => handle(1 - thread);
      },
    };
    return new RingHub(system, threads as unknown as Threads, slabs[thread]!);
  });
  const rings = [createRing(RING_BYTES), createRing(RING_BYTES)] as const;
  for (const thread of [0, 1] as const) {
    const peer = thread === 0 ? 1 : 0;
    hubs[thread]!.attach(peer, {
      incarnation: 1,
      incoming: rings[peer],
      outgoing: rings[thread],
      slab: slabs[peer]!.buffer,
    });
  }
  const [here, there] = systems as [System, System];
  return {
    env,
    here,
    there,
    ref: (protocol, slot) => here.wellKnown(protocol, { thread: 1, slot }),
    lentBytes: () => slabs[0]!.usedBytes + slabs[1]!.usedBytes,
  };
}

function linkWorld(options: Partial<SystemOptions>): World {
  // The net needs the environment's run queue, and the environment its net.
  const base = manualEnvironment(1);
  const net = new MemoryNet(base.runQueue, base.random);
  const env = Object.assign(base, { net });
  const [here, there] = [1, 2].map((node) => {
    const system = makeSystem(env, node, 0, 1, options);
    const links = new Links(system, { clusterId: 'test', token: 'secret' });
    const host = '127.0.0.1';
    void net.listen({ host, port: 1000 + node }, (connection) => links.accept(connection));
    links.setAddress(3 - node, { host, port: 1000 + 3 - node });
    return system;
  }) as [System, System];
  return {
    env,
    here,
    there,
    ref: (protocol, slot) => here.wellKnown(protocol, { node: 2, thread: 0, slot }),
    lentBytes: () => 0,
  };
}

/** Settles the world and answers what became of a promise, without moving time. */
export async function outcomeOf<T>(
  { env }: Pick<World, 'env'>,
  promise: Promise<T>,
): Promise<{ readonly value: T } | { readonly code: string; readonly error: Error }> {
  let settled: { readonly value: T } | { readonly code: string; readonly error: Error } | undefined;
  promise.then(
    (value) => {
      settled = { value };
    },
    (error: Error & { code: string }) => {
      settled = { code: error.code, error };
    },
  );
  await env.settle();
  if (settled === undefined) throw new Error('nothing became of it');
  return settled;
}
