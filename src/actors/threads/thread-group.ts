// Thread 0's side: starts the workers, gives every ordered pair of threads its ring, notices death and
// standstill, and replaces what died under a restart budget. The new incarnation gets new rings; what
// the dead one was handling is named as the suspect and never delivered again.
// Invariant: a peer hears `peer-lost` before it gets the rings of the next incarnation.
import type { Environment } from '../../env/environment.ts';
import type { ControlOptions, ThreadExit, ThreadHandle, ThreadLimits } from '../../env/threads.ts';
import { ActorError } from '../errors.ts';
import type { ThreadGlimpse } from '../inspect/looks.ts';
import { protocolSummaries } from '../protocol.ts';
import { STATUS_OP, STATUS_PROTOCOL, STATUS_SLOT, STATUS_WORDS } from '../status.ts';
import type { RestartPolicy } from '../supervise.ts';
import { RestartBudget } from '../supervise.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import type { MemberControl, SettingsInForce, ThreadSettings } from './control.ts';
import { checkSettings, controlService, memberControl } from './control.ts';
import type { FromMember, MemberBoot, PeerRings, ToMember } from './membership.ts';
import { createRing } from './ring.ts';
import { RingHub } from './ring-hub.ts';
import type { RingPair } from './ring-route.ts';
import { createSlab, SlabPool } from './slab-pool.ts';
import type { StallLimits } from './standstill.ts';
import { DEFAULT_STALL, Standstill } from './standstill.ts';
import { bellOf } from './wait-bell.ts';

/** The message that a thread was handling when it ended. */
export interface Suspect {
  readonly thread: number;
  readonly slot: number;
  readonly protocol: string;
  readonly op: string;
}

export interface ThreadGroupOptions {
  /** Compiled module that calls `joinThreadGroup`. */
  readonly entry: URL;
  /** The application's module, where the entry is not: what the words of a failed boot name. */
  readonly loads?: URL;
  /** Workers; their thread numbers are 1..workers. The system's threadCount is one more. */
  readonly workers: number;
  /** The application's boot data for a thread, made anew for every start. */
  readonly appData?: (thread: number, incarnation: number) => unknown;
  /** Power of two. */
  readonly ringBytes?: number;
  /** Largest payload of one message, and all that may be in flight out of band per thread. */
  readonly slabBytes?: number;
  readonly limits?: ThreadLimits;
  readonly restart?: RestartPolicy;
  /** A worker that has not called `ready` after so long is ended: its boot failed. Default: 30 s. */
  readonly bootTimeoutMs?: number;
  /**
   * A worker that was busy without beginning a turn or a message in this many samples in a row is ended.
   * So one handler may hold its thread for less than `sampleMs` times `samples`. Default: 3 of 500 ms.
   */
  readonly stall?: StallLimits;
  /**
   * What a worker does between messages. `loop`: it sleeps in its event loop, as threads with IO must. `block`:
   * it blocks in Atomics.wait, which wakes faster; that is for workers that only compute. Actors, their timers
   * and asks work as ever there; sockets, timers of Node's own and its thread pool wait up to 250 ms.
   * Default: `loop`.
   */
  readonly idle?: 'loop' | 'block';
  /** Tests start the free-running ring indices near their wrap. */
  readonly ringStartIndex?: number;
  readonly onThreadLost?: (thread: number, exit: ThreadExit, suspect?: Suspect) => void;
  readonly onThreadReady?: (thread: number, incarnation: number) => void;
  /** The restart budget is used up: the thread stays dead. */
  readonly onGivenUp?: (thread: number, exit: ThreadExit) => void;
  readonly onMessage?: (thread: number, body: unknown) => void;
}

const DEFAULT_RING_BYTES = 1024 * 1024;
const DEFAULT_SLAB_BYTES = 64 * 1024 * 1024;
const DEFAULT_BOOT_TIMEOUT_MS = 30_000;
const DEFAULT_RESTART: RestartPolicy = {
  maxRestarts: 3,
  windowMs: 60_000,
  backoff: { minMs: 50, maxMs: 5_000, jitter: 0.2 },
};

interface Member {
  readonly thread: number;
  readonly budget: RestartBudget;
  incarnation: number;
  slab: SharedArrayBuffer;
  status: Int32Array;
  bell: SharedArrayBuffer | undefined;
  handle: ThreadHandle | undefined;
  isReady: boolean;
  isStopping: boolean;
  /** What was changed while it ran: its next life begins with it. */
  settings: ThreadSettings;
  restart: Deadline | undefined;
}

export class ThreadGroup {
  readonly hub: RingHub;
  readonly #system: System;
  readonly #env: Environment;
  readonly #options: ThreadGroupOptions;
  readonly #members: Member[] = [];
  readonly #slab: SharedArrayBuffer;
  readonly #ringBytes: number;
  readonly #standstill: Standstill;
  #isStopping = false;

  constructor(system: System, options: ThreadGroupOptions) {
    this.#system = system;
    this.#env = system.env;
    system.access.glimpse = (thread) => this.#glimpse(thread);
    this.#options = options;
    this.#ringBytes = options.ringBytes ?? DEFAULT_RING_BYTES;
    this.#standstill = new Standstill(system);
    this.#slab = this.#newSlab();
    this.hub = new RingHub(system, this.#env.threads, new SlabPool(this.#slab));
    this.#env.threads.serveControl(controlService(system, this.hub));
    for (let thread = 1; thread <= options.workers; thread += 1) {
      this.#members.push({
        thread,
        budget: new RestartBudget(options.restart ?? DEFAULT_RESTART),
        incarnation: 1,
        slab: this.#newSlab(),
        status: newStatus(),
        bell: this.#newBell(),
        handle: undefined,
        isReady: false,
        isStopping: false,
        settings: {},
        restart: undefined,
      });
    }
  }

  /** Starts every worker; resolves when all are ready, rejects with the reason of the first that is not. */
  async start(): Promise<void> {
    const rings = new Map<number, PeerRings[]>();
    const threads = [0, ...this.#members.map((each) => each.thread)];
    for (const thread of threads) rings.set(thread, []);
    for (const a of threads) {
      for (const b of threads) {
        if (a < b) this.#connect(a, b, (owner, peer) => rings.get(owner)!.push(peer));
      }
    }
    for (const { thread, pair } of rings.get(0)!) this.hub.attach(thread, pair);
    const all = this.#members.map((member) => this.#launch(member, rings.get(member.thread)!));
    for (const member of this.#members) this.#watch(member);
    await Promise.all(all);
  }

  /** Small control messages to the application's code in a worker. */
  post(thread: number, body: unknown): void {
    const member = this.#member(thread);
    if (member !== undefined) this.#post(member, { kind: 'app', body });
  }

  /** Starts of the thread so far, or undefined while it is dead. */
  incarnationOf(thread: number): number | undefined {
    const member = this.#member(thread);
    return member?.handle === undefined ? undefined : member.incarnation;
  }

  /**
   * Looks into a thread and changes it while it runs: 0 is this one, 1 and up are the workers.
   *
   * @throws ActorError if the group has no such thread.
   */
  control(thread: number): MemberControl {
    const { threads } = this.#env;
    if (thread === 0) return memberControl(() => threads.control);
    const member = this.#member(thread);
    if (member === undefined) {
      throw new ActorError('ACTOR_MISUSE', `the group has no thread ${thread}`, { thread });
    }
    const plain = memberControl(() => {
      if (member.handle !== undefined) return member.handle.control;
      throw new ActorError('THREAD_CONTROL_LOST', `thread ${thread} is not running`, { thread });
    });
    const excuse = () => this.#standstill.excuse(thread);
    // A thread that blocks does not hear that it is called: the call has been posted when this rings.
    const heard = <T>(answer: Promise<T>): Promise<T> => {
      if (member.bell !== undefined) this.#ring(member);
      return answer;
    };
    return {
      inspect: (options) => heard(plain.inspect(options)),
      counters: (options) => heard(plain.counters(options)),
      facts: (options) => heard(plain.facts(options)),
      configure: (settings, options) => this.#configure(member, plain, settings, options, heard),
      async cpuProfile(durationMs, options) {
        const end = excuse();
        return heard(plain.cpuProfile(durationMs, options)).finally(end);
      },
      async *heapSnapshot(options) {
        const pieces = plain.heapSnapshot(options);
        try {
          for (;;) {
            // Only while the thread works on a piece: its reader may take all the time it wants.
            const end = excuse();
            const { done, value } = await heard(pieces.next()).finally(end);
            if (done === true) return;
            yield value;
          }
        } finally {
          await pieces.return();
        }
      },
    };
  }

  async #configure(
    member: Member,
    plain: MemberControl,
    settings: ThreadSettings,
    options: ControlOptions,
    heard: <T>(answer: Promise<T>) => Promise<T>,
  ): Promise<SettingsInForce> {
    checkSettings(settings);
    const { stall, ...inside } = settings;
    const inForce = await heard(plain.configure(inside, options));
    const limits = { ...member.settings.limits, ...inside.limits };
    member.settings = { ...member.settings, ...inside, limits };
    if (stall !== undefined) this.#standstill.setLimits(member.thread, stall);
    const watched = this.#standstill.limitsOf(member.thread);
    return { ...inForce, ...(watched === undefined ? {} : { stall: watched }) };
  }

  /** Ends one worker as if it had died; it is replaced under the budget. */
  kill(thread: number): void {
    this.#member(thread)?.handle?.stop();
  }

  /** Asks every worker to shut down, then ends them; nothing is restarted any more. */
  async stop(options: { readonly timeoutMs: number }): Promise<void> {
    this.#isStopping = true;
    this.#standstill.close();
    await Promise.all(this.#members.map((member) => this.#stopMember(member, options.timeoutMs)));
  }

  async #stopMember(member: Member, timeoutMs: number): Promise<void> {
    member.isStopping = true;
    if (member.restart !== undefined) this.#system.deadlines.cancel(member.restart);
    const { handle } = member;
    if (handle === undefined) return;
    await new Promise<void>((resolve) => {
      const timeout = this.#system.deadlines.after(timeoutMs, () => handle.stop());
      handle.onMessage((message) => {
        if ((message as FromMember).kind === 'stopped') handle.stop();
      });
      handle.onExit(() => {
        this.#system.deadlines.cancel(timeout);
        resolve();
      });
      this.#post(member, { kind: 'stop' });
    });
  }

  #member(thread: number): Member | undefined {
    return this.#members[thread - 1];
  }

  #post(member: Member, message: ToMember): void {
    member.handle?.post(message);
    // A thread that blocks does not hear its control messages.
    if (member.bell !== undefined) this.#ring(member);
  }

  /** Its event loop comes round. */
  #ring({ thread, bell }: Member): void {
    if (bell === undefined) this.#env.threads.doorbell(thread).ring();
    else bellOf(bell).ring();
  }

  #newBell(): SharedArrayBuffer | undefined {
    return this.#options.idle === 'block' ? new SharedArrayBuffer(4) : undefined;
  }

  #newSlab(): SharedArrayBuffer {
    return createSlab(this.#options.slabBytes ?? DEFAULT_SLAB_BYTES);
  }

  /** Makes both rings between two threads and tells each side its view. */
  #connect(a: number, b: number, give: (owner: number, rings: PeerRings) => void): void {
    const start = this.#options.ringStartIndex ?? 0;
    const ab = createRing(this.#ringBytes, start);
    const ba = createRing(this.#ringBytes, start);
    const pair = (
      of: number,
      incoming: SharedArrayBuffer,
      outgoing: SharedArrayBuffer,
    ): RingPair => ({
      incarnation: this.#member(of)?.incarnation ?? 1,
      incoming,
      outgoing,
      slab: this.#member(of)?.slab ?? this.#slab,
      bell: this.#member(of)?.bell,
    });
    give(a, { thread: b, pair: pair(b, ba, ab) });
    give(b, { thread: a, pair: pair(a, ab, ba) });
  }

  async #launch(member: Member, peers: readonly PeerRings[]): Promise<void> {
    const { thread, incarnation } = member;
    const { place, name, threadCount, isStrict } = this.#system;
    const boot: MemberBoot = {
      name,
      node: place.node,
      incarnation: place.incarnation,
      thread,
      threadIncarnation: incarnation,
      threadCount,
      isStrict,
      protocols: protocolSummaries(this.#system.protocols),
      peers,
      slab: member.slab,
      status: member.status.buffer as SharedArrayBuffer,
      bell: member.bell,
      settings: member.settings,
      app: this.#options.appData?.(thread, incarnation),
    };
    const { entry, loads, limits } = this.#options;
    const options = loads === undefined ? limits : { ...limits, loads };
    const handle = this.#env.threads.start(entry, thread, boot, options);
    member.handle = handle;
    member.isReady = false;
    this.#standstill.forget(thread);
    handle.onMessage((raw) => {
      const message = raw as FromMember;
      if (message.kind === 'app') this.#options.onMessage?.(thread, message.body);
    });
    handle.onExit((exit) => this.#lost(member, exit));
    await this.#booted(handle);
    member.isReady = true;
    this.#options.onThreadReady?.(thread, incarnation);
  }

  async #booted(handle: ThreadHandle): Promise<void> {
    const { entry, loads = entry, bootTimeoutMs = DEFAULT_BOOT_TIMEOUT_MS } = this.#options;
    const { index } = handle;
    const late = `thread ${index} did not boot from ${loads.href}: not ready after ${bootTimeoutMs} ms`;
    const timeout = this.#system.deadlines.after(bootTimeoutMs, () => {
      handle.stop('boot-failed', late);
    });
    try {
      await handle.ready;
    } finally {
      this.#system.deadlines.cancel(timeout);
    }
  }

  #lost(member: Member, exit: ThreadExit): void {
    const { thread } = member;
    const suspect = this.#suspect(member);
    member.handle = undefined;
    member.isReady = false;
    if (!this.#isStopping) {
      this.#env.log.error('a thread ended', { thread, ...exit, suspect });
    }
    for (const peer of this.#members) this.#post(peer, { kind: 'peer-lost', thread });
    this.hub.detach(thread, 'thread-lost');
    this.#options.onThreadLost?.(thread, exit, suspect);
    if (this.#isStopping || member.isStopping) return;
    const delayMs = member.budget.next(this.#env.clock.monotonicMs(), this.#env.random);
    if (delayMs === undefined) {
      this.#env.log.error('a thread ended too often and stays dead', { thread });
      this.#options.onGivenUp?.(thread, exit);
      return;
    }
    member.restart = this.#system.deadlines.after(delayMs, () => this.#restart(member));
  }

  #restart(member: Member): void {
    member.incarnation += 1;
    member.slab = this.#newSlab();
    member.status = newStatus();
    member.bell = this.#newBell();
    const mine: PeerRings[] = [];
    const others = this.#members.filter((each) => each.handle !== undefined);
    for (const peer of [0, ...others.map((each) => each.thread)]) {
      this.#connect(member.thread, peer, (owner, rings) => {
        if (owner === member.thread) mine.push(rings);
        else if (owner === 0) this.hub.attach(rings.thread, rings.pair);
        else this.#post(this.#member(owner)!, { kind: 'peer', rings });
      });
    }
    this.#launch(member, mine).catch((error: unknown) => {
      // The exit handler has it already: budget, next start or giving up.
      this.#env.log.error('a thread did not boot', { thread: member.thread, error });
    });
  }

  /** From outside, by its shared words: also of a thread that does not answer. */
  #glimpse(thread: number): ThreadGlimpse | undefined {
    const member = this.#member(thread);
    if (member === undefined) return undefined;
    const seen = { isAlive: member.handle !== undefined, incarnation: member.incarnation };
    const suspect = this.#suspect(member);
    if (suspect === undefined) return seen;
    const { protocol, op, slot } = suspect;
    return { ...seen, handling: { class: protocol, op, slot } };
  }

  #suspect(member: Member): Suspect | undefined {
    const { status, thread } = member;
    const code = status[STATUS_OP]! - 1;
    if (code < 0) return undefined;
    const hash = status[STATUS_PROTOCOL]! >>> 0;
    const protocol = this.#system.protocols.find((each) => each.hash === hash);
    return {
      thread,
      slot: status[STATUS_SLOT]!,
      protocol: protocol?.name ?? 'unknown',
      op: protocol?.table[code]?.name ?? `op ${code}`,
    };
  }

  #watch(member: Member): void {
    const { thread } = member;
    const watched = {
      status: () => (member.isReady ? member.status : undefined),
      utilization: () => member.handle?.utilization() ?? 0,
      ring: () => this.#ring(member),
      standsStill: () => {
        this.#env.log.error('a thread stands still', { thread });
        member.handle?.stop('stalled');
      },
    };
    this.#standstill.watch(thread, watched, this.#options.stall ?? DEFAULT_STALL);
  }
}

function newStatus(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(STATUS_WORDS * 4));
}
