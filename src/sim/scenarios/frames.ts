// Length-prefixed frames of 32-bit ids, for the canary scenario: u32 length, u8 kind, u32 ids.
import { concatBytes, readU32, writeU32 } from '../../std/bytes.ts';

const LENGTH_BYTES = 4;

export function frame(kind: number, ids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + 1 + ids.length * 4);
  writeU32(bytes, 0, bytes.length - LENGTH_BYTES);
  bytes[LENGTH_BYTES] = kind;
  for (const [i, id] of ids.entries()) writeU32(bytes, LENGTH_BYTES + 1 + i * 4, id);
  return bytes;
}

/** Puts bytes that arrive in any pieces back together. The body is a copy of its own. */
export class FrameReader {
  readonly #onFrame: (body: Uint8Array) => void;
  #kept = new Uint8Array(0);

  constructor(onFrame: (body: Uint8Array) => void) {
    this.#onFrame = onFrame;
  }

  push(view: Uint8Array): void {
    const all = concatBytes([this.#kept, view]);
    let at = 0;
    while (all.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + readU32(all, at);
      if (end > all.length) break;
      this.#onFrame(all.slice(at + LENGTH_BYTES, end));
      at = end;
    }
    this.#kept = all.slice(at);
  }
}
