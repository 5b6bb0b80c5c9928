// A map from byte strings to small integers that is asked with a range of somebody else's bytes: finding
// makes no string, no view and no object. Open addressing with linear probing; the keys lie one behind
// another in one array. The hash does not resist an attacker who picks the keys that are put in.

const SLOTS_MIN = 16;
const POOL_MIN = 256;

/** 32 bits of a range: murmur's multiply and shift, four bytes a step. */
function hashRange(bytes: Uint8Array, start: number, end: number): number {
  let hash = (end - start) ^ 0x9747b28c;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash = Math.imul(hash ^ word, 0x5bd1e995);
    hash ^= hash >>> 15;
  }
  for (; at < end; at += 1) hash = Math.imul(hash ^ bytes[at]!, 0x5bd1e995);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0x5bd1e995);
  return hash ^ (hash >>> 15);
}

export class ByteMap {
  #size = 0;
  /** Three columns by slot: where the key starts in the pool (-1: free), its length and its hash. */
  #starts = new Int32Array(SLOTS_MIN).fill(-1);
  #lengths = new Int32Array(SLOTS_MIN);
  #hashes = new Int32Array(SLOTS_MIN);
  #values = new Int32Array(SLOTS_MIN);
  #mask = SLOTS_MIN - 1;
  #pool = new Uint8Array(POOL_MIN);
  #poolEnd = 0;
  #garbageBytes = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes held for keys, live and deleted. */
  get poolBytes(): number {
    return this.#pool.length;
  }

  /** The value of the key that is [start, end) of `bytes`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const slot = this.#slotOf(bytes, start, end, hashRange(bytes, start, end));
    return this.#starts[slot] === -1 ? -1 : this.#values[slot]!;
  }

  get(key: Uint8Array): number {
    return this.find(key, 0, key.length);
  }

  /** Copies the key. `value` is not negative. */
  set(key: Uint8Array, value: number): void {
    const hash = hashRange(key, 0, key.length);
    let slot = this.#slotOf(key, 0, key.length, hash);
    if (this.#starts[slot] === -1) {
      if ((this.#size + 1) * 2 > this.#mask) {
        this.#rebuild((this.#mask + 1) * 2);
        slot = this.#slotOf(key, 0, key.length, hash);
      }
      this.#starts[slot] = this.#keep(key);
      this.#lengths[slot] = key.length;
      this.#hashes[slot] = hash;
      this.#size += 1;
    }
    this.#values[slot] = value;
  }

  delete(key: Uint8Array): void {
    let hole = this.#slotOf(key, 0, key.length, hashRange(key, 0, key.length));
    if (this.#starts[hole] === -1) return;
    this.#size -= 1;
    this.#garbageBytes += key.length;
    // Close the hole: whoever probed over it moves into it, and leaves the next one.
    for (let slot = (hole + 1) & this.#mask; this.#starts[slot] !== -1; ) {
      const home = this.#hashes[slot]! & this.#mask;
      if (((slot - home) & this.#mask) >= ((slot - hole) & this.#mask)) {
        this.#move(slot, hole);
        hole = slot;
      }
      slot = (slot + 1) & this.#mask;
    }
    this.#starts[hole] = -1;
  }

  clear(): void {
    this.#size = 0;
    this.#poolEnd = 0;
    this.#garbageBytes = 0;
    this.#starts.fill(-1);
  }

  #move(from: number, to: number): void {
    this.#starts[to] = this.#starts[from]!;
    this.#lengths[to] = this.#lengths[from]!;
    this.#hashes[to] = this.#hashes[from]!;
    this.#values[to] = this.#values[from]!;
  }

  /** Where the key is, or the free slot where it would be. */
  #slotOf(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const starts = this.#starts;
    const mask = this.#mask;
    let slot = hash & mask;
    while (starts[slot] !== -1) {
      if (this.#hashes[slot] === hash && this.#isKey(slot, bytes, start, end)) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #isKey(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#lengths[slot] !== length) return false;
    const pool = this.#pool;
    const from = this.#starts[slot]!;
    for (let i = 0; i < length; i += 1) if (pool[from + i] !== bytes[start + i]) return false;
    return true;
  }

  #keep(key: Uint8Array): number {
    if (this.#poolEnd + key.length > this.#pool.length) this.#growPool(key.length);
    const start = this.#poolEnd;
    this.#pool.set(key, start);
    this.#poolEnd += key.length;
    return start;
  }

  /** Makes room for `size` bytes and drops the bytes of deleted keys. */
  #growPool(size: number): void {
    const live = this.#poolEnd - this.#garbageBytes + size;
    const old = this.#pool;
    this.#pool = new Uint8Array(Math.max(POOL_MIN, live * 2));
    this.#poolEnd = 0;
    this.#garbageBytes = 0;
    for (let slot = 0; slot <= this.#mask; slot += 1) {
      const start = this.#starts[slot]!;
      if (start === -1) continue;
      const length = this.#lengths[slot]!;
      this.#pool.set(old.subarray(start, start + length), this.#poolEnd);
      this.#starts[slot] = this.#poolEnd;
      this.#poolEnd += length;
    }
  }

  #rebuild(slots: number): void {
    const [starts, lengths, hashes, values] = [
      this.#starts,
      this.#lengths,
      this.#hashes,
      this.#values,
    ];
    this.#mask = slots - 1;
    this.#starts = new Int32Array(slots).fill(-1);
    this.#lengths = new Int32Array(slots);
    this.#hashes = new Int32Array(slots);
    this.#values = new Int32Array(slots);
    for (let old = 0; old < starts.length; old += 1) {
      if (starts[old] === -1) continue;
      let slot = hashes[old]! & this.#mask;
      while (this.#starts[slot] !== -1) slot = (slot + 1) & this.#mask;
      this.#starts[slot] = starts[old]!;
      this.#lengths[slot] = lengths[old]!;
      this.#hashes[slot] = hashes[old]!;
      this.#values[slot] = values[old]!;
    }
  }
}
