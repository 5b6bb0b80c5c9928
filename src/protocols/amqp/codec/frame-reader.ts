// Bytes of one connection in, a tape of what they mean out. Pure: no socket, no clock, and of channels and
// connections only what framing needs. Bytes may be cut anywhere; what lies whole in the chunk is never copied, and
// memory for what does not is bounded by frame_max and `ReaderLimits`.
//
// Never throws for anything that a peer sends: its errors are OP_FAULT entries. After an error of a channel nothing of
// it but channel.close and close-ok is given; after one of the connection only connection.close and close-ok; and
// nothing at all once the frames are out of step.
import { assert } from '../../../std/assert.ts';
import { EMPTY_BYTES, readU16, readU32 } from '../../../std/bytes.ts';
import { FRAME_BODY, FRAME_END, FRAME_HEAD_BYTES, FRAME_OVERHEAD_BYTES, Frame } from './frame.ts';
import { FrameMeaning, type Peer } from './frame-meaning.ts';
import {
  FRAME_BYTES_MIN,
  MESSAGE_BYTES_CEILING,
  READER_LIMITS,
  type ReaderLimits,
} from './limits.ts';
import { PROTOCOL_HEADER_BYTES, recogniseHeader } from './protocol-header.ts';
import { OP_START, OP_WRONG_PROTOCOL, type Tape } from './tape.ts';

/** How the payload of a cut frame is taken in: copied, handed on in pieces, or not at all. */
const CARRIED = 0;
const STREAMED = 1;
const DROPPED = 2;
/** With the powers of two of the pool: at most four times what has come. */
const GROWTH = 2;

export interface ReaderOptions {
  readonly limits?: ReaderLimits;
  /** Who sends the bytes; a server's do not begin with a protocol header. Default: a client. */
  readonly peer?: Peer;
}

export class FrameReader {
  readonly #tape: Tape;
  readonly #meaning: FrameMeaning;
  readonly #frame = new Frame();
  #isHeaderAwaited: boolean;

  /** The protocol header or the head of a frame, as far as it has come. */
  readonly #head = new Uint8Array(PROTOCOL_HEADER_BYTES);
  #headSize = 0;
  /** The cut frame; size -1: its head has not come. */
  #cutSize = -1;
  #cutType = 0;
  #cutChannel = 0;
  /** Bytes of its payload and end that have come. */
  #cutGot = 0;
  #cutMode = CARRIED;
  #carry: Uint8Array | undefined;

  /** The tape may serve other readers too. */
  constructor(tape: Tape, options: ReaderOptions = {}) {
    const { limits = READER_LIMITS, peer = 'client' } = options;
    assert(limits.messageBytesMax <= MESSAGE_BYTES_CEILING, 'FrameReader: messages too large');
    assert(limits.firstFrameBytesMax >= FRAME_BYTES_MIN, 'FrameReader: frames too small');
    this.#tape = tape;
    this.#meaning = new FrameMeaning(tape, limits, peer);
    this.#isHeaderAwaited = peer === 'client';
  }

  /** Memory that is held for unfinished messages and frames, bytes. */
  get heldBytes(): number {
    return this.#meaning.contents.heldBytes + (this.#carry?.length ?? 0);
  }

  /** Nothing is read any more: the frames are out of step, or it is another protocol. */
  get isOver(): boolean {
    return this.#meaning.isOver;
  }

  /** The largest payload that is taken now, bytes. */
  get payloadBytesMax(): number {
    return this.#meaning.payloadBytesMax;
  }

  /** Fills the tape with what the bytes, and those before them, mean. */
  receive(chunk: Uint8Array): void {
    this.#tape.begin(chunk);
    if (this.isOver) return;
    let at = 0;
    if (this.#isHeaderAwaited) at = this.#receiveHeader(chunk);
    if (this.#headSize > 0 || this.#cutSize >= 0) at = this.#receiveCut(chunk, at);
    while (at < chunk.length && !this.isOver) {
      const next = this.#wholeFrame(chunk, at);
      at = next > 0 ? next : this.#receiveCut(chunk, at);
    }
  }

  /**
   * The server closes a channel: from the next chunk on only the close of that channel is given. What the tape
   * has of it already is for the caller to pass over.
   */
  closeChannel(channel: number): void {
    this.#meaning.contents.close(channel);
  }

  /** The same for the connection. */
  closeConnection(): void {
    this.#meaning.closeConnection();
  }

  /** The connection is gone: gives all memory back. */
  end(): void {
    this.#meaning.closeConnection();
    this.#meaning.isOver = true;
    this.#dropCarry();
  }

  #receiveHeader(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length) {
      this.#head[this.#headSize] = chunk[at]!;
      this.#headSize += 1;
      at += 1;
      const verdict = recogniseHeader(this.#head, this.#headSize);
      if (verdict === undefined) continue;
      this.#headSize = 0;
      this.#isHeaderAwaited = false;
      if (verdict === true) {
        this.#tape.entry(OP_START, 0);
        return at;
      }
      this.#tape.objectEntry(OP_WRONG_PROTOCOL, 0, verdict);
      this.end();
      return at;
    }
    return at;
  }

  /** Takes the frame at `at` if all of it is there. Returns where the next one starts, or 0. */
  #wholeFrame(chunk: Uint8Array, at: number): number {
    if (chunk.length - at < FRAME_OVERHEAD_BYTES) return 0;
    const size = readU32(chunk, at + 3);
    const payloadAt = at + FRAME_HEAD_BYTES;
    const end = payloadAt + size;
    if (end >= chunk.length || size > this.#meaning.payloadBytesMax) return 0;
    const frame = this.#frame;
    frame.type = chunk[at]!;
    frame.channel = readU16(chunk, at + 1);
    frame.bytes = chunk;
    frame.at = payloadAt;
    frame.end = end;
    if (chunk[end] !== FRAME_END) {
      this.#badEnd(frame, chunk[end]!);
      return end + 1;
    }
    const next = this.#meaning.wholePublish(frame);
    if (next > 0) return next;
    this.#meaning.take(frame);
    return end + 1;
  }

  #badEnd(frame: Frame, octet: number): void {
    this.#meaning.outOfStep(frame, `{invalid_frame_end_marker,${octet}}`);
  }

  // ---- Frames that are cut --------------------------------------------------------------------

  /** Takes in bytes of a frame that does not lie whole in one chunk. Returns what comes behind them. */
  #receiveCut(chunk: Uint8Array, at: number): number {
    while (this.#cutSize < 0) {
      if (at === chunk.length || this.isOver) return at;
      this.#head[this.#headSize] = chunk[at]!;
      this.#headSize += 1;
      at += 1;
      if (this.#headSize === FRAME_HEAD_BYTES) this.#beginCut();
    }
    const total = this.#cutSize + 1;
    const count = Math.min(chunk.length - at, total - this.#cutGot);
    if (count === 0) return at;
    if (this.#cutMode === CARRIED) this.#carryBytes(chunk, at, count);
    else if (this.#cutMode === STREAMED) this.#streamBytes(chunk, at, count);
    this.#cutGot += count;
    if (this.#cutGot === total) this.#endCut(chunk[at + count - 1]!);
    return at + count;
  }

  #beginCut(): void {
    const type = this.#head[0]!;
    const channel = readU16(this.#head, 1);
    const size = readU32(this.#head, 3);
    this.#headSize = 0;
    const meaning = this.#meaning;
    if (size > meaning.payloadBytesMax) {
      const limit = meaning.payloadBytesMax - FRAME_OVERHEAD_BYTES;
      const frame = this.#filled(type, channel, EMPTY_BYTES, 0);
      meaning.outOfStep(frame, `{frame_too_large,${size},${limit}}`);
      return;
    }
    this.#cutType = type;
    this.#cutChannel = channel;
    this.#cutSize = size;
    this.#cutGot = 0;
    if (meaning.drops(type, channel)) this.#cutMode = DROPPED;
    else if (type === FRAME_BODY && meaning.beginBody(channel, size)) this.#cutMode = STREAMED;
    else this.#cutMode = CARRIED;
  }

  #filled(type: number, channel: number, bytes: Uint8Array, size: number): Frame {
    const frame = this.#frame;
    frame.type = type;
    frame.channel = channel;
    frame.bytes = bytes;
    frame.at = 0;
    frame.end = size;
    return frame;
  }

  #streamBytes(chunk: Uint8Array, at: number, count: number): void {
    const payload = Math.min(count, this.#cutSize - this.#cutGot);
    const channel = this.#cutChannel;
    const { contents } = this.#meaning;
    this.#meaning.report(channel, contents.appendBody(channel, chunk, at, payload));
  }

  /** Copies into a buffer that grows with what has come. */
  #carryBytes(chunk: Uint8Array, at: number, count: number): void {
    const size = this.#cutGot + count;
    const old = this.#carry;
    if (old === undefined || size > old.length) {
      const room = Math.max(size, (old?.length ?? 0) * GROWTH);
      const grown = this.#tape.pool.take(Math.min(this.#cutSize + 1, room));
      if (old !== undefined) {
        grown.set(old.subarray(0, this.#cutGot));
        this.#tape.pool.give(old);
      }
      this.#carry = grown;
    }
    this.#carry!.set(chunk.subarray(at, at + count), this.#cutGot);
  }

  #endCut(endOctet: number): void {
    const isCarried = this.#cutMode === CARRIED;
    const size = isCarried ? this.#cutSize : 0;
    const frame = this.#filled(this.#cutType, this.#cutChannel, this.#carry ?? EMPTY_BYTES, size);
    const isStreamed = this.#cutMode === STREAMED;
    this.#cutSize = -1;
    if (endOctet !== FRAME_END) this.#badEnd(frame, endOctet);
    else if (isCarried) this.#meaning.take(frame);
    else if (isStreamed) this.#meaning.contents.endBody(frame.channel);
    this.#dropCarry();
  }

  #dropCarry(): void {
    if (this.#carry === undefined) return;
    this.#tape.pool.give(this.#carry);
    this.#carry = undefined;
  }
}
