// Our half of the way to one thread of another node: dials, greets, and sends records in batches, one
// write per turn. The peer's credit bounds what may be under way. An epoch is the life of one
// connection; when it ends, what was under way is lost and counted, asks fail, refs stay valid.
//
//   idle -> dialing (records wait) -> open -> backoff (unreachable) -> idle ... closed
import type { Address, Connection } from '../../env/environment.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import { readU32le } from '../../std/byte-ops.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { abortable } from '../actor-ref.ts';
import type { Codec } from '../protocol.ts';
import { KIND_ASK, RECORD_HEADER_BYTES, writeRecordHeader } from '../record.ts';
import type { RefId } from '../ref.ts';
import { idPath } from '../ref.ts';
import type { Route, RouteAdmission } from '../route.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import type { DialerHandshake, DialerStep } from './dialer.ts';
import {
  FRAME_CREDIT,
  FrameError,
  FrameReader,
  FrameWriter,
  LARGE_RECORD_BYTES,
  PING_BYTES,
  pingFrame,
  RECORD_BYTES_MAX,
} from './frame.ts';
import type { Greeting, Lane } from './handshake.ts';
import type { LinkCounters } from './links.ts';
import { again, type Refusals } from './refusals.ts';

export interface LinkHost {
  readonly system: System;
  readonly counters: LinkCounters;
  readonly refusals: Refusals;
  readonly crc32c: Crc32c;
  addressOf(node: number): Address | undefined;
  /** What to say to that thread. */
  handshake(to: Pick<Greeting, 'toNode' | 'toThread' | 'lane' | 'epoch'>): DialerHandshake;
  opened(): void;
  readonly buffers: BufferPool;
  epochEnded(node: number, thread: number, lane: Lane): void;
  /** That node has had a link of another life of this one for a while, and it answers. */
  runsTwice(node: number): void;
}

const CONNECT_TIMEOUT_MS = 3_000;
const ANSWER_TIMEOUT_MS = 5_000;
/** What may wait before the peer has told its credit. */
const DIALING_CREDIT_BYTES = 1024 * 1024;
const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 2_000;
/** Who refuses does so until somebody changes something; who starts again greets us, and ends the wait. */
const REFUSED_BACKOFF_MAX_MS = 10_000;
/** So long must a node refuse us for another life of ours until it counts: the other may be about to end. */
const TWICE_MS = 1_000;
/** Answers and signals need no credit. A peer that takes none of so many bytes takes nothing. */
const UNACKED_BYTES_MAX = 256 * 1024 * 1024;
/** Beats without anything to send until a sign of life is asked for, and beats without one. */
const QUIET_BEATS = 2;
const UNHEARD_BEATS_MAX = 4;

/** How a link fails that nobody refuses. */
const NO_REFUSAL = { isRefusal: false, isTwice: false };

/** Who wants to know whether the peer lives. */
interface Probe {
  /** It lives once it has handled so many bytes. */
  readonly atBytes: number;
  readonly heard: (isAlive: boolean) => void;
}

export class OutgoingLink implements Route {
  readonly threadIncarnation = 0;
  readonly node: number;
  readonly thread: number;
  readonly lane: Lane;
  /** Connections that were answered, over the life of this system. */
  epoch = 0;
  state: 'idle' | 'dialing' | 'open' | 'backoff' | 'closed' = 'idle';
  readonly #host: LinkHost;
  #connection: Connection | undefined;
  #writer: FrameWriter | undefined;
  #reader: FrameReader | undefined;
  #handshake: DialerHandshake | undefined;
  /** What may be under way, and what is: written, or about to be, and not yet handled over there. */
  #windowBytes = DIALING_CREDIT_BYTES;
  #unackedBytes = 0;
  #quietBeats = 0;
  #unheardBeats = 0;
  #queuedBytes = 0;
  #recordsUnderWay = 0;
  #peerIncarnation = 0;
  #lastReason: string | undefined;
  #failures = 0;
  #timer: Deadline | undefined;
  #roomWaiters: (() => void)[] = [];
  /** When the peer first refused us for another life of ours; -1: it does not. */
  #twiceSinceMs = -1;
  /** Bytes sent on this connection, and those that the peer has handled. */
  #sentBytes = 0;
  #handledBytes = 0;
  #probes: Probe[] = [];

  constructor(host: LinkHost, node: number, thread: number, lane: Lane) {
    this.#host = host;
    this.node = node;
    this.thread = thread;
    this.lane = lane;
  }

  send(
    kind: number,
    code: number,
    target: RefId,
    fromSlot: number,
    fromGeneration: number,
    codec: Codec<unknown> | undefined,
    value: unknown,
  ): RouteAdmission {
    if (this.state === 'closed') return 'gone';
    if (this.state === 'idle') this.#dial();
    if (this.state === 'backoff') return 'unreachable';
    const isUser = kind <= KIND_ASK;
    if (isUser && this.#isOther(target.incarnation)) return 'gone';
    if (isUser && this.#unackedBytes >= this.#windowBytes) {
      this.#host.counters.full += 1;
      return 'full';
    }
    if (this.#unackedBytes > UNACKED_BYTES_MAX) return 'unreachable';
    const length = RECORD_HEADER_BYTES + (codec === undefined ? 0 : codec.size(value));
    if (length >>> 0 !== length || length < RECORD_HEADER_BYTES || length > RECORD_BYTES_MAX) {
      throw new RangeError(`${length} bytes are more than the ${RECORD_BYTES_MAX} of a record`);
    }
    const { place, turn } = this.#host.system;
    this.#writer ??= new FrameWriter(this.#host.crc32c, this.#host.buffers);
    const writer = this.#writer;
    const before = writer.totalBytes;
    const isLarge = length >= LARGE_RECORD_BYTES;
    const at = isLarge ? writer.reserveLarge(length) : writer.reserve(length);
    const { bytes, view } = writer;
    try {
      encodePayload(codec, value, bytes, at, length);
    } catch (error) {
      if (!isLarge) writer.drop(at);
      throw error;
    }
    writeRecordHeader(view, at, length, kind, code, 0, target, place, fromSlot, fromGeneration);
    if (isLarge) writer.largeWritten(at, length);
    this.#count(writer.totalBytes - before);
    this.#recordsUnderWay += 1;
    this.#host.counters.recordsSent += 1;
    turn.request();
    return 'accepted';
  }

  ready(signal?: AbortSignal): Promise<void> {
    if (this.state === 'closed') return Promise.resolve();
    if (this.state === 'idle') this.#dial();
    if (this.state === 'open' && this.#hasRoom()) return Promise.resolve();
    return abortable(new Promise((resolve) => this.#roomWaiters.push(resolve)), signal);
  }

  /** The flush phase of a turn: everything of this turn, in one write unless it is much. */
  flush(): void {
    const writer = this.#writer;
    if (this.state !== 'open' || writer === undefined) return;
    const connection = this.#connection!;
    if (this.#unackedBytes > UNACKED_BYTES_MAX) {
      this.#fail(connection, 'it takes nothing of what it is sent');
      return;
    }
    this.#writer = undefined;
    this.#quietBeats = 0;
    const { counters } = this.#host;
    writer.flush((bytes, written) => {
      counters.writes += 1;
      counters.bytesSent += bytes.length;
      connection.write(bytes, written);
    });
  }

  /**
   * Called every few seconds. A link that has nothing to send asks for a sign of life now and then; one whose bytes
   * neither leave nor are acknowledged is half-open, whatever its socket says.
   */
  beat(): void {
    const connection = this.#connection;
    if (this.state !== 'open' || connection === undefined) return;
    this.#quietBeats += 1;
    const { queuedBytes } = connection;
    const isMoving = this.#unackedBytes === 0 || queuedBytes !== this.#queuedBytes;
    this.#queuedBytes = queuedBytes;
    this.#unheardBeats = isMoving ? 0 : this.#unheardBeats + 1;
    if (this.#unheardBeats >= UNHEARD_BEATS_MAX) this.#fail(connection, 'no sign of life');
    else if (this.#quietBeats >= QUIET_BEATS) {
      this.#quietBeats = 0;
      this.#count(PING_BYTES);
      connection.write(pingFrame(this.#host.crc32c));
    }
  }

  /** The life that answered, while the link is open. */
  get peerLife(): number | undefined {
    return this.state === 'open' ? this.#peerIncarnation : undefined;
  }

  /** Asks for a sign of life. `heard` is called once, with false if none comes in time or the link ends. */
  probe(withinMs: number, heard: (isAlive: boolean) => void): void {
    const connection = this.#connection;
    if (this.state !== 'open' || connection === undefined) {
      heard(false);
      return;
    }
    this.#count(PING_BYTES);
    connection.write(pingFrame(this.#host.crc32c));
    const { deadlines } = this.#host.system;
    const deadline = deadlines.after(withinMs, () => {
      this.#probes = this.#probes.filter((each) => each !== probe);
      heard(false);
    });
    const probe: Probe = {
      atBytes: this.#sentBytes,
      heard(isAlive) {
        deadlines.cancel(deadline);
        heard(isAlive);
      },
    };
    this.#probes.push(probe);
  }

  #count(bytes: number): void {
    this.#unackedBytes += bytes;
    this.#sentBytes += bytes;
  }

  #tellProbes(): void {
    const ready = this.#probes.filter(({ atBytes }) => atBytes <= this.#handledBytes);
    if (ready.length === 0) return;
    this.#probes = this.#probes.filter((each) => !ready.includes(each));
    for (const { heard } of ready) heard(true);
  }

  /** The system ends: nothing is sent any more. */
  close(): void {
    if (this.state === 'closed') return;
    const wasOpen = this.#connection !== undefined;
    this.state = 'closed';
    this.#drop();
    if (wasOpen) this.#host.epochEnded(this.node, this.thread, this.lane);
    this.#wakeWaiters();
  }

  /** Ends the connection as if it had broken: what is sent after the back-off dials again. */
  abort(reason: string): void {
    if (this.#connection !== undefined) this.#fail(this.#connection, reason);
  }

  /** Incarnations are random: whoever is not the one that answered is gone. */
  #isOther(incarnation: number): boolean {
    return this.state === 'open' && incarnation !== 0 && incarnation !== this.#peerIncarnation;
  }

  /** The peer greeted us. If another life of it does, this connection leads nowhere, whatever its socket says. */
  greetedBy(incarnation: number): void {
    if (this.#isOther(incarnation)) this.abort('the peer has started again');
    this.retryNow();
  }

  /** The address changed or the peer greeted us: no reason to wait out the back-off. */
  retryNow(): void {
    if (this.state !== 'backoff') return;
    this.#failures = 0;
    this.#backoffOver();
  }

  #dial(): void {
    const address = this.#host.addressOf(this.node);
    if (address === undefined) {
      this.#backOff();
      return;
    }
    this.state = 'dialing';
    const { node: toNode, thread: toThread, lane } = this;
    const handshake = this.#host.handshake({ toNode, toThread, lane, epoch: this.epoch + 1 });
    this.#handshake = handshake;
    const { system } = this.#host;
    const connection = system.env.net.connect(address, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#connection = connection;
    this.#timer = system.deadlines.after(CONNECT_TIMEOUT_MS + ANSWER_TIMEOUT_MS, () => {
      this.#fail(connection, 'no answer to the greeting');
    });
    const isCurrent = () => this.#connection === connection;
    connection.start({
      onOpen: () => {
        if (isCurrent()) connection.write(handshake.greeting);
      },
      onBytes: (view) => {
        if (isCurrent()) this.#received(connection, view);
      },
      onClose: (error) => {
        if (isCurrent()) this.#fail(connection, error?.message ?? 'the peer closed the link');
      },
    });
  }

  #received(connection: Connection, view: Uint8Array): void {
    if (this.state !== 'open') this.#shakeHands(connection, view);
    else this.#read(connection, view);
  }

  #read(connection: Connection, view: Uint8Array): void {
    try {
      this.#reader!.push(view);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#host.counters.malformed += 1;
      this.#fail(connection, error.message);
    }
  }

  #shakeHands(connection: Connection, view: Uint8Array): void {
    const step = this.#handshake?.receive(view);
    if (step === undefined) return;
    if (step.kind === 'wait') {
      if (step.send.length > 0) connection.write(step.send);
    } else if (step.kind === 'failed') {
      this.#fail(connection, step.reason, step);
    } else if (step.kind === 'open') {
      this.#open(step);
      if (step.rest.length > 0) this.#read(connection, step.rest);
    }
  }

  /** Only refusals that follow one another count: who could not be reached in between is perhaps not who refused. */
  #refusedAsTwice(isTwice: boolean): void {
    const nowMs = this.#host.system.clock.monotonicMs();
    if (!isTwice) this.#twiceSinceMs = -1;
    else if (this.#twiceSinceMs < 0) this.#twiceSinceMs = nowMs;
    else if (nowMs - this.#twiceSinceMs >= TWICE_MS) this.#host.runsTwice(this.node);
  }

  #open({ incarnation, creditBytes }: Extract<DialerStep, { kind: 'open' }>): void {
    const { system, crc32c, buffers, counters, refusals } = this.#host;
    if (this.#timer !== undefined) system.deadlines.cancel(this.#timer);
    this.#timer = undefined;
    this.#handshake = undefined;
    this.#peerIncarnation = incarnation;
    this.#windowBytes = creditBytes;
    this.#quietBeats = 0;
    this.#unheardBeats = 0;
    this.#failures = 0;
    this.#twiceSinceMs = -1;
    if (this.#lastReason !== undefined) refusals.forget(this.#lastReason);
    this.#lastReason = undefined;
    this.epoch += 1;
    this.state = 'open';
    this.#reader = new FrameReader(crc32c, buffers, (kind, payload) => this.#frame(kind, payload));
    counters.epochs += 1;
    this.#host.opened();
    if (this.lane === 0) system.resendWatches(this.node, this.thread);
    system.turn.request();
    this.#wakeWaiters();
  }

  #frame(kind: number, payload: Uint8Array): void {
    if (kind !== FRAME_CREDIT || payload.length !== 8) {
      throw new FrameError(`a frame of kind ${kind} came the wrong way`);
    }
    const bytes = readU32le(payload, 0);
    const records = readU32le(payload, 4);
    if (bytes > this.#unackedBytes || records > this.#recordsUnderWay) {
      throw new FrameError('credit for what was never sent');
    }
    this.#unackedBytes -= bytes;
    this.#handledBytes += bytes;
    this.#recordsUnderWay -= records;
    this.#unheardBeats = 0;
    if (this.#probes.length > 0) this.#tellProbes();
    if (this.#hasRoom()) this.#wakeWaiters();
  }

  #hasRoom(): boolean {
    return this.#unackedBytes < this.#windowBytes;
  }

  #fail(connection: Connection, reason: string, how = NO_REFUSAL): void {
    if (this.#connection !== connection) return;
    const { isRefusal, isTwice } = how;
    const wasOpen = this.state === 'open';
    const { system, refusals } = this.#host;
    const { node, thread } = this;
    const words = wasOpen ? 'a link ended' : 'a link was not made';
    // Who cannot be reached is dialled again and again, on both lanes, and says the same.
    const what = `${words} ${node}/${thread} ${reason}`;
    this.#lastReason = what;
    refusals.tell(what, (silent) => {
      system.log.warn(words, { node, thread, reason, ...again(silent) });
    });
    const hadTraffic = wasOpen || this.#recordsUnderWay > 0;
    this.#drop();
    this.#backOff(isRefusal ? REFUSED_BACKOFF_MAX_MS : BACKOFF_MAX_MS);
    if (hadTraffic) this.#host.epochEnded(this.node, this.thread, this.lane);
    this.#refusedAsTwice(isTwice);
  }

  /** Ends the connection; what was under way is lost, and counted. */
  #drop(): void {
    const { system, counters } = this.#host;
    if (this.#timer !== undefined) system.deadlines.cancel(this.#timer);
    this.#timer = undefined;
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
    this.#writer?.discard();
    this.#writer = undefined;
    this.#reader = undefined;
    this.#handshake = undefined;
    this.#windowBytes = DIALING_CREDIT_BYTES;
    this.#unackedBytes = this.#sentBytes = this.#handledBytes = 0;
    for (const { heard } of this.#probes.splice(0)) heard(false);
    const lost = this.#recordsUnderWay;
    this.#recordsUnderWay = 0;
    if (lost === 0) return;
    counters.recordsLost += lost;
    const { node, thread } = this;
    const path = idPath({ node, incarnation: 0, thread, slot: 0, generation: 0 });
    system.deadLetters.add(path, `${lost} records`, 'unreachable', lost);
  }

  #backOff(maxMs = BACKOFF_MAX_MS): void {
    this.state = 'backoff';
    const { system } = this.#host;
    const fullMs = Math.min(maxMs, BACKOFF_MIN_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    const delayMs = fullMs * (0.5 + system.random.u32() / 0x2_0000_0000);
    this.#timer = system.deadlines.after(delayMs, () => this.#backoffOver());
  }

  #backoffOver(): void {
    if (this.#timer !== undefined) this.#host.system.deadlines.cancel(this.#timer);
    this.#timer = undefined;
    this.state = 'idle';
    const isWanted =
      this.#roomWaiters.length > 0 || this.#host.system.watches.has(this.node, this.thread);
    if (isWanted) this.#dial();
  }

  #wakeWaiters(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

function encodePayload(
  codec: Codec<unknown> | undefined,
  value: unknown,
  bytes: Uint8Array,
  at: number,
  length: number,
): void {
  if (codec === undefined) return;
  const end = codec.encode(value, bytes, at + RECORD_HEADER_BYTES);
  if (end !== at + length) throw new RangeError('the codec announced another size');
}
