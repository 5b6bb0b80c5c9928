// Our half of the way to one thread of another node: dials, greets, and sends records in batches, one
// write per turn. The peer's credit bounds what may be under way. An epoch is the life of one
// connection; when it ends, what was under way is lost and counted, asks fail, refs stay valid.
//
//   idle -> dialing (records wait) -> open -> closed -> backoff (unreachable) -> idle
import type { Address, Connection } from '../../env/environment.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import { concatBytes, readU32le } from '../../std/byte-ops.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { abortable } from '../actor-ref.ts';
import type { Codec } from '../protocol.ts';
import { KIND_ASK, RECORD_HEADER_BYTES, writeRecordHeader } from '../record.ts';
import type { RefId } from '../ref.ts';
import { idPath } from '../ref.ts';
import type { Route, RouteAdmission } from '../route.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import {
  FRAME_CREDIT,
  FrameError,
  FrameReader,
  FrameWriter,
  LARGE_RECORD_BYTES,
  RECORD_BYTES_MAX,
} from './frame.ts';
import { ANSWER_BYTES, decodeAnswer, encodeGreeting } from './handshake.ts';
import type { LinkCounters, LinkIdentity } from './links.ts';

export interface LinkHost {
  readonly system: System;
  readonly identity: LinkIdentity;
  readonly counters: LinkCounters;
  readonly protocolsHash: number;
  readonly crc32c: Crc32c;
  addressOf(node: number): Address | undefined;
  readonly buffers: BufferPool;
  epochEnded(node: number, thread: number): void;
}

const CONNECT_TIMEOUT_MS = 3_000;
const ANSWER_TIMEOUT_MS = 5_000;
/** What may wait before the peer has told its credit. */
const DIALING_CREDIT_BYTES = 1024 * 1024;
const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 2_000;

export class OutgoingLink implements Route {
  readonly threadIncarnation = 0;
  readonly node: number;
  readonly thread: number;
  /** Connections that were answered, over the life of this system. */
  epoch = 0;
  state: 'idle' | 'dialing' | 'open' | 'backoff' | 'closed' = 'idle';
  readonly #host: LinkHost;
  #connection: Connection | undefined;
  #writer: FrameWriter | undefined;
  #reader: FrameReader | undefined;
  #answer = new Uint8Array(0);
  #creditBytes = DIALING_CREDIT_BYTES;
  #recordsUnderWay = 0;
  #peerIncarnation = 0;
  #failures = 0;
  #timer: Deadline | undefined;
  #roomWaiters: (() => void)[] = [];

  constructor(host: LinkHost, node: number, thread: number) {
    this.#host = host;
    this.node = node;
    this.thread = thread;
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
    if (isUser && this.#creditBytes <= 0) {
      this.#host.counters.full += 1;
      return 'full';
    }
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
    this.#creditBytes -= writer.totalBytes - before;
    this.#recordsUnderWay += 1;
    this.#host.counters.recordsSent += 1;
    turn.request();
    return 'accepted';
  }

  ready(signal?: AbortSignal): Promise<void> {
    if (this.state === 'closed') return Promise.resolve();
    if (this.state === 'idle') this.#dial();
    if (this.state === 'open' && this.#creditBytes > 0) return Promise.resolve();
    return abortable(new Promise((resolve) => this.#roomWaiters.push(resolve)), signal);
  }

  /** The flush phase of a turn: everything of this turn, in one write unless it is much. */
  flush(): void {
    const writer = this.#writer;
    if (this.state !== 'open' || writer === undefined) return;
    this.#writer = undefined;
    const connection = this.#connection!;
    const { counters } = this.#host;
    writer.flush((bytes, written) => {
      counters.writes += 1;
      counters.bytesSent += bytes.length;
      connection.write(bytes, written);
    });
  }

  /** The system ends: nothing is sent any more. */
  close(): void {
    if (this.state === 'closed') return;
    const wasOpen = this.#connection !== undefined;
    this.state = 'closed';
    this.#drop();
    if (wasOpen) this.#host.epochEnded(this.node, this.thread);
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
    this.#answer = new Uint8Array(0);
    const { system } = this.#host;
    const connection = system.env.net.connect(address, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#connection = connection;
    this.#timer = system.deadlines.after(CONNECT_TIMEOUT_MS + ANSWER_TIMEOUT_MS, () => {
      this.#fail(connection, 'no answer to the greeting');
    });
    const isCurrent = () => this.#connection === connection;
    connection.start({
      onOpen: () => {
        if (isCurrent()) connection.write(this.#greeting());
      },
      onBytes: (view) => {
        if (isCurrent()) this.#received(connection, view);
      },
      onClose: (error) => {
        if (isCurrent()) this.#fail(connection, error?.message ?? 'the peer closed the link');
      },
    });
  }

  #greeting(): Uint8Array {
    const { identity, protocolsHash, system } = this.#host;
    const { place } = system;
    return encodeGreeting({
      clusterId: identity.clusterId,
      token: identity.token,
      fromNode: place.node,
      fromIncarnation: place.incarnation,
      fromThread: place.thread,
      toNode: this.node,
      toThread: this.thread,
      protocolsHash,
      epoch: this.epoch + 1,
    });
  }

  #received(connection: Connection, view: Uint8Array): void {
    try {
      if (this.state === 'open') {
        this.#reader!.push(view);
        return;
      }
      const joined = concatBytes([this.#answer, view]);
      this.#answer = joined;
      if (joined.length < ANSWER_BYTES) return;
      this.#answered(connection, joined.subarray(0, ANSWER_BYTES));
      if (joined.length > ANSWER_BYTES) this.#reader?.push(joined.subarray(ANSWER_BYTES));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#fail(connection, error.message);
    }
  }

  #answered(connection: Connection, bytes: Uint8Array): void {
    const parsed = decodeAnswer(bytes);
    if (parsed.kind === 'bad') {
      this.#fail(connection, parsed.reason);
      return;
    }
    const answer = parsed.value;
    if (answer.kind === 'refused') {
      this.#fail(connection, `refused: ${answer.reason}`);
      return;
    }
    const { system } = this.#host;
    if (this.#timer !== undefined) system.deadlines.cancel(this.#timer);
    this.#timer = undefined;
    this.#peerIncarnation = answer.incarnation;
    this.#creditBytes += answer.creditBytes - DIALING_CREDIT_BYTES;
    this.#failures = 0;
    this.epoch += 1;
    this.state = 'open';
    const { crc32c, buffers } = this.#host;
    this.#reader = new FrameReader(crc32c, buffers, (kind, payload) => this.#frame(kind, payload));
    this.#host.counters.epochs += 1;
    system.resendWatches(this.node, this.thread);
    system.turn.request();
    this.#wakeWaiters();
  }

  #frame(kind: number, payload: Uint8Array): void {
    if (kind !== FRAME_CREDIT || payload.length !== 8) {
      throw new FrameError(`a frame of kind ${kind} came the wrong way`);
    }
    this.#creditBytes += readU32le(payload, 0);
    this.#recordsUnderWay = Math.max(0, this.#recordsUnderWay - readU32le(payload, 4));
    if (this.#creditBytes > 0) this.#wakeWaiters();
  }

  #fail(connection: Connection, reason: string): void {
    if (this.#connection !== connection) return;
    const wasOpen = this.state === 'open';
    const { system } = this.#host;
    system.log.warn(wasOpen ? 'a link ended' : 'a link was not made', {
      node: this.node,
      thread: this.thread,
      reason,
    });
    const hadTraffic = wasOpen || this.#recordsUnderWay > 0;
    this.#drop();
    this.#backOff();
    if (hadTraffic) this.#host.epochEnded(this.node, this.thread);
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
    this.#creditBytes = DIALING_CREDIT_BYTES;
    const lost = this.#recordsUnderWay;
    this.#recordsUnderWay = 0;
    if (lost === 0) return;
    counters.recordsLost += lost;
    const { node, thread } = this;
    const path = idPath({ node, incarnation: 0, thread, slot: 0, generation: 0 });
    system.deadLetters.add(path, `${lost} records`, 'unreachable', lost);
  }

  #backOff(): void {
    this.state = 'backoff';
    const { system } = this.#host;
    const fullMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(this.#failures, 10));
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
