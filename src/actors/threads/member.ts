// The worker's side of a thread group: builds the system of this thread from what thread 0 gave it and
// keeps its rings in step with the peers. Runs in every worker, once, before the application's setup.
import type { Environment } from '../../env/environment.ts';
import { ActorError } from '../errors.ts';
import type { AnyProtocol } from '../protocol.ts';
import { protocolDifference, protocolSummaries } from '../protocol.ts';
import type { System } from '../system.ts';
import { createSystem } from '../system.ts';
import type { Manifest, SystemLimits } from '../system-options.ts';
import { applySettings, controlService } from './control.ts';
import type { MemberBoot, ToMember } from './membership.ts';
import { RingHub } from './ring-hub.ts';
import { SlabPool } from './slab-pool.ts';
import { bellOf } from './wait-bell.ts';

export interface MemberOptions {
  readonly protocols?: readonly AnyProtocol[];
  readonly manifest?: Manifest;
  readonly limits?: Partial<SystemLimits>;
}

export interface Member {
  readonly system: System;
  readonly hub: RingHub;
  /** The application's boot data. */
  readonly app: unknown;
  /** Tells thread 0 that this thread is up: after the application's actors are spawned. */
  ready(): void;
  /** What is done before the thread ends in order; the system is shut down afterwards. */
  onStop(stop: () => Promise<void> | void): void;
  /** Small control messages to and from thread 0; never message payloads. */
  post(body: unknown): void;
  onMessage(handle: (body: unknown) => void): void;
}

const STOP_TIMEOUT_MS = 5_000;

/**
 * Joins the group that started this thread.
 *
 * @throws ActorError naming the first protocol that differs between this thread and thread 0.
 */
export function joinThreadGroup(env: Environment, options: MemberOptions = {}): Member {
  const { threads } = env;
  const boot = threads.boot.data as MemberBoot;
  const system = createSystem(env, {
    name: boot.name,
    node: boot.node,
    incarnation: boot.incarnation,
    thread: boot.thread,
    threadIncarnation: boot.threadIncarnation,
    threadCount: boot.threadCount,
    strict: boot.isStrict,
    status: new Int32Array(boot.status),
    ...options,
  });
  const difference = protocolDifference(protocolSummaries(system.protocols), boot.protocols);
  if (difference !== undefined) {
    throw new ActorError('ACTOR_MISUSE', `thread ${boot.thread} does not fit: ${difference}`);
  }
  const hub = new RingHub(system, threads, new SlabPool(boot.slab));
  applySettings(system, boot.settings);
  threads.serveControl(controlService(system, hub));
  for (const { thread, pair } of boot.peers) hub.attach(thread, pair);
  let stop: () => Promise<void> | void = () => undefined;
  const handlers: ((body: unknown) => void)[] = [];
  const end = async (): Promise<void> => {
    try {
      await stop();
      await system.shutdown({ timeoutMs: STOP_TIMEOUT_MS });
    } catch (error) {
      env.log.error('a thread did not stop cleanly', { thread: boot.thread, error });
    }
    threads.post({ kind: 'stopped' });
  };
  threads.onMessage((raw) => {
    const message = raw as ToMember;
    if (message.kind === 'peer') hub.attach(message.rings.thread, message.rings.pair);
    else if (message.kind === 'peer-lost') hub.detach(message.thread, 'thread-lost');
    else if (message.kind === 'stop') void end();
    else for (const handle of handlers) handle(message.body);
  });
  return {
    system,
    hub,
    app: boot.app,
    ready() {
      threads.ready();
      // Not before: what boots may wait for files and other IO.
      if (boot.bell === undefined) return;
      hub.blockOn(bellOf(boot.bell));
      system.turn.request();
    },
    onStop(work) {
      stop = work;
    },
    post: (body) => threads.post({ kind: 'app', body }),
    onMessage: (handle) => void handlers.push(handle),
  };
}
