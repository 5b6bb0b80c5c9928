// One actor per worker, and a group of real threads around it: what the tests of threads share.
import { afterEach } from 'vitest';
import type { System } from '../../../src/actors/index.ts';
import { ActorError, ask, createSystem, protocol, tell } from '../../../src/actors/index.ts';
import type { Suspect, ThreadGroupOptions } from '../../../src/actors/threads/thread-group.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import { bool, bytes, none, record, u32, utf8 } from '../../../src/codec/index.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import type { NodeThreads } from '../../../src/env/node/threads.ts';
import type { ThreadExit } from '../../../src/env/threads.ts';

export const Peer = protocol('peer', 1, {
  take: tell(record({ sequence: u32, body: bytes })),
  report: ask(none, record({ taken: u32, wrong: u32, byteCount: u32 })),
  echo: ask(bytes, bytes),
  sendTo: tell(record({ thread: u32, count: u32, sizeMax: u32 })),
  die: tell(utf8),
  never: ask(none, u32),
  cpuWakes: ask(none, u32),
  /** Asks thread 0 at `ASKED_SLOT`, and answers what that answers. */
  askMain: ask(none, u32),
  /** Ports that keep the thread alive, and whether it has loaded the package for control calls. */
  footprint: ask(none, record({ ports: u32, hasComlink: bool })),
  /** Answered by a timer of the actor. */
  afterMs: ask(u32, none),
  due: tell(none),
});

/** What workers ask. */
export const ASKED_SLOT = 11;

export const entry = new URL('../workers/member.mjs', import.meta.url);
export const ignore = () => undefined;
export const quiet: Log = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => quiet,
};

export interface Loss {
  readonly thread: number;
  readonly exit: ThreadExit;
  readonly suspect: Suspect | undefined;
}

export interface World {
  readonly system: System;
  readonly group: ThreadGroup;
  readonly threads: NodeThreads;
  readonly env: ReturnType<typeof createNodeEnvironment>;
  nextLoss(): Promise<Loss>;
  nextReady(): Promise<{ thread: number; incarnation: number }>;
}

const open: World[] = [];
afterEach(async () => {
  for (const world of open.splice(0)) {
    await world.group.stop({ timeoutMs: 2_000 });
    await world.system.shutdown({ timeoutMs: 1_000 });
  }
});

export function mailbox<T>() {
  const items: T[] = [];
  const waiters: ((item: T) => void)[] = [];
  return {
    put(item: T): void {
      const waiter = waiters.shift();
      if (waiter === undefined) items.push(item);
      else waiter(item);
    },
    next: (): Promise<T> =>
      items.length > 0
        ? Promise.resolve(items.shift()!)
        : new Promise((resolve) => waiters.push(resolve)),
  };
}

export function world(workers: number, options: Partial<ThreadGroupOptions> = {}): World {
  const env = createNodeEnvironment({ log: quiet });
  const system = createSystem(env, {
    name: 'test',
    node: 1,
    incarnation: 9,
    thread: 0,
    threadCount: workers + 1,
    protocols: [Peer],
  });
  const losses = mailbox<Loss>();
  const readies = mailbox<{ thread: number; incarnation: number }>();
  const group = new ThreadGroup(system, {
    entry,
    workers,
    onThreadLost: (thread, exit, suspect) => losses.put({ thread, exit, suspect }),
    onThreadReady: (thread, incarnation) => readies.put({ thread, incarnation }),
    restart: {
      maxRestarts: 5,
      windowMs: 60_000,
      backoff: { minMs: 1, maxMs: 5, jitter: 0 },
    },
    ...options,
  });
  const made = {
    env,
    system,
    group,
    threads: env.threads,
    nextLoss: losses.next,
    nextReady: readies.next,
  };
  open.push(made);
  return made;
}

/** Asks for the report until `count` messages were taken; a ring that is full of them refuses the question. */
export async function reportOf(system: System, thread: number, count: number) {
  const peer = system.wellKnown(Peer, { thread, slot: 10 });
  for (;;) {
    try {
      const report = await peer.ask('report', undefined, { timeoutMs: 10_000 });
      if (report.taken >= count) return report;
    } catch (error) {
      if (!(error instanceof ActorError && error.code === 'ACTOR_FULL')) throw error;
      await peer.ready();
    }
  }
}

/** Polls once per turn of the loop. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
