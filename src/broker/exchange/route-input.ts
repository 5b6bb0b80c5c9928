// What routing needs to know of a message, lent for the call: its keys as ranges of one byte array, and
// its headers in the neutral form. One per session, filled anew for each message.
import { EMPTY_BYTES } from '../../std/bytes.ts';
import { growInts } from './grow.ts';

export class RouteInput {
  /** Holds all keys. */
  bytes: Uint8Array = EMPTY_BYTES;
  /** Start and end of each key, one pair behind the other. */
  spans: Int32Array = new Int32Array(8);
  keyCount = 0;
  /** The neutral form ({@link HeaderForm}) is [headersStart, headersEnd) of these. */
  headers: Uint8Array = EMPTY_BYTES;
  headersStart = 0;
  headersEnd = 0;

  /** A message with this key and no headers: [start, end) of `bytes`. */
  setKey(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.spans[0] = start;
    this.spans[1] = end;
    this.keyCount = 1;
    this.headersStart = 0;
    this.headersEnd = 0;
  }

  /** Another key of the message, in the same bytes. */
  addKey(start: number, end: number): void {
    const at = this.keyCount * 2;
    if (at + 2 > this.spans.length) this.spans = growInts(this.spans, at + 2);
    this.spans[at] = start;
    this.spans[at + 1] = end;
    this.keyCount += 1;
  }

  /** The keys are `count` pairs from pair `first` on of these. */
  setSpans(spans: Int32Array, first: number, count: number): void {
    this.keyCount = 0;
    for (let at = first * 2; at < (first + count) * 2; at += 2) {
      this.addKey(spans[at]!, spans[at + 1]!);
    }
  }

  setHeaders(headers: Uint8Array, start: number, end: number): void {
    this.headers = headers;
    this.headersStart = start;
    this.headersEnd = end;
  }
}
