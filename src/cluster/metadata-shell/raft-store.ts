// What Raft must remember, on one stored log of the main thread's store. One durable step of the core is
// one frame, so it is there whole or not at all; a snapshot is the log's state, stored behind its frame.
// Recovery reads the newest state and the frames behind it.
//
//   frame: u8 flags (1 truncate, 2 hard state, 4 snapshot marker) | [u64 truncateFrom]
//          | [u64 term, u64 vote, u64 commit] | [u8 replacesLog, u64 keepFrom, u64 snapshot index]
//          | varU53 count | entries
//   state: the same hard state | u8 has snapshot | [snapshot] | varU53 count | entries
import {
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  readConfiguration,
  readEntry,
  readHardState,
  type Snapshot,
  type Write,
  writeConfiguration,
  writeEntry,
  writeHardState,
} from '../../raft/index.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import type { StoredLog } from '../../storage/api.ts';

const FLAG_TRUNCATE = 1;
const FLAG_HARD_STATE = 2;
const FLAG_SNAPSHOT = 4;
const READ_BYTES_MAX = 4 * 1024 * 1024;

interface Pending {
  readonly seq: number;
  readonly attempt: number;
  /** The state must be durable too before this step counts. */
  readonly needsState: boolean;
}

export class RaftStore {
  readonly #stored: StoredLog;
  readonly #persisted: (attempt: number) => void;
  #hardState: HardState = INITIAL_HARD_STATE;
  #snapshot: Snapshot | undefined;
  #entries: Entry[] = [];
  #pending: Pending[] = [];
  #stateDue: { readonly seq: number } | undefined;
  /** The state that steps wait for, and that was put. */
  #statePut: { readonly seq: number; readonly bytes: Uint8Array } | undefined;

  constructor(stored: StoredLog, persisted: (attempt: number) => void) {
    this.#stored = stored;
    this.#persisted = persisted;
  }

  get isEmpty(): boolean {
    return this.#stored.endSeq === 0;
  }

  /** A stored snapshot is still on its way to the disk: call `poll` again soon. */
  get isWaitingForState(): boolean {
    return this.#pending.some((pending) => pending.needsState);
  }

  async recover(): Promise<{
    hardState: HardState;
    snapshot: Snapshot | undefined;
    entries: readonly Entry[];
  }> {
    const state = this.#stored.state();
    let at = 1;
    if (state !== undefined) {
      this.#loadState(state.bytes);
      at = state.seq + 1;
    }
    while (at <= this.#stored.endSeq) {
      const next = await this.#stored.framesFrom(at, READ_BYTES_MAX, (_header, events) => {
        this.#replay(events);
        return true;
      });
      // Who lacks frames takes no part whatever is found: see assembly/past.ts.
      if (next === 'gone' && this.#stored.needsRepair) break;
      if (next === 'gone' || next <= at)
        throw new Error(`metadata frame ${at} cannot be read back`);
      at = next;
    }
    // A single copy: what is durable here is all there is, so it counts as committed.
    this.#stored.setCommitted(this.#stored.endSeq);
    return { hardState: this.#hardState, snapshot: this.#snapshot, entries: this.#entries };
  }

  write(write: Write): void {
    const events = this.#encode(write);
    const { hardState, snapshot } = write;
    if (snapshot?.replacesLog === true) this.#entries = [];
    this.#mirror(write.truncateFrom, write.entries, hardState);
    if (snapshot !== undefined) {
      this.#snapshot = snapshot.snapshot;
      this.#entries = this.#entries.filter((entry) => entry.index >= snapshot.keepFrom);
    }
    const seq = this.#stored.append(1, this.#stored.lastLogTimeMs, events, undefined, true);
    if (typeof seq !== 'number') throw new Error(`the metadata log refused a write: ${seq}`);
    const needsState = snapshot !== undefined;
    this.#pending.push({ seq, attempt: write.attempt, needsState });
    if (needsState) this.#stateDue = { seq };
  }

  /** The store made frames durable, or a state file may have become durable. */
  poll(): void {
    const { durableSeq } = this.#stored;
    this.#stored.setCommitted(durableSeq);
    const due = this.#stateDue;
    if (due !== undefined && due.seq <= durableSeq && this.#stored.endSeq === durableSeq) {
      this.#stateDue = undefined;
      this.#statePut = { seq: durableSeq, bytes: this.#encodeState() };
      this.putAgain();
    } else if (this.#stored.snapshotSeq >= (this.#statePut?.seq ?? 0)) this.#statePut = undefined;
    while (this.#pending.length > 0) {
      const next = this.#pending[0];
      if (next === undefined || next.seq > durableSeq) return;
      if (next.needsState && this.#stored.snapshotSeq < next.seq) return;
      this.#pending.shift();
      this.#persisted(next.attempt);
    }
  }

  /**
   * A state for which the disk had no room or the process no descriptor is not stored, and nobody says so: without it
   * nothing counts any more, and nobody hears of this peer. One that is under way is left at that.
   */
  putAgain(): void {
    const state = this.#statePut;
    if (state === undefined || this.#stored.snapshotSeq >= state.seq) return;
    this.#stored.putState(state.seq, state.bytes);
  }

  /** Everything so far, for a store that wants to drop old frames. */
  stateWanted(): { seq: number; bytes: Uint8Array } | undefined {
    const { durableSeq, endSeq } = this.#stored;
    if (endSeq === 0 || durableSeq !== endSeq) return undefined;
    return { seq: durableSeq, bytes: this.#encodeState() };
  }

  #mirror(
    truncateFrom: number | undefined,
    entries: readonly Entry[],
    hardState: HardState | undefined,
  ): void {
    if (truncateFrom !== undefined) {
      this.#entries = this.#entries.filter((entry) => entry.index < truncateFrom);
    }
    for (const entry of entries) {
      const last = this.#entries[this.#entries.length - 1];
      // After a snapshot that was lost in a crash its successors do not fit: they were never counted.
      if (last === undefined || entry.index === last.index + 1) this.#entries.push(entry);
    }
    if (hardState !== undefined) this.#hardState = hardState;
  }

  #encode(write: Write): Uint8Array {
    const out = new ByteWriter(256);
    const { truncateFrom, hardState, snapshot, entries } = write;
    out.u8(
      (truncateFrom === undefined ? 0 : FLAG_TRUNCATE) |
        (hardState === undefined ? 0 : FLAG_HARD_STATE) |
        (snapshot === undefined ? 0 : FLAG_SNAPSHOT),
    );
    if (truncateFrom !== undefined) out.u64(truncateFrom);
    if (hardState !== undefined) writeHardState(out, hardState);
    if (snapshot !== undefined) {
      out.u8(snapshot.replacesLog ? 1 : 0);
      out.u64(snapshot.keepFrom);
      out.u64(snapshot.snapshot.index);
    }
    out.varU53(entries.length);
    for (const entry of entries) writeEntry(out, entry);
    return out.toBytes();
  }

  #replay(events: Uint8Array): void {
    const read = new ByteReader(events);
    const flags = read.u8();
    const truncateFrom = (flags & FLAG_TRUNCATE) !== 0 ? read.u64() : undefined;
    const hardState = (flags & FLAG_HARD_STATE) !== 0 ? readHardState(read) : undefined;
    if ((flags & FLAG_SNAPSHOT) !== 0) {
      // Its bytes are in the state if that became durable; if not, the step never counted.
      read.u8();
      read.u64();
      read.u64();
    }
    const count = read.varU53();
    const entries: Entry[] = [];
    for (let index = 0; index < count; index += 1) {
      entries.push(readEntry(read));
    }
    this.#mirror(truncateFrom, entries, hardState);
  }

  #encodeState(): Uint8Array {
    const out = new ByteWriter(1024);
    writeHardState(out, this.#hardState);
    const snapshot = this.#snapshot;
    out.u8(snapshot === undefined ? 0 : 1);
    if (snapshot !== undefined) {
      out.u64(snapshot.index);
      out.u64(snapshot.term);
      writeConfiguration(out, snapshot.configuration);
      out.u32(snapshot.checksum);
      out.sized(snapshot.data);
    }
    out.varU53(this.#entries.length);
    for (const entry of this.#entries) writeEntry(out, entry);
    return out.toBytes();
  }

  #loadState(bytes: Uint8Array): void {
    const read = new ByteReader(new Uint8Array(bytes));
    this.#hardState = readHardState(read);
    if (read.u8() === 1) {
      const index = read.u64();
      const term = read.u64();
      const configuration = readConfiguration(read);
      const checksum = read.u32();
      this.#snapshot = { index, term, configuration, checksum, data: read.sized() };
    }
    const count = read.varU53();
    this.#entries = [];
    for (let at = 0; at < count; at += 1) this.#entries.push(readEntry(read));
  }
}
