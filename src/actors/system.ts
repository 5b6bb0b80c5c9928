// The runtime of one thread: it makes actors, refs and routes and owns the turn. Every thread of every
// node has one; they know each other only through routes (rings and links). Not here: threads, sockets.
import type { Clock, Environment, Log, Random } from '../env/environment.ts';
import { messageOf } from '../std/errors.ts';
import type { Actor, EndCause, Placement, Spawner } from './actor.ts';
import type { RefHost } from './actor-ref.ts';
import { CellRef, IdRef } from './actor-ref.ts';
import { AskSlab } from './ask.ts';
import { Cell, STATE_STOPPED } from './cell.ts';
import type { CellHost, Method } from './cell-host.ts';
import type { ContextHost } from './context.ts';
import { CellContext } from './context.ts';
import { DeadLetters } from './dead-letters.ts';
import { ActorError } from './errors.ts';
import { findOn } from './find.ts';
import type { InboundHost } from './inbound.ts';
import { Inbound } from './inbound.ts';
import { InspectionAccess } from './inspect/access.ts';
import type { InspectionDoor, InspectOptions } from './inspect/door.ts';
import type { Inspection } from './inspect/looks.ts';
import { Observer } from './inspect/observer.ts';
import type { ActorInfo, ThreadInfo } from './inspect/snapshot.ts';
import { inspectCells, inspectThread } from './inspect/snapshot.ts';
import type { Interposer } from './interposer.ts';
import { askersLost, othersLost } from './lost.ts';
import type { ReplyTo } from './mailbox.ts';
import { NO_REPLY } from './mailbox.ts';
import { MethodTables, traced } from './methods.ts';
import { Metrics } from './metrics.ts';
import { placeOf } from './placement.ts';
import type { AnyProtocol, Codec, OpEntry, Ops, Protocol } from './protocol.ts';
import {
  KIND_FAILURE,
  KIND_REPLY,
  KIND_SIGNAL,
  SIGNAL_CHILD_FAILED,
  SIGNAL_ESCALATED,
  SIGNAL_SPAWN,
  SIGNAL_STOP,
  SIGNAL_TERMINATED,
  SIGNAL_UNWATCH,
  SIGNAL_WATCH,
} from './record.ts';
import type { AnyRef, Place, Ref, RefId } from './ref.ts';
import {
  ANY_GENERATION,
  idPath,
  isOfThreadIncarnation,
  packGeneration,
  threadKey,
  WELL_KNOWN_SLOT_MAX,
} from './ref.ts';
import { RemoteSpawns } from './remote-spawns.ts';
import type { Route, RouteAdmission } from './route.ts';
import type { RuntimePort } from './runtime-actor.ts';
import { RUNTIME_SLOT, RuntimeActor, RuntimeProtocol } from './runtime-actor.ts';
import { Slots } from './slots.ts';
import { STATUS_TURNS, STATUS_WORDS } from './status.ts';
import { STREAM_PROTOCOLS, StreamTable } from './streams/stream-table.ts';
import { argsAsSent, rebuilt, roundTrip } from './strict.ts';
import type { SystemOptions } from './system-options.ts';
import { DEFAULT_LIMITS } from './system-options.ts';
import { Heartbeat } from './threads/heartbeat.ts';
import { Deadlines } from './timers.ts';
import type { Tracer } from './tracer.ts';
import { Turn } from './turn.ts';
import { WatchTable } from './watch.ts';
import type { FindRequest, SpawnRequest } from './wire-codecs.ts';
import { endedCodec, failureCodec, spawnRequestCodec } from './wire-codecs.ts';

const INCARNATION_MAX = 0x7fff_fffe;

/** Those of an application behind those that every system has: what a handshake compares. */
export function protocolsWith(own: readonly AnyProtocol[]): readonly AnyProtocol[] {
  return [RuntimeProtocol, ...STREAM_PROTOCOLS, ...own];
}

export class System implements Spawner, CellHost, ContextHost, RefHost, InboundHost, RuntimePort {
  readonly name: string;
  readonly place: Place;
  readonly threadIncarnation: number;
  readonly threadCount: number;
  readonly isStrict: boolean;
  readonly tracer: Tracer | undefined;
  readonly interposer: Interposer | undefined;
  readonly protocols: readonly AnyProtocol[];
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly turn: Turn;
  readonly deadlines: Deadlines;
  readonly asks: AskSlab;
  readonly deadLetters: DeadLetters;
  readonly observer: Observer;
  readonly access = new InspectionAccess();
  readonly metrics = new Metrics();
  readonly watches = new WatchTable();
  readonly streams: StreamTable;
  readonly status: Int32Array;
  readonly heartbeat: Heartbeat;
  /** Where rings and links deliver what arrived. */
  readonly inbound: Inbound;
  readonly #remote: RemoteSpawns;
  readonly #slots = new Slots();
  readonly #spawnedOn: number[];
  /**
   * Slots by name. Not cells: a table that has grown or shrunk leaves an old one behind, which would keep
   * every cell in it alive until old memory is collected.
   */
  readonly #top = new Map<string, number>();
  readonly #routes = new Map<number, Route>();
  readonly #methods = new MethodTables();
  #findRoute: ((node: number, thread: number, lane: 0 | 1) => Route | undefined) | undefined;
  #onEmpty: (() => void) | undefined;
  #shutdown: Promise<void> | undefined;
  #isClosed = false;

  constructor(env: Environment, options: SystemOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const thread = options.thread ?? env.threads.boot.index;
    this.name = options.name;
    this.place = {
      node: options.node ?? 1,
      incarnation: options.incarnation ?? 1 + env.random.below(INCARNATION_MAX),
      thread,
    };
    this.threadIncarnation = options.threadIncarnation ?? 1;
    this.threadCount = options.threadCount ?? 1;
    this.isStrict = options.strict ?? false;
    this.tracer = options.tracer;
    this.interposer = options.interposer;
    this.protocols = protocolsWith(options.protocols ?? []);
    this.streams = new StreamTable(options.streamsMax);
    this.env = env;
    this.clock = env.clock;
    this.random = env.random.fork(`actors/${thread}`);
    this.log = env.log;
    this.deadlines = new Deadlines(env.clock, env.timers);
    this.asks = new AskSlab(this.deadlines, limits.asksMax, this.threadIncarnation);
    this.status = options.status ?? new Int32Array(STATUS_WORDS);
    this.deadLetters = new DeadLetters(env.clock);
    this.observer = new Observer(env.clock, this.metrics, this.status, options.slowMs);
    this.turn = new Turn(env.runQueue, limits, this.observer);
    this.inbound = new Inbound(this);
    this.#remote = new RemoteSpawns(this.place, this.threadIncarnation, options.manifest ?? {});
    this.#spawnedOn = new Array<number>(this.threadCount).fill(0);
    this.heartbeat = new Heartbeat(this.status, STATUS_TURNS);
    this.turn.onPoll(() => this.heartbeat.beat());
    this.spawnWellKnown(RUNTIME_SLOT, 'runtime', RuntimeActor, this as RuntimePort);
  }

  // ---- Making actors ------------------------------------------------------------------------------

  spawn<P extends Ops, A>(
    name: string,
    actor: Actor<P, A>,
    args: A,
    where: Placement = 'here',
  ): Ref<P> {
    return this.#spawn(undefined, name, actor, args, where);
  }

  spawnChild<P extends Ops, A>(
    parent: Cell,
    name: string,
    actor: Actor<P, A>,
    args: A,
    where: Placement,
  ): Ref<P> {
    return this.#spawn(parent, name, actor, args, where);
  }

  /**
   * Spawns under a fixed slot in 1..254, so that every thread of every node can name the actor without
   * looking it up.
   *
   * @throws ActorError if the slot or the name is taken.
   */
  spawnWellKnown<P extends Ops, A>(
    slot: number,
    name: string,
    actor: Actor<P, A>,
    args: A,
  ): Ref<P> {
    if (!Number.isInteger(slot) || slot < 1 || slot > WELL_KNOWN_SLOT_MAX) {
      throw new ActorError('ACTOR_MISUSE', `slot ${slot} is not well known`, { slot });
    }
    if (this.#slots.get(slot, ANY_GENERATION) !== undefined) {
      throw new ActorError('ACTOR_MISUSE', `slot ${slot} is taken`, { slot });
    }
    this.#checkName(undefined, name);
    return this.#make(undefined, name, actor, args, slot);
  }

  /** A ref to whoever holds a well-known slot, now or later, in any incarnation. */
  wellKnown<P extends Ops>(
    protocol: Protocol<P>,
    at: { readonly node?: number; readonly thread: number; readonly slot: number },
  ): Ref<P> {
    const node = at.node ?? this.place.node;
    const id = { node, incarnation: 0, thread: at.thread, slot: at.slot, generation: 0 };
    return this.ref(protocol, id);
  }

  ref<P extends Ops>(protocol: Protocol<P>, id: RefId): Ref<P> {
    return new IdRef<P>(this, protocol, id, idPath(id));
  }

  #spawn<P extends Ops, A>(
    parent: Cell | undefined,
    name: string,
    actor: Actor<P, A>,
    args: A,
    where: Placement,
  ): Ref<P> {
    this.#checkName(parent, name);
    const thread = placeOf(where, this.place.thread, this.#spawnedOn);
    if (thread !== this.place.thread) {
      return this.#spawnElsewhere(parent, name, actor, args, thread);
    }
    const given = this.isStrict ? argsAsSent(actor.options.args, args, name) : args;
    const slot = this.#slots.take();
    if (slot === undefined) throw new ActorError('ACTOR_MISUSE', 'no slot is free');
    this.#spawnedOn[thread]! += 1;
    return this.#make(parent, name, actor, given, slot);
  }

  #make<P extends Ops, A>(
    parent: Cell | undefined,
    name: string,
    actor: Actor<P, A>,
    args: A,
    slot: number,
  ): Ref<P> {
    const generation = packGeneration(this.threadIncarnation, this.#slots.nextGeneration(slot));
    const { node, incarnation, thread } = this.place;
    const id = { node, incarnation, thread, slot, generation };
    const identity = { id, name, parent, remoteParent: undefined };
    const cell = new Cell(this, actor, args, identity, this.metrics.of(actor.protocol.name));
    this.#shrink(cell);
    const ref = new CellRef<P>(this, cell);
    cell.ref = ref;
    this.#slots.put(slot, cell);
    if (parent === undefined) this.#top.set(name, slot);
    else parent.adopt(name, cell);
    return ref;
  }

  #shrink(cell: Cell): void {
    const { lane } = cell;
    if (this.interposer !== undefined) {
      lane.shrink(this.interposer.capacityOf(cell, lane.capacity));
    }
  }

  #checkName(parent: Cell | undefined, name: string): void {
    if (this.#isClosed) throw new ActorError('ACTOR_STOPPED', 'the system has shut down');
    if (name === '' || name.includes('/')) {
      throw new ActorError('ACTOR_MISUSE', `${JSON.stringify(name)} is no name for an actor`);
    }
    const isTaken =
      parent === undefined
        ? this.#top.has(name) || this.#remote.top.has(name)
        : parent.children?.has(name) === true;
    if (isTaken) {
      throw new ActorError('ACTOR_MISUSE', `the name ${parent?.path ?? ''}/${name} is taken`);
    }
  }

  // ---- Other threads: spawning there, being spawned from there ------------------------------------

  #spawnElsewhere<P extends Ops, A>(
    parent: Cell | undefined,
    name: string,
    actor: Actor<P, A>,
    args: A,
    thread: number,
  ): Ref<P> {
    const order = { thread, name, actor: actor as never, args, parent: parent?.id };
    const route = this.routeTo(this.place.node, thread);
    const id = this.#remote.request(order, route, (way, to, request) =>
      way.send(
        KIND_SIGNAL,
        SIGNAL_SPAWN,
        { ...to, slot: 0 },
        to.slot,
        to.generation,
        spawnRequestCodec,
        request,
      ),
    );
    this.#spawnedOn[thread]! += 1;
    const ref = new IdRef<P>(this, actor.protocol, id, `${parent?.path ?? ''}/${name}`);
    if (parent === undefined) this.#remote.addTop(name, ref);
    else parent.adoptElsewhere(name, ref);
    return ref;
  }

  spawnRequested(request: SpawnRequest): void {
    const { name } = request;
    const id: RefId = { ...this.place, slot: request.slot, generation: request.generation };
    let wanted: ReturnType<RemoteSpawns['parse']>;
    try {
      wanted = this.#remote.parse(request);
    } catch (error) {
      this.codecFailed(name, request.actor, error);
    }
    if (wanted === undefined || this.#isClosed) {
      this.log.error('spawn from another thread refused', { actor: request.actor, name });
      this.sendEnded(request.parent, id, 'failed');
      return;
    }
    const { actor, args } = wanted;
    const remoteParent = this.refOfId(request.parent);
    const metrics = this.metrics.of(actor.protocol.name);
    const identity = { id, name, parent: undefined, remoteParent };
    const cell = new Cell(this, actor, args, identity, metrics);
    this.#shrink(cell);
    cell.ref = new CellRef(this, cell);
    this.#slots.put(id.slot, cell);
    this.#top.set(cell.path, id.slot);
  }

  /** The first actor of that protocol and name at the top of any thread of this node. */
  find<P extends Ops>(protocol: Protocol<P>, name: string): Promise<Ref<P> | undefined> {
    return findOn(this, protocol, name);
  }

  #topCell(slot: number | undefined): Cell | undefined {
    return slot === undefined ? undefined : this.#slots.get(slot, ANY_GENERATION);
  }

  #topCells(): Cell[] {
    return [...this.#top.values()].flatMap((slot) => this.#topCell(slot) ?? []);
  }

  findHere(request: FindRequest): RefId | undefined {
    const cell = this.#topCell(this.#top.get(request.name));
    return cell?.actor.protocol.name === request.protocol ? cell.id : undefined;
  }

  // ---- Routes -------------------------------------------------------------------------------------

  setRoute(node: number, thread: number, route: Route | undefined): void {
    if (route === undefined) this.#routes.delete(threadKey(node, thread));
    else this.#routes.set(threadKey(node, thread), route);
  }

  /** Asked for routes that are not set: links are opened on first use. */
  onMissingRoute(find: (node: number, thread: number, lane: 0 | 1) => Route | undefined): void {
    this.#findRoute = find;
  }

  /** A link has two lanes: messages, and the bulk of streams. */
  routeTo(node: number, thread: number, lane: 0 | 1 = 0): Route | undefined {
    return this.#routes.get(threadKey(node, thread)) ?? this.#findRoute?.(node, thread, lane);
  }

  /** A thread of a node ended: watchers hear it and asks in flight to it fail at once. */
  threadLost(node: number, thread: number, isLost: (id: RefId) => boolean, cause: EndCause): void {
    const code = cause === 'node-lost' ? 'ACTOR_NODE_LOST' : 'ACTOR_THREAD_LOST';
    this.asks.failTo(node, thread, isLost, code);
    this.watches.lost(node, thread, isLost, cause);
    const isThere = (id: RefId) => id.node === node && id.thread === thread && isLost(id);
    this.#remote.ended(isThere);
    for (const cell of this.#slots.cells()) othersLost(cell, isThere);
  }

  /** The way to a thread was lost, for messages (which ends bulk, too) or for bulk alone: asks fail, here and there. */
  wayLost(node: number, thread: number, lane: 0 | 1 = 0): void {
    this.asks.failTo(node, thread, (_id, op) => op.lane >= lane, 'ACTOR_UNREACHABLE');
    this.streams.wayLost(node, thread);
    const isThere = (id: RefId) => id.node === node && id.thread === thread;
    for (const cell of this.#slots.cells()) {
      if (cell.actor.protocol.lane >= lane) askersLost(cell, isThere);
    }
  }

  /** An actor that was spawned from here at the top of another thread has ended: its name is free. */
  remoteEnded(id: RefId): void {
    this.#remote.ended(id);
  }

  /** A link has a new epoch: what is watched there is watched again, as the old epoch may have lost it. */
  resendWatches(node: number, thread: number): void {
    this.watches.each(node, thread, (watcher, target) => {
      this.sendWatch(target.id, watcher.id, true);
    });
  }

  // ---- What cells, refs and arriving records need ---------------------------------------------------

  isHere(id: RefId): boolean {
    return id.node === this.place.node && id.thread === this.place.thread;
  }

  cellOf(id: RefId): Cell | undefined {
    if (id.incarnation !== 0 && id.incarnation !== this.place.incarnation) return undefined;
    return this.#slots.get(id.slot, id.generation);
  }

  childOf(parent: Cell, id: RefId): Cell | undefined {
    const cell = this.isHere(id) ? this.cellOf(id) : undefined;
    return cell?.parent === parent ? cell : undefined;
  }

  refOfId(id: RefId): AnyRef {
    const cell = this.isHere(id) ? this.cellOf(id) : undefined;
    return cell?.ref ?? { id, path: idPath(id) };
  }

  setup(cell: Cell): object {
    const context = new CellContext<Ops>(this, cell);
    const setUp = () => cell.actor.setup(context as never, cell.args as never);
    return this.tracer === undefined ? setUp() : this.tracer.run(cell, 'setup', NO_REPLY, setUp);
  }

  methodsOf(handlers: object, cell: Cell): readonly Method[] {
    const methods = this.#methods.of(handlers, cell.actor.protocol);
    return this.tracer === undefined ? methods : traced(methods, cell, this.tracer);
  }

  answer(op: OpEntry, to: ReplyTo, value: unknown): void {
    try {
      if (typeof to === 'number') {
        if (to === NO_REPLY) return;
        this.asks.answer(to, this.isStrict ? roundTrip(op.reply!, value) : value);
      } else {
        const id = to as RefId;
        const route = this.routeTo(id.node, id.thread);
        route?.send(KIND_REPLY, op.code, id, 0, 0, op.reply, value);
      }
    } catch (error) {
      this.codecFailed('reply', op.name, error);
      const message = `the reply of ${op.name} cannot be encoded: ${messageOf(error)}`;
      this.failAnswer(to, new ActorError('ACTOR_MALFORMED', message, { op: op.name }, error));
    }
  }

  failAnswer(to: ReplyTo, error: Error): void {
    if (typeof to === 'number') {
      if (to !== NO_REPLY) this.asks.fail(to, this.isStrict ? rebuilt(error) : error);
      return;
    }
    const id = to as RefId;
    const route = this.routeTo(id.node, id.thread);
    route?.send(KIND_FAILURE, 0, id, 0, 0, failureCodec, error);
  }

  codecFailed(path: string, op: string, error: unknown): void {
    this.log.error('a message cannot be encoded', { path, op, error });
  }

  sendWatch(target: RefId, watcher: RefId, isOn: boolean): void {
    if (this.isHere(target)) {
      if (isOn) this.watchedFromAfar(target, watcher);
      else this.cellOf(target)?.watches?.removeWatcher(watcher);
      return;
    }
    const code = isOn ? SIGNAL_WATCH : SIGNAL_UNWATCH;
    const outcome = this.#signal(code, target, watcher, undefined, undefined);
    const isSameNode = target.node === this.place.node;
    if (isOn && (outcome === 'gone' || (outcome === 'unreachable' && isSameNode))) {
      this.sendEnded(watcher, target, isSameNode ? 'thread-lost' : 'node-lost');
    }
  }

  /** Someone watches an actor of this thread, or one that is not here any more. */
  watchedFromAfar(target: RefId, watcher: RefId): void {
    const cell = this.isHere(target) ? this.cellOf(target) : undefined;
    if (cell !== undefined) cell.addWatcher(watcher, target);
    else this.sendEnded(watcher, target, this.#causeOfAbsence(target));
  }

  #causeOfAbsence(id: RefId): EndCause {
    if (id.incarnation !== 0 && id.incarnation !== this.place.incarnation) return 'node-lost';
    return isOfThreadIncarnation(id.generation, this.threadIncarnation) ? 'stopped' : 'thread-lost';
  }

  sendEnded(watcher: RefId, ended: RefId, cause: EndCause): void {
    if (this.isHere(watcher)) {
      this.cellOf(watcher)?.watches?.endWatch(this.refOfId(ended), cause);
    } else this.#signal(SIGNAL_TERMINATED, watcher, ended, endedCodec, { cause, id: ended });
  }

  sendStop(target: RefId): void {
    if (this.isHere(target)) this.cellOf(target)?.requestStop();
    else this.#signal(SIGNAL_STOP, target, target, undefined, undefined);
  }

  childFailed(parent: AnyRef, child: AnyRef, error: unknown): void {
    this.#signal(SIGNAL_CHILD_FAILED, parent.id, child.id, failureCodec, error);
  }

  #signal(
    code: number,
    target: RefId,
    from: RefId,
    codec: Codec<unknown> | undefined,
    value: unknown,
  ): RouteAdmission {
    const route = this.routeTo(target.node, target.thread);
    if (route === undefined) return 'unreachable';
    return route.send(KIND_SIGNAL, code, target, from.slot, from.generation, codec, value);
  }

  escalated(cell: Cell, parent: AnyRef | undefined, error: unknown): void {
    if (parent !== undefined && parent.id.slot !== 0) {
      this.#signal(SIGNAL_ESCALATED, parent.id, cell.id, failureCodec, error);
    } else this.log.error('a failure reached the top', { path: cell.path, error });
  }

  release(cell: Cell): void {
    this.#slots.release(cell.id.slot, cell);
    if (cell.remoteParent !== undefined) {
      const { id } = cell.remoteParent;
      this.sendEnded(id, cell.id, cell.cause);
    }
    if (cell.parent !== undefined) return;
    // Whoever was spawned from another thread is known by its path: its name may be taken here.
    const name = cell.remoteParent === undefined ? cell.name : cell.path;
    if (this.#top.get(name) === cell.id.slot) this.#top.delete(name);
    if (this.#top.size === 0) this.#onEmpty?.();
  }

  // ---- Looking in, ending -------------------------------------------------------------------------

  actorTree(): readonly ActorInfo[] {
    return inspectCells(this.#topCells()).actors;
  }

  /** This thread as data, with a bound on its size. */
  inspection(): ThreadInfo {
    return inspectThread(this, this.#topCells());
  }

  inspectJson(): string {
    return JSON.stringify(this.inspection());
  }

  /** All threads of this node, and of nodes that links know; who does not answer in time is shown as such. */
  inspectAll(options: { readonly timeoutMs?: number } = {}): Promise<Inspection> {
    return this.access.look(this, options.timeoutMs);
  }

  /** Opens a door through which others see that, on a loopback port: see inspect/door.ts. Until then none is. */
  inspect(options: InspectOptions = {}): Promise<InspectionDoor> {
    return this.access.open(this, options);
  }

  /**
   * Stops every actor of this thread, children before parents, then the turn itself. Rejects with
   * ACTOR_ASK_TIMEOUT when an actor is still there after `timeoutMs`; the turn ends all the same. A
   * second call waits for the first.
   */
  shutdown(options: { readonly timeoutMs: number }): Promise<void> {
    this.#shutdown ??= this.#shutDown(options);
    return this.#shutdown;
  }

  async #shutDown(options: { readonly timeoutMs: number }): Promise<void> {
    for (const ref of this.#remote.top.values()) this.sendStop(ref.id);
    const done = new Promise<void>((resolve, reject) => {
      if (this.#top.size === 0) {
        resolve();
        return;
      }
      this.#onEmpty = resolve;
      this.deadlines.after(options.timeoutMs, () => {
        const left = [...this.#top.keys()];
        reject(new ActorError('ACTOR_ASK_TIMEOUT', 'actors did not stop in time', { left }));
      });
    });
    for (const cell of this.#topCells()) {
      if (cell.state !== STATE_STOPPED) cell.requestStop();
    }
    try {
      await done;
    } finally {
      this.#isClosed = true;
      this.access.close();
      this.asks.close();
      this.turn.close();
      this.deadlines.close();
      this.#routes.clear();
      this.#findRoute = undefined;
    }
  }
}

export function createSystem(env: Environment, options: SystemOptions): System {
  return new System(env, options);
}
