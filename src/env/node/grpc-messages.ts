// Bytes of one direction of a gRPC call to whole messages. Pure: no stream, no clock. A message is
//
//   compressed u8 (0 or 1) | size u32 | so many bytes
//
// (grpc/grpc, doc/PROTOCOL-HTTP2.md). Where frames of HTTP/2 end means nothing.
// Invariant: what a peer claims is never allocated before it has sent a good part of it. Received chunks
// are not kept either, because a small one may hold a large buffer of the system's.
import { gunzipSync } from 'node:zlib';
import { GrpcStatus } from '../grpc.ts';

const PREFIX_BYTES = 5;
const FIRST_BYTES = 16 * 1024;
const NO_BYTES = new Uint8Array(0);

/** Why a call cannot go on: gRPC's status and a sentence. */
export interface CallFault {
  readonly status: number;
  readonly text: string;
}

export class MessageReader {
  readonly #encoding: string;
  readonly #bytesMax: number;
  readonly #onMessage: (message: Uint8Array) => void;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixSize = 0;
  #size = -1;
  #body: Uint8Array = NO_BYTES;
  #bodySize = 0;
  fault: CallFault | undefined;

  /** `encoding` is the header grpc-encoding, '' if there was none. */
  constructor(encoding: string, bytesMax: number, onMessage: (message: Uint8Array) => void) {
    this.#encoding = encoding;
    this.#bytesMax = bytesMax;
    this.#onMessage = onMessage;
  }

  /** Memory that is held for a message that is not whole. */
  get heldBytes(): number {
    return this.#body.length;
  }

  /** True between two messages. */
  get isBetween(): boolean {
    return this.#prefixSize === 0;
  }

  /** Takes in bytes; after `fault` nothing is read. A whole message in `chunk` is a view of it. */
  receive(chunk: Uint8Array): void {
    let at = 0;
    while (this.fault === undefined) {
      if (this.#size < 0) at = this.#receivePrefix(chunk, at);
      if (this.#size < 0) return;
      const missing = this.#size - this.#bodySize;
      if (this.#bodySize === 0 && chunk.length - at >= missing) {
        this.#body = plainView(chunk, at, missing);
      } else if (at < chunk.length) {
        const count = Math.min(missing, chunk.length - at);
        this.#room(count).set(chunk.subarray(at, at + count), this.#bodySize);
        this.#bodySize += count;
        if (count < missing) return;
      } else return;
      at += missing;
      this.#whole();
    }
  }

  #receivePrefix(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.#prefixSize < PREFIX_BYTES) {
      this.#prefix[this.#prefixSize++] = chunk[at++]!;
    }
    if (this.#prefixSize < PREFIX_BYTES || this.fault !== undefined) return at;
    const size = new DataView(this.#prefix.buffer).getUint32(1);
    this.fault = this.#refuse(this.#prefix[0]!, size);
    if (this.fault === undefined) this.#size = size;
    return at;
  }

  #refuse(flag: number, size: number): CallFault | undefined {
    if (flag > 1) {
      return { status: GrpcStatus.INTERNAL, text: `a message begins with ${flag}, not 0 or 1` };
    }
    if (size > this.#bytesMax) return tooLarge(size, this.#bytesMax);
    if (flag === 0) return undefined;
    if (this.#encoding === '' || this.#encoding === 'identity') {
      const text = 'a message says that it is compressed, and the call does not say how';
      return { status: GrpcStatus.INTERNAL, text };
    }
    if (this.#encoding === 'gzip') return undefined;
    const text = `messages compressed with ${this.#encoding} are not taken; gzip and identity are`;
    return { status: GrpcStatus.UNIMPLEMENTED, text };
  }

  #room(count: number): Uint8Array {
    const wanted = this.#bodySize + count;
    if (wanted <= this.#body.length) return this.#body;
    const capacity = Math.min(this.#size, Math.max(wanted, this.#body.length * 2, FIRST_BYTES));
    const grown = new Uint8Array(capacity);
    grown.set(this.#body.subarray(0, this.#bodySize));
    this.#body = grown;
    return grown;
  }

  #whole(): void {
    const body = this.#body;
    const isCompressed = this.#prefix[0] === 1;
    this.#prefixSize = 0;
    this.#size = -1;
    this.#body = NO_BYTES;
    this.#bodySize = 0;
    if (!isCompressed) this.#onMessage(body);
    else this.#unpack(body);
  }

  /** In the loop: few clients compress calls, and what comes out is bounded. */
  #unpack(body: Uint8Array): void {
    let unpacked: Uint8Array;
    try {
      unpacked = gunzipSync(body, { maxOutputLength: this.#bytesMax });
    } catch (error) {
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
      this.fault = isTooLarge
        ? tooLarge('more', this.#bytesMax)
        : { status: GrpcStatus.INTERNAL, text: 'a message cannot be unpacked with gzip' };
      return;
    }
    this.#onMessage(plainView(unpacked, 0, unpacked.length));
  }
}

/** A Buffer's `slice` is a view where an array's is a copy, so no Buffer leaves this room. */
function plainView(bytes: Uint8Array, at: number, size: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, size);
}

function tooLarge(size: number | string, bytesMax: number): CallFault {
  const text = `a message has ${size} bytes; up to ${bytesMax} are taken`;
  return { status: GrpcStatus.RESOURCE_EXHAUSTED, text };
}

/** A message behind its prefix, uncompressed. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}
