// One file of the simulated device: what a process sees (cached), what would survive a power cut
// (durable), and the writes between the two, in order. Invariant: replaying every pending change on the
// durable image gives the cached image, unless a fault was injected.
//
//   write ──> cached, pending ──sync──> durable
//   dsync write ──────────────────────> cached and durable at its completion
//   power cut: each pending write is kept, dropped or torn, independently; then cached = durable
import { type CountingRandom, chance } from '../draws.ts';
import { PAGE_BYTES, Pages } from './pages.ts';

export type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number };

/** What became of one pending change in a power cut. For models and for reports. */
export type Fate = 'kept' | 'dropped' | 'torn';

export class Inode {
  readonly id: number;
  cached = Pages.empty();
  durable = Pages.empty();
  #pending: Change[] = [];
  /** How many changes left the front of the list: marks count from the first change ever. */
  #settled = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** What a copy of the file is: what processes see of it now, on another device for good. */
  copy(id: number): Inode {
    const copy = new Inode(id);
    copy.durable = this.cached.clone();
    copy.cached = copy.durable.clone();
    return copy;
  }

  /** Changes that a power cut may lose. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  /** Applies a change to the cache; the next sync makes it durable. */
  change(change: Change): void {
    apply(this.cached, change);
    this.#pending.push(change);
  }

  /** A write that is durable when it is visible. Older changes of the same pages go to the device with it. */
  writeThrough(bytes: Uint8Array, position: number): void {
    this.#flushBelow(position, bytes.length);
    this.cached.write(bytes, position);
    // The device takes whole pages: what the cache holds around the bytes goes with them.
    this.durable.adopt(this.cached, position, bytes.length);
  }

  /** Names the end of what is pending now: what a sync that starts here will cover. */
  pendingMark(): number {
    return this.#settled + this.#pending.length;
  }

  /** True if the page at `position` waits for a sync, so that the cache hides the device. */
  isDirty(position: number): boolean {
    const page = Math.floor(position / PAGE_BYTES);
    return this.#pending.some(
      (change) =>
        change.kind === 'write' && touches(change.position, change.bytes.length, page, page),
    );
  }

  /** Makes the changes below `mark` durable. */
  syncThrough(mark: number): void {
    const count = Math.max(0, mark - this.#settled);
    for (const change of this.#pending.slice(0, count)) apply(this.durable, change);
    this.forgetThrough(mark);
  }

  /** A sync that failed: the changes below `mark` count as clean but never reached the device. */
  forgetThrough(mark: number): void {
    const count = Math.max(0, mark - this.#settled);
    this.#pending = this.#pending.slice(count);
    this.#settled += count;
  }

  /** The device lied: the cache shows the write, nothing will ever make it durable. */
  writeLost(bytes: Uint8Array, position: number): void {
    this.cached.write(bytes, position);
  }

  /** The right bytes at a wrong place of the device; their own place keeps what it had. */
  writeMisdirected(bytes: Uint8Array, position: number, wrong: number): void {
    this.cached.write(bytes, position);
    this.durable.write(bytes, wrong);
  }

  /** Clean pages leave the cache, so that what the device really holds is what is read next. */
  evict(): void {
    this.cached = this.durable.clone();
    for (const change of this.#pending) apply(this.cached, change);
  }

  /** A power cut. Returns the fate of each pending change, in order. */
  crash(random: CountingRandom): readonly Fate[] {
    const fates = this.#pending.map((change) => crashChange(this.durable, change, random));
    this.forgetThrough(this.pendingMark());
    this.cached = this.durable.clone();
    return fates;
  }

  #flushBelow(position: number, length: number): void {
    const first = Math.floor(position / PAGE_BYTES);
    const last = Math.floor((position + Math.max(length, 1) - 1) / PAGE_BYTES);
    let through = 0;
    this.#pending.forEach((change, i) => {
      if (change.kind === 'truncate') through = i + 1;
      else if (touches(change.position, change.bytes.length, first, last)) through = i + 1;
    });
    if (through > 0) this.syncThrough(this.#settled + through);
  }
}

/** Whether a write has bytes in the pages from `first` to `last`. */
function touches(position: number, length: number, first: number, last: number): boolean {
  const end = position + Math.max(length, 1) - 1;
  return Math.floor(position / PAGE_BYTES) <= last && Math.floor(end / PAGE_BYTES) >= first;
}

/** A write that was under way when the power went: applied to the device whole, not at all, or in part. */
export function crashChange(pages: Pages, change: Change, random: CountingRandom): Fate {
  const drawn = random.below(3);
  if (drawn === 0) {
    apply(pages, change);
    return 'kept';
  }
  if (drawn === 1 || change.kind === 'truncate') return 'dropped';
  tear(pages, change.bytes, change.position, random);
  return 'torn';
}

/** Writes an independent choice of the sectors; the size may grow without its data (zeros). */
function tear(pages: Pages, bytes: Uint8Array, position: number, random: CountingRandom): void {
  const end = position + bytes.length;
  for (let at = position; at < end; ) {
    const next = Math.min(end, (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES);
    if (chance(random, 0.5)) pages.write(bytes.subarray(at - position, next - position), at);
    at = next;
  }
  if (chance(random, 0.5) && pages.size < end) pages.truncate(end);
}

function apply(pages: Pages, change: Change): void {
  if (change.kind === 'write') pages.write(change.bytes, change.position);
  else pages.truncate(change.size);
}
