// For each key the offset of its newest record: a flat table in shared memory, so that the thread that fills it
// and the one that asks it need not be the same, and no key costs an object. Keys are known by 128 bits of a hash
// with a seed of the pass; as in Kafka, which keeps an MD5, two keys that meet in all of them would be one.
//
// 24 bytes a slot: four words of hash, offset + 1 as two words; 0: empty. Open addressing, linear.
import { murmur3x128 } from '../../std/murmur3.ts';

const SLOT_WORDS = 6;
const SLOT_BYTES = 4 * SLOT_WORDS;
const WORD = 2 ** 32;
/** More than this and looking takes long. */
const LOAD_MAX = 0.75;
/** Words in front of the slots: how many are used, and the seed. */
const HEAD_WORDS = 2;

export class KeyMap {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #slots: number;
  readonly #hash = new Int32Array(4);

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#slots = Math.floor((this.#words.length - HEAD_WORDS) / SLOT_WORDS);
  }

  /** An empty one of about `bytes`. */
  static ofBytes(bytes: number, seed: number): KeyMap {
    const slots = Math.max(16, Math.floor(bytes / SLOT_BYTES));
    const map = new KeyMap(new SharedArrayBuffer(4 * HEAD_WORDS + slots * SLOT_BYTES));
    map.#words[1] = seed;
    return map;
  }

  get size(): number {
    return this.#words[0]!;
  }

  get isFull(): boolean {
    return this.size >= this.#slots * LOAD_MAX;
  }

  /** The slot of a key, or the empty one where it would be. */
  #find(bytes: Uint8Array, start: number, end: number): number {
    const words = this.#words;
    const hash = this.#hash;
    murmur3x128(bytes, start, end, words[1]!, hash);
    let slot = (hash[0]! >>> 0) % this.#slots;
    for (;;) {
      const at = HEAD_WORDS + slot * SLOT_WORDS;
      const isEmpty = words[at + 4] === 0 && words[at + 5] === 0;
      const isKey =
        words[at] === hash[0] &&
        words[at + 1] === hash[1] &&
        words[at + 2] === hash[2] &&
        words[at + 3] === hash[3];
      if (isEmpty || isKey) return at;
      slot = slot + 1 === this.#slots ? 0 : slot + 1;
    }
  }

  /** False: it is full, and the key is a new one. Offsets of one key come in order. */
  put(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    const words = this.#words;
    const at = this.#find(bytes, start, end);
    if (words[at + 4] === 0 && words[at + 5] === 0) {
      if (this.isFull) return false;
      words[0]! += 1;
      words.set(this.#hash, at);
    }
    words[at + 4] = ((offset + 1) % WORD) | 0;
    words[at + 5] = Math.floor((offset + 1) / WORD);
    return true;
  }

  /** The newest offset of the key; -1: it is not in here. */
  get(bytes: Uint8Array, start: number, end: number): number {
    const words = this.#words;
    const at = this.#find(bytes, start, end);
    return words[at + 5]! * WORD + (words[at + 4]! >>> 0) - 1;
  }
}
