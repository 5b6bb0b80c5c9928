// One wish for messages on its way: asks the logs, one after the other for what is there and then all at
// once for what comes, fetches the records, leaves out what is none of the group's, and ends once.
import type { FetchedInput, FetchSlice, LogResult } from '../../cluster/ports.ts';
import type { Unpack } from '../../env/environment.ts';
import { codecOf, forEachBatch, readBatchHeader } from '../../records/batch.ts';
import { decodeRecords, type Record as StoredRecord } from '../../records/records.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { Call, Calls } from './calls.ts';
import { readFileSlice } from './file-slices.ts';
import type { HostRef } from './host-calls.ts';
import type { StreamLease, StreamMessage, StreamWish } from './stream-api.ts';
import type { GivenRuns, LineReceive, ViewLine } from './view-lines.ts';

/** The first fetch of a wish, and the largest: a few small records must not cost a megabyte of reading. */
const FETCH_BYTES_MIN = 64 * 1024;
const FETCH_BYTES_MAX = 1024 * 1024;
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;

export interface ReceivePort {
  readonly calls: Calls;
  /** Of what is read from files. */
  readonly memory: BufferPool;
  readonly unpack: Unpack | undefined;
  leaderHost(logId: number): HostRef | undefined;
  line(group: string, logId: number): ViewLine;
  nowMs(): number;
  soon(work: () => void): void;
  warn(text: string, details: Record<string, unknown>): void;
  say(logId: number, group: string, isDone: boolean, leases: readonly StreamLease[]): void;
}

interface Given extends StreamLease {
  readonly returns: number;
}

export class StreamReceive {
  readonly #wish: StreamWish;
  readonly #port: ReceivePort;
  readonly #done: (result: LogResult, messages: readonly StreamMessage[]) => void;
  readonly #untilMs: number;
  readonly #open = new Set<LineReceive>();
  readonly #messages: StreamMessage[] = [];
  #bytes = 0;
  #logId = 0;
  /** What is leased and not read, ascending in the order in which it was given. */
  #given: Given[] = [];
  #fetchBytes = FETCH_BYTES_MIN;
  #isStopped = false;
  #isTaking = false;
  /** Counts the waits: receives of an earlier one may end when it goes on waiting. */
  #round = 0;
  #failure: LogResult | undefined;

  constructor(
    wish: StreamWish,
    port: ReceivePort,
    done: (result: LogResult, messages: readonly StreamMessage[]) => void,
  ) {
    this.#wish = wish;
    this.#port = port;
    this.#done = done;
    this.#untilMs = port.nowMs() + wish.waitMs;
  }

  /** `first`: the log that is asked first. */
  start(first: number): void {
    const { logIds } = this.#wish;
    const order = logIds.map((_, i) => logIds[(first + i) % logIds.length]!);
    if (order.length === 1) this.#waitAt(order);
    else this.#look(order, 0);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelAll();
  }

  #cancelAll(): void {
    for (const receive of [...this.#open]) receive.cancel();
  }

  /** What is there now. */
  #look(order: readonly number[], at: number): void {
    const logId = order[at];
    if (logId === undefined) {
      this.#waitAt(order);
      return;
    }
    this.#ask(logId, 0, (given) => {
      if (given.runs.total > 0) this.#take(logId, given);
      else if (this.#isStopped) this.#end();
      else this.#look(order, at + 1);
    });
  }

  #waitAt(order: readonly number[]): void {
    const waitMs = Math.max(0, Math.floor(this.#untilMs - this.#port.nowMs()));
    if (order.length > 1 && waitMs === 0) {
      this.#end();
      return;
    }
    let left = order.length;
    const round = this.#round;
    for (const logId of order) {
      this.#ask(logId, waitMs, (given) => {
        if (round !== this.#round) return;
        left -= 1;
        if (given.runs.total > 0 && !this.#isTaking) {
          this.#isTaking = true;
          this.#cancelAll();
          this.#take(logId, given);
        } else if (left === 0 && !this.#isTaking) this.#end();
      });
    }
  }

  #ask(logId: number, waitMs: number, heard: (given: GivenRuns) => void): void {
    const { group, messagesMax: credit, leaseMs } = this.#wish;
    let receive: LineReceive | undefined;
    let isOver = false;
    const line = this.#port.line(group, logId);
    receive = line.receive({ credit, waitMs, leaseMs }, (given) => {
      isOver = true;
      if (receive !== undefined) this.#open.delete(receive);
      if (given.result !== 'ok') this.#failure = given.result;
      heard(given);
    });
    if (!isOver) this.#open.add(receive);
  }

  // ---- Records --------------------------------------------------------------------------------

  #take(logId: number, { epoch, runs }: GivenRuns): void {
    this.#logId = logId;
    this.#given = [];
    for (let row = 0; row < runs.size; row += 1) {
      for (let i = 0; i < runs.count[row]!; i += 1) {
        const offset = runs.offset[row]! + i;
        this.#given.push({
          offset,
          epoch,
          number: runs.number[row]! + i,
          returns: runs.returns[row]!,
        });
      }
    }
    this.#given.sort((a, b) => a.offset - b.offset);
    this.#fetch();
  }

  #fetch(): void {
    const first = this.#given[0];
    const isFull = this.#messages.length > 0 && this.#bytes >= this.#wish.bytesMax;
    if (first === undefined || isFull) {
      this.#read();
      return;
    }
    const host = this.#port.leaderHost(this.#logId);
    if (host === undefined) {
      this.#failed('not-available');
      return;
    }
    const call: Call = {
      host,
      fetched: (input) => this.#fetched(first.offset, input),
      lost: () => this.#failed('not-available'),
    };
    const bytesMax = this.#fetchBytes;
    this.#fetchBytes = Math.min(FETCH_BYTES_MAX, bytesMax * 2);
    this.#port.calls.fetch(call, this.#logId, first.offset, bytesMax);
  }

  #fetched(offset: number, input: FetchedInput): void {
    const { result, slices, release, startOffset } = input;
    if (result === 'offset-out-of-range' && offset < startOffset) {
      release();
      const isGone = (given: Given) => given.offset < startOffset;
      this.#passOver(this.#given.filter(isGone), 'gone');
      this.#given = this.#given.filter((given) => !isGone(given));
      this.#fetch();
    } else if (result !== 'ok' || slices.length === 0) {
      release();
      this.#failed(result === 'ok' ? 'not-available' : result);
    } else this.#load(slices, release);
  }

  /** A range of a file is read into memory first. */
  #load(slices: readonly FetchSlice[], release: () => void): void {
    const [slice] = slices;
    if (slice?.kind !== 'file') {
      for (const each of slices) if (each.kind === 'memory') this.#pick(each.bytes);
      release();
      this.#fetch();
      return;
    }
    const { memory } = this.#port;
    readFileSlice(slice, memory, release, (bytes) => {
      this.#port.soon(() => {
        if (bytes === undefined) {
          this.#failed('storage-error');
          return;
        }
        this.#pick(bytes);
        memory.give(bytes);
        this.#fetch();
      });
    });
  }

  /** Takes what was given out of whole batches. Bytes are lent: messages get their own. */
  #pick(bytes: Uint8Array): void {
    forEachBatch(bytes, 0, bytes.length, (at, size) => {
      const { lastOffset } = readBatchHeader(bytes, at);
      const isHere = ({ offset }: Given) => offset <= lastOffset;
      const wanted = this.#given.filter(isHere);
      if (wanted.length === 0) return true;
      this.#given = this.#given.slice(wanted.length);
      const records = this.#recordsOf(bytes, at, size);
      for (const given of wanted) this.#add(given, records?.get(given.offset));
      return this.#given.length > 0;
    });
  }

  #recordsOf(bytes: Uint8Array, at: number, size: number): Map<number, StoredRecord> | undefined {
    const { unpack } = this.#port;
    const codec = codecOf(readBatchHeader(bytes, at).attributes);
    const isPlain = codec === 'none';
    if (!isPlain && unpack === undefined) return undefined;
    const own = bytes.slice(at, at + size);
    const decoded = decodeRecords(own, 0, size, (name, squeezed) => {
      const unpacked = unpack?.(name, squeezed, UNPACKED_BYTES_MAX);
      if (unpacked === undefined) throw new RangeError(`${name} cannot be unpacked here`);
      return unpacked;
    });
    if (decoded.kind !== 'ok') return undefined;
    return new Map(decoded.records.map((record) => [record.offset, record]));
  }

  #add(given: Given, record: StoredRecord | undefined): void {
    if (record === undefined) {
      this.#passOver([given], 'not readable here');
      return;
    }
    const { bytesMax, accepts, group } = this.#wish;
    const { key, value, headers, timestampMs } = record;
    if (accepts?.(headers) === false) {
      this.#port.say(this.#logId, group, true, [given]);
      return;
    }
    const size = (value?.length ?? 0) + (key?.length ?? 0);
    if (this.#messages.length > 0 && this.#bytes + size > bytesMax) {
      this.#bytes = bytesMax;
      this.#port.say(this.#logId, group, false, [given]);
      return;
    }
    this.#bytes += size;
    this.#messages.push({ logId: this.#logId, ...given, timestampMs, key, value, headers });
  }

  #passOver(leases: readonly Given[], why: string): void {
    const [first] = leases;
    if (first === undefined) return;
    // Of many that retention took away, one line tells.
    const { offset } = first;
    const count = leases.length;
    this.#port.warn('messages are passed over', { logId: this.#logId, offset, count, why });
    this.#port.say(this.#logId, this.#wish.group, true, leases);
  }

  /** Everything is read, or enough is. */
  #read(): void {
    this.#port.say(this.#logId, this.#wish.group, false, this.#given);
    this.#given = [];
    const leftMs = Math.floor(this.#untilMs - this.#port.nowMs());
    // Only what is none of the group's was there: it goes on waiting.
    if (this.#messages.length === 0 && leftMs > 0 && !this.#isStopped) {
      this.#isTaking = false;
      this.#round += 1;
      this.start(0);
    } else this.#end();
  }

  #failed(result: LogResult): void {
    this.#failure = result;
    this.#port.say(this.#logId, this.#wish.group, false, this.#given);
    this.#given = [];
    this.#end();
  }

  #end(): void {
    const hasSome = this.#messages.length > 0 || this.#isStopped;
    this.#done(hasSome ? 'ok' : (this.#failure ?? 'ok'), this.#messages);
  }
}
