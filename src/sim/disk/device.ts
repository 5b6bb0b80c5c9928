// One simulated device: a tree of files, space, latencies and the faults that are armed on it. It outlives
// processes; what a process holds is a view (sim-disk.ts). Invariant: nothing here fires a callback; it
// only answers when an operation would complete and what it would do.
import { Causes } from '../causes.ts';
import { between, type CountingRandom, chance, exponential, pick } from '../draws.ts';
import { SimSystemError } from '../sim-error.ts';
import { type Change, crashChange, type Inode } from './inode.ts';
import { PAGE_BYTES } from './pages.ts';
import { Folder, Tree } from './tree.ts';

/** Times in nanoseconds, rates in bytes per second. */
export interface DiskProfile {
  readonly capacityBytes: number;
  readonly readMeanNs: number;
  readonly writeMeanNs: number;
  readonly syncMeanNs: number;
  readonly bytesPerSec: number;
}

export const DEFAULT_DISK: DiskProfile = {
  capacityBytes: 1_073_741_824,
  readMeanNs: 60_000,
  writeMeanNs: 120_000,
  syncMeanNs: 600_000,
  bytesPerSec: 800_000_000,
};

/** Faults that hit the next fitting operation, once. */
export type OneShotFault = 'write-error' | 'sync-error' | 'lost-write' | 'misdirected-write';

/** A write that was handed to the system and has not completed. */
export interface InFlightWrite {
  readonly inode: Inode;
  readonly change: Change;
  readonly isDsync: boolean;
}

export class Device {
  readonly #random: CountingRandom;
  readonly #profile: DiskProfile;
  readonly #armed = new Map<OneShotFault, (path: string) => boolean>();
  readonly #inFlight = new Set<InFlightWrite>();
  /** How often a one-shot fault met its operation, and other damage done, by kind. */
  readonly hits = new Map<string, number>();
  tree = new Tree();
  readonly #fullness = new Causes();
  readonly #slowdowns = new Causes();
  /** Bytes that somebody else has taken. */
  readonly #taken = new Causes();
  #stalledUntilNs = 0;
  #busyUntilNs = 0;
  #nextInode = 1;
  #sparePages = 0;

  constructor(random: CountingRandom, profile: DiskProfile) {
    this.#random = random;
    this.#profile = profile;
  }

  newInodeId(): number {
    this.#nextInode += 1;
    return this.#nextInode;
  }

  /** When an operation that starts now would be complete. */
  completionNs(nowNs: number, kind: 'read' | 'write' | 'sync', bytes: number): number {
    const mean =
      kind === 'read'
        ? this.#profile.readMeanNs
        : kind === 'write'
          ? this.#profile.writeMeanNs
          : this.#profile.syncMeanNs;
    const slowdown = Math.max(1, this.#slowdowns.max);
    const transferNs = (bytes / this.#profile.bytesPerSec) * 1e9;
    this.#busyUntilNs = Math.max(this.#busyUntilNs, nowNs) + transferNs * slowdown;
    const serviceNs = (mean / 4 + exponential(this.#random, mean * 0.75)) * slowdown;
    return Math.ceil(Math.max(this.#busyUntilNs, this.#stalledUntilNs) + serviceNs) + 1;
  }

  // ---- space ---------------------------------------------------------------------------------

  get isFull(): boolean {
    return !this.#fullness.isEmpty;
  }

  usedBytes(): number {
    let pages = 0;
    for (const { inode } of this.tree.files()) pages += inode.cached.allocated;
    return pages * PAGE_BYTES;
  }

  freeBytes(): number {
    const { capacityBytes } = this.#profile;
    return this.isFull ? 0 : Math.max(0, capacityBytes - this.usedBytes() - this.#taken.max);
  }

  /** A fault leaves less space than there would be, or none. */
  get isShort(): boolean {
    return this.isFull || !this.#taken.isEmpty;
  }

  /** Throws ENOSPC if writing would need space that is not there. Overwriting never needs any. */
  reserve(inode: Inode, position: number, length: number): void {
    const pages = inode.cached.wouldAllocate(position, length);
    if (pages === 0) return;
    if (!this.isFull && pages > this.#sparePages) {
      // Counted anew only when the last count is used up: counting looks at every file.
      this.#sparePages = Math.floor(this.freeBytes() / PAGE_BYTES);
    }
    if (this.isFull || pages > this.#sparePages) {
      throw new SimSystemError('ENOSPC', 'no space left on device');
    }
    this.#sparePages -= pages;
  }

  // ---- faults --------------------------------------------------------------------------------

  /** No space is left until the answer is called, and every other such fault is over. */
  fill(): () => void {
    return this.#fullness.add();
  }

  /** Somebody else takes what is free but for `bytes`, until the answer is called. */
  leave(bytes: number): () => void {
    this.#sparePages = 0;
    return this.#taken.add(Math.max(0, this.#profile.capacityBytes - this.usedBytes() - bytes));
  }

  /** Latencies are at least `factor` times as long until the answer is called. */
  slow(factor: number): () => void {
    return this.#slowdowns.add(factor);
  }

  /** Nothing that starts from now on completes before that time. */
  stall(untilNs: number): void {
    this.#stalledUntilNs = Math.max(this.#stalledUntilNs, untilNs);
  }

  /** Calls off a fault that has not met its operation yet. */
  disarm(fault: OneShotFault): void {
    this.#armed.delete(fault);
  }

  get isArmed(): boolean {
    return this.#armed.size > 0;
  }

  /** Ends everything that hinders the device; what it has lost stays lost. */
  heal(): void {
    this.#fullness.clear();
    this.#taken.clear();
    this.#slowdowns.clear();
    this.#stalledUntilNs = 0;
    this.#armed.clear();
  }

  /** Arms a fault for the next operation of its kind on a file that `fits`. */
  arm(fault: OneShotFault, fits: (path: string) => boolean = () => true): void {
    this.#armed.set(fault, fits);
  }

  /** True, once, if the fault is armed for this file. */
  takes(fault: OneShotFault, path: string): boolean {
    const fits = this.#armed.get(fault);
    if (fits === undefined || !fits(path)) return false;
    this.#armed.delete(fault);
    this.#count(fault);
    return true;
  }

  /** Flips 1 to 8 bits of one durable sector of a random file that `fits`; its path, if there was one. */
  rot(fits: (path: string) => boolean): string | undefined {
    const candidates = this.tree
      .files()
      .filter(
        ({ path, inode }) => fits(path) && inode.durable.allocated > 0 && inode.durable.size > 0,
      );
    const chosen = pick(this.#random, candidates);
    if (chosen === undefined) return undefined;
    const { durable, cached } = chosen.inode;
    const page = pick(this.#random, durable.allocatedPages())!;
    const flips = between(this.#random, 1, 8);
    for (let i = 0; i < flips; i += 1) {
      const position = page * PAGE_BYTES + this.#random.below(PAGE_BYTES);
      const bit = this.#random.below(8);
      const isClean = !chosen.inode.isDirty(position);
      if (durable.flipBit(position, bit) && isClean) cached.flipBit(position, bit);
    }
    this.#count('bit-rot');
    return chosen.path;
  }

  /**
   * Leaves a part of a write that failed, or nothing of it: any of its pages, or where space ran out the
   * first ones, as far as they need none.
   */
  tearFailed({ inode, change, isDsync }: InFlightWrite, isFull: boolean): void {
    if (change.kind !== 'write' || chance(this.#random, 0.5)) return;
    const end = change.position + change.bytes.length;
    for (let at = change.position; at < end; ) {
      const next = Math.min(end, (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES);
      const isTaken = chance(this.#random, 0.5) && (!isFull || !needsSpace(inode, at, next));
      if (isFull && !isTaken) return;
      if (isTaken) {
        const bytes = change.bytes.slice(at - change.position, next - change.position);
        if (isDsync) inode.writeThrough(bytes, at);
        else inode.change({ kind: 'write', position: at, bytes });
        this.#count('torn-failure');
      }
      at = next;
    }
  }

  /** A page-aligned place of the file other than `position`, for a write that goes astray. */
  wrongPlace(inode: Inode, position: number): number {
    const pages = Math.max(2, Math.ceil(inode.durable.size / PAGE_BYTES));
    const step = 1 + this.#random.below(pages - 1);
    const page = (Math.floor(position / PAGE_BYTES) + step) % pages;
    return page * PAGE_BYTES + (position % PAGE_BYTES);
  }

  // ---- life and death ------------------------------------------------------------------------

  begin(write: InFlightWrite): void {
    this.#inFlight.add(write);
  }

  finish(write: InFlightWrite): void {
    this.#inFlight.delete(write);
  }

  /** The process died, the system lives: writes under way happen or not, the page cache stays. */
  processDied(): void {
    for (const { inode, change, isDsync } of this.#inFlight) {
      if (!chance(this.#random, 0.5)) continue;
      if (isDsync && change.kind === 'write') inode.writeThrough(change.bytes, change.position);
      else inode.change(change);
    }
    this.#inFlight.clear();
    if (chance(this.#random, 0.5)) for (const { inode } of this.tree.files()) inode.evict();
  }

  /** The power went: what was not synced is kept, dropped or torn, write by write and name by name. */
  powerCut(): void {
    const cut = new Set<Inode>();
    const inFlight = [...this.#inFlight];
    this.#inFlight.clear();
    for (const inode of this.#everyInode()) {
      cut.add(inode);
      inode.crash(this.#random);
    }
    for (const { inode, change } of inFlight) {
      if (!cut.has(inode)) continue;
      this.#count(`crash-${crashChange(inode.durable, change, this.#random)}`);
      inode.cached = inode.durable.clone();
    }
    this.tree.crash(this.#random);
  }

  /** Total loss: an empty device. */
  wipe(): void {
    this.#inFlight.clear();
    this.tree = new Tree();
    this.#count('wipe');
  }

  /** A copy of all files, to be put back later. */
  backup(): Tree {
    return this.tree.copy(() => this.newInodeId());
  }

  /** Everything is as it was when the copy was made. */
  restore(backup: Tree): void {
    this.#inFlight.clear();
    this.tree = backup.copy(() => this.newInodeId());
    this.#count('rollback');
  }

  /** Files reachable by a current or a durable name, in a stable order. */
  #everyInode(): readonly Inode[] {
    const seen = new Map<number, Inode>();
    const visit = (entry: Inode | Folder): void => {
      if (!(entry instanceof Folder)) {
        seen.set(entry.id, entry);
        return;
      }
      for (const child of entry.entries.values()) visit(child);
      for (const child of entry.durable.values()) visit(child);
    };
    visit(this.tree.root);
    return [...seen.values()].sort((a, b) => a.id - b.id);
  }

  #count(kind: string): void {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1);
  }
}

function needsSpace(inode: Inode, from: number, end: number): boolean {
  return inode.cached.wouldAllocate(from, end - from) > 0;
}

/** Applies a completed write by the rules of its file and of the faults that are armed. */
export function completeWrite(device: Device, path: string, write: InFlightWrite): void {
  const { inode, change, isDsync } = write;
  if (change.kind !== 'write') {
    inode.change(change);
    return;
  }
  if (device.takes('lost-write', path)) inode.writeLost(change.bytes, change.position);
  else if (device.takes('misdirected-write', path)) {
    inode.writeMisdirected(
      change.bytes,
      change.position,
      device.wrongPlace(inode, change.position),
    );
  } else if (isDsync) inode.writeThrough(change.bytes, change.position);
  else inode.change({ ...change, bytes: change.bytes.slice() });
}
