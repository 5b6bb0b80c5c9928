// Bytes of one connection in, whole request frames out. Pure: no socket, no clock. A frame is
// size i32 | api key i16 | version i16 | correlation id i32 | ... (Kafka's protocol guide). Received
// bytes are lent, so each is copied once, into memory of its frame alone: record batches inside it may
// be kept by a log while later frames arrive.
//
// Invariant: what a peer claims is never allocated before it has sent a good part of it.

import { type BufferPool, pooledSize } from '../../std/buffer-pool.ts';
import { readI16, readI32 } from '../../std/bytes.ts';
import { type Foreign, foreignByMagic } from '../listening/foreign.ts';

export interface FrameLimits {
  /** socket.request.max.bytes of Kafka: larger frames close the connection. */
  readonly frameBytesMax: number;
  /**
   * The first frame of a connection, when nothing is known about the peer. It may well be a large
   * produce: kafkajs asks for versions on its first connection only.
   */
  readonly firstFrameBytesMax: number;
}

export const FRAME_LIMITS: FrameLimits = {
  frameBytesMax: 100 * 1024 * 1024,
  firstFrameBytesMax: 100 * 1024 * 1024,
};

/** Another protocol that was recognised by its first bytes. */
export type ForeignProtocol = Exclude<Foreign, 'Kafka' | 'unknown'>;

export type SessionFault =
  | { readonly kind: 'wrong-protocol'; readonly seen: ForeignProtocol }
  /** Not Kafka, and nothing known either. */
  | { readonly kind: 'not-kafka'; readonly reason: string }
  | { readonly kind: 'bad-frame'; readonly reason: string };

const SIZE_BYTES = 4;
const HEADER_BYTES_MIN = 8;
const FIRST_CHUNK_BYTES = 64 * 1024;
/** Far above every api key and version there is; random bytes are above it. */
const PLAUSIBLE_KEY_MAX = 127;
const PLAUSIBLE_VERSION_MAX = 63;

export class FrameReader {
  readonly #limits: FrameLimits;
  readonly #frames: Uint8Array[] = [];
  #taken = 0;
  /** The size field of the frame that is being received. */
  readonly #head = new Uint8Array(SIZE_BYTES);
  #headSize = 0;
  #isFirst = true;
  #body: Uint8Array | undefined;
  #bodySize = 0;
  #frameSize = -1;
  #queuedBytes = 0;
  fault: SessionFault | undefined;

  readonly #pool: BufferPool | undefined;

  constructor(limits: FrameLimits = FRAME_LIMITS, pool?: BufferPool) {
    this.#limits = limits;
    this.#pool = pool;
  }

  /** Bytes of whole frames that nobody has taken, and of the one that is being received. */
  get bufferedBytes(): number {
    return this.#queuedBytes + this.#bodySize + this.#headSize;
  }

  /** Memory that is held for them: at most four times what was received, and one first chunk. */
  get heldBytes(): number {
    return this.#queuedBytes + (this.#body?.length ?? 0);
  }

  get frameCount(): number {
    return this.#frames.length - this.#taken;
  }

  /** True before the first whole frame. */
  get isSilent(): boolean {
    return this.#isFirst;
  }

  /** Takes in bytes; `fault` is set when they cannot be Kafka's, and nothing is read after it. */
  receive(view: Uint8Array): void {
    let at = 0;
    while (at < view.length && this.fault === undefined) {
      at = this.#frameSize < 0 ? this.#receiveSize(view, at) : this.#receiveBody(view, at);
    }
  }

  /** What `next` would give, left in place. */
  peek(): Uint8Array | undefined {
    return this.#frames[this.#taken];
  }

  /** The next whole frame behind its size field, owned by the caller; undefined if there is none. */
  next(): Uint8Array | undefined {
    const frame = this.#frames[this.#taken];
    if (frame === undefined) return undefined;
    this.#taken += 1;
    this.#queuedBytes -= frame.length;
    if (this.#taken === this.#frames.length) {
      this.#frames.length = 0;
      this.#taken = 0;
    }
    return frame;
  }

  #receiveSize(view: Uint8Array, at: number): number {
    while (at < view.length && this.#headSize < SIZE_BYTES) {
      this.#head[this.#headSize] = view[at]!;
      this.#headSize += 1;
      at += 1;
    }
    if (this.#headSize < SIZE_BYTES) return at;
    const size = readI32(this.#head, 0);
    this.fault = this.#refuseSize(size);
    if (this.fault !== undefined) return at;
    this.#frameSize = size;
    this.#body = this.#pool?.takeIdle(size) ?? this.#firstChunk(size);
    this.#bodySize = 0;
    return at;
  }

  #firstChunk(size: number): Uint8Array {
    return new Uint8Array(Math.min(this.#sizeFor(size), FIRST_CHUNK_BYTES));
  }

  /** Memory that is given back later must have a size that the pool can use. */
  #sizeFor(size: number): number {
    return this.#pool === undefined ? size : pooledSize(size);
  }

  #refuseSize(size: number): SessionFault | undefined {
    const limit = this.#isFirst ? this.#limits.firstFrameBytesMax : this.#limits.frameBytesMax;
    if (size >= HEADER_BYTES_MIN && size <= limit) return undefined;
    const seen = this.#isFirst ? foreignAt(this.#head) : undefined;
    if (seen !== undefined) return { kind: 'wrong-protocol', seen };
    const reason = `a frame claims ${size} bytes; from ${HEADER_BYTES_MIN} to ${limit} are taken`;
    return { kind: this.#isFirst ? 'not-kafka' : 'bad-frame', reason };
  }

  #receiveBody(view: Uint8Array, at: number): number {
    const count = Math.min(view.length - at, this.#frameSize - this.#bodySize);
    const body = this.#room(this.#bodySize + count);
    body.set(view.subarray(at, at + count), this.#bodySize);
    const before = this.#bodySize;
    this.#bodySize += count;
    if (this.#isFirst && before <= HEADER_BYTES_MIN && this.#bodySize >= HEADER_BYTES_MIN) {
      this.fault = refuseFirst(body);
      if (this.fault !== undefined) return at + count;
    }
    if (this.#bodySize === this.#frameSize) {
      this.#frames.push(body.length === this.#frameSize ? body : body.subarray(0, this.#frameSize));
      this.#queuedBytes += this.#frameSize;
      this.#isFirst = false;
      this.#frameSize = -1;
      this.#headSize = 0;
      this.#bodySize = 0;
      this.#body = undefined;
    }
    return at + count;
  }

  /** The body with room for `size` bytes: grows fourfold, so a claim costs what was really sent. */
  #room(size: number): Uint8Array {
    const body = this.#body!;
    if (size <= body.length) return body;
    const wanted = this.#sizeFor(Math.max(size, body.length * 4));
    const grown = new Uint8Array(Math.min(this.#sizeFor(this.#frameSize), wanted));
    grown.set(body.subarray(0, this.#bodySize));
    this.#body = grown;
    return grown;
  }
}

export function frameKey(frame: Uint8Array): number {
  return readI16(frame, 0);
}

function frameVersion(frame: Uint8Array): number {
  return readI16(frame, 2);
}

function foreignAt(head: Uint8Array): ForeignProtocol | undefined {
  const seen = foreignByMagic(head);
  return seen === 'unknown' || seen === 'Kafka' ? undefined : seen;
}

/**
 * RocketMQ's remoting frames begin like Kafka's: size i32 | serializer u8, header size u24 | header, which
 * is JSON for serializer 0. Its header size reads as an api version that Kafka never had.
 */
function refuseFirst(body: Uint8Array): SessionFault | undefined {
  const key = frameKey(body);
  const version = frameVersion(body);
  const isPlausible =
    key >= 0 && key <= PLAUSIBLE_KEY_MAX && version >= 0 && version <= PLAUSIBLE_VERSION_MAX;
  if (isPlausible) return undefined;
  const isJson = key === 0 && body[4] === 0x7b;
  const isBinary = key === 0x0100;
  if (isJson || isBinary) return { kind: 'wrong-protocol', seen: 'RocketMQ Remoting' };
  return { kind: 'not-kafka', reason: `the first request has key ${key}, version ${version}` };
}
