// What a simulated gRPC connection carries instead of HTTP/2: frames of calls in one stream of bytes. Only what
// calls are made of is here; the bytes of their messages are the real ones.
//
//   size u32 | kind u8 | call u32 | size bytes
//
// The bytes of `open` are the headers of a call, those of `message` a message, those of `end` u8 status and text.
import { ByteReader, ByteWriter, EMPTY_BYTES } from '../../std/bytes.ts';

export const FrameKind = {
  /** Of a client, before everything else: as HTTP/2's settings. */
  hello: 1,
  open: 2,
  message: 3,
  halfClose: 4,
  /** Of a client: nobody waits for the answer. */
  cancel: 5,
  ping: 6,
  pong: 7,
  end: 8,
  /** Of a server: no call that is new will be answered. */
  goAway: 9,
} as const;

const FRAME_PREFIX_BYTES = 9;
/** As HTTP/2 counts a header, beside its name and value. */
const HEADER_BYTES = 32;

export function frameOf(kind: number, call: number, body: Uint8Array = EMPTY_BYTES): Uint8Array {
  const out = new ByteWriter(FRAME_PREFIX_BYTES + body.length);
  out.u32(body.length);
  out.u8(kind);
  out.u32(call);
  out.raw(body);
  return out.toBytes();
}

export interface CallHeaders {
  readonly path: string;
  readonly authority: string;
  /** From the moment at which the server hears of the call; Infinity: the client waits for ever. */
  readonly timeoutMs: number;
  readonly metadata: ReadonlyMap<string, string>;
}

export function openFrame(call: number, headers: CallHeaders): Uint8Array {
  const out = new ByteWriter(128);
  out.text(headers.path);
  out.text(headers.authority);
  out.f64(headers.timeoutMs);
  out.varU53(headers.metadata.size);
  for (const [name, value] of headers.metadata) {
    out.text(name);
    out.text(value);
  }
  return frameOf(FrameKind.open, call, out.finish());
}

export function headersOf(body: Uint8Array): CallHeaders {
  const from = new ByteReader(body);
  const path = from.text();
  const authority = from.text();
  const timeoutMs = from.f64();
  const metadata = new Map<string, string>();
  for (let left = from.varU53(); left > 0; left -= 1) metadata.set(from.text(), from.text());
  return { path, authority, timeoutMs, metadata };
}

/** As HTTP/2 counts it. */
export function headerBytes({ path, authority, metadata }: CallHeaders): number {
  let bytes = path.length + authority.length + 2 * HEADER_BYTES;
  for (const [name, value] of metadata) bytes += name.length + value.length + HEADER_BYTES;
  return bytes;
}

export function endFrame(call: number, status: number, text: string): Uint8Array {
  const out = new ByteWriter(64);
  out.u8(status);
  out.text(text);
  return frameOf(FrameKind.end, call, out.finish());
}

export function endOf(body: Uint8Array): { readonly status: number; readonly text: string } {
  const from = new ByteReader(body);
  return { status: from.u8(), text: from.text() };
}

export interface FrameEvents {
  /** False: its bytes are passed over. */
  wants?(kind: number, call: number, size: number): boolean;
  /** The body is the receiver's to keep. */
  frame(kind: number, call: number, body: Uint8Array): void;
}

/** Puts frames that arrive in any pieces back together. */
export class GrpcFrameReader {
  readonly #events: FrameEvents;
  readonly #prefix = new Uint8Array(FRAME_PREFIX_BYTES);
  #prefixSize = 0;
  #kind = 0;
  #call = 0;
  #body: Uint8Array = EMPTY_BYTES;
  #bodySize = 0;
  #isWanted = true;
  #missing = 0;

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /** Of the frame that is not whole. */
  get heldBytes(): number {
    return this.#bodySize;
  }

  receive(view: Uint8Array): void {
    let at = 0;
    while (at < view.length) {
      if (this.#prefixSize < FRAME_PREFIX_BYTES) {
        this.#prefix[this.#prefixSize++] = view[at++]!;
        if (this.#prefixSize === FRAME_PREFIX_BYTES) this.#begin();
      } else {
        const count = Math.min(this.#missing, view.length - at);
        if (this.#isWanted) this.#body.set(view.subarray(at, at + count), this.#bodySize);
        this.#bodySize += count;
        this.#missing -= count;
        at += count;
      }
      if (this.#prefixSize === FRAME_PREFIX_BYTES && this.#missing === 0) this.#whole();
    }
  }

  #begin(): void {
    const from = new ByteReader(this.#prefix);
    const size = from.u32();
    this.#kind = from.u8();
    this.#call = from.u32();
    this.#isWanted = this.#events.wants?.(this.#kind, this.#call, size) ?? true;
    this.#body = this.#isWanted ? new Uint8Array(size) : EMPTY_BYTES;
    this.#bodySize = 0;
    this.#missing = size;
  }

  #whole(): void {
    const body = this.#body;
    this.#prefixSize = 0;
    this.#body = EMPTY_BYTES;
    this.#bodySize = 0;
    if (this.#isWanted) this.#events.frame(this.#kind, this.#call, body);
  }
}
