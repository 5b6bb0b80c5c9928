// The donor's side of a catch-up: pinned snapshots with their segments, read in chunks. A donation that
// nobody asks about for a while is released, so that a receiver that died pins nothing for ever.
import type { DiskError } from '../../env/environment.ts';
import { BATCH_PREFIX_BYTES, batchSize } from '../../records/batch.ts';
import type { SegmentRange, StoredLog } from '../../storage/api.ts';
import type { DonationOffer, LoanOffer } from './role.ts';

const CHUNK_BYTES = 256 * 1024;
const IDLE_MAX_MS = 30_000;
const DONATIONS_MAX = 64;

interface Pinned {
  readonly ranges: readonly SegmentRange[];
  release(): void;
}

interface Open {
  readonly donation: Pinned;
  usedAtMs: number;
}

/** Rejects where it cannot be read, or is not what it was: its segment is damaged then. */
function readRange(range: SegmentRange, at: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(size, range.length - at));
  return new Promise((resolve, reject) => {
    range.file.read(bytes, range.position + at, (error: DiskError | undefined, count: number) => {
      if (error === undefined && count === bytes.length) {
        resolve(bytes);
        return;
      }
      range.isSound(bytes, count, error);
      reject(error ?? new Error('a pinned segment is shorter than it was'));
    });
  });
}

export class Donations {
  readonly #open = new Map<number, Open>();
  readonly #nowMs: () => number;
  #nextId = 1;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#open.size;
  }

  async offer(stored: StoredLog): Promise<DonationOffer> {
    if (this.#open.size >= DONATIONS_MAX) throw new Error('too many catch-ups at once');
    const donation = await stored.donate();
    if (donation === undefined) throw new Error(`log ${stored.logId} has no snapshot to offer`);
    const { snapshot, facts } = donation;
    return { ...this.#opened(donation), snapshot, facts };
  }

  /** Settled batches alone, of a log that `isSound`: they are of the history that the borrower has, too. */
  async lend(
    stored: StoredLog,
    fromOffset: number,
    toOffset: number,
    isSound: () => boolean,
  ): Promise<LoanOffer> {
    if (this.#open.size >= DONATIONS_MAX) throw new Error('too many catch-ups at once');
    const loan = isSound() ? await stored.lend(fromOffset, toOffset) : undefined;
    if (!isSound()) {
      loan?.release();
      throw new Error(`log ${stored.logId} may have another history here`);
    }
    if (loan === undefined) {
      throw new Error(`log ${stored.logId} has not all from ${fromOffset} to ${toOffset} here`);
    }
    return { ...this.#opened(loan), facts: loan.facts };
  }

  #opened(donation: Pinned): { readonly donationId: number; readonly totalBytes: number } {
    const donationId = this.#nextId;
    this.#nextId += 1;
    this.#open.set(donationId, { donation, usedAtMs: this.#nowMs() });
    let totalBytes = 0;
    for (const range of donation.ranges) totalBytes += range.length;
    return { donationId, totalBytes };
  }

  /** Bytes from `position` on: at least one whole batch, however large. Never crosses into another range. */
  async chunk(donationId: number, position: number): Promise<Uint8Array> {
    const open = this.#open.get(donationId);
    if (open === undefined) throw new Error(`donation ${donationId} is over`);
    open.usedAtMs = this.#nowMs();
    let at = position;
    for (const range of open.donation.ranges) {
      if (at >= range.length) {
        at -= range.length;
        continue;
      }
      let bytes = await readRange(range, at, CHUNK_BYTES);
      const size = bytes.length < BATCH_PREFIX_BYTES ? 0 : batchSize(bytes, 0);
      if (size > bytes.length && size <= range.length - at)
        bytes = await readRange(range, at, size);
      // Nobody could do anything with it, and here it can be repaired.
      if (!range.isSound(bytes, bytes.length, undefined)) {
        throw new Error(`the segment of offset ${range.baseOffset} is damaged here`);
      }
      return bytes;
    }
    throw new Error(`position ${position} lies behind the donation`);
  }

  release(donationId: number): void {
    const open = this.#open.get(donationId);
    this.#open.delete(donationId);
    open?.donation.release();
  }

  tick(): void {
    const limit = this.#nowMs() - IDLE_MAX_MS;
    for (const [id, open] of this.#open) if (open.usedAtMs < limit) this.release(id);
  }

  releaseAll(): void {
    for (const id of [...this.#open.keys()]) this.release(id);
  }
}
