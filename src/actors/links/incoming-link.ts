// The receiving half of a link: checks frames, keeps whole records until the next turn delivers them,
// and gives credit back as they are delivered. Nothing but credit is ever sent this way; our own
// messages to that thread have a link of their own.
import type { Connection } from '../../env/environment.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import { RECORD_HEADER_BYTES } from '../record.ts';
import type { System } from '../system.ts';
import type { Deadline } from '../timers.ts';
import type { ArrivedRecord } from './frame.ts';
import {
  creditFrame,
  FRAME_HEADER_BYTES,
  FRAME_RECORDS,
  FrameError,
  FrameReader,
  RecordAssembler,
} from './frame.ts';
import type { Greeting } from './handshake.ts';
import type { LinkCounters } from './links.ts';

/** Credit goes back when this share of the window was handled, or after a moment. */
const CREDIT_SHARE = 8;
const CREDIT_DELAY_MS = 20;
/** Less than this share is missed by nobody: it goes back with much else, or late. */
const SMALL_SHARE = 64;
const SMALL_DELAY_MS = 1_000;

export class IncomingLink {
  readonly greeting: Greeting;
  readonly connection: Connection;
  readonly #system: System;
  readonly #counters: LinkCounters;
  readonly #windowBytes: number;
  readonly #crc32c: Crc32c;
  readonly #records = new RingQueue<ArrivedRecord>(64);
  readonly #assembler: RecordAssembler;
  readonly #buffers: BufferPool;
  readonly #reader: FrameReader;
  #receivedBytes = 0;
  #deliveredRecords = 0;
  #creditTimer: Deadline | undefined;
  #isTimerSlow = false;
  #isClosed = false;

  constructor(
    system: System,
    counters: LinkCounters,
    connection: Connection,
    greeting: Greeting,
    options: {
      readonly windowBytes: number;
      readonly crc32c: Crc32c;
      readonly buffers: BufferPool;
    },
  ) {
    this.#system = system;
    this.#counters = counters;
    this.connection = connection;
    this.greeting = greeting;
    this.#windowBytes = options.windowBytes;
    this.#crc32c = options.crc32c;
    this.#buffers = options.buffers;
    this.#assembler = new RecordAssembler(options.buffers);
    this.#reader = new FrameReader(options.crc32c, options.buffers, (kind, payload) => {
      if (kind !== FRAME_RECORDS)
        throw new FrameError(`a frame of kind ${kind} came the wrong way`);
      this.#receivedBytes += FRAME_HEADER_BYTES + payload.length;
      this.#assembler.push(payload, (record) => this.#records.push(record));
    });
  }

  /** True while records wait for delivery. */
  get hasRecords(): boolean {
    return this.#records.size > 0;
  }

  received(view: Uint8Array): void {
    if (this.#isClosed) return;
    this.#counters.bytesReceived += view.length;
    try {
      this.#reader.push(view);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#counters.malformed += 1;
      const { fromNode, fromThread } = this.greeting;
      this.#system.log.warn('a link sent what is no frame and was closed', {
        node: fromNode,
        thread: fromThread,
        reason: error.message,
      });
      // onClose follows and ends the epoch.
      this.connection.destroy();
      return;
    }
    this.#system.turn.request();
  }

  /** Delivers up to `recordsMax`; answers how many. Called when a turn begins. */
  deliver(recordsMax: number): number {
    let count = 0;
    let viewed: Uint8Array | undefined;
    let view: DataView | undefined;
    while (count < recordsMax) {
      const record = this.#records.shift();
      if (record === undefined) break;
      const { bytes, at, length } = record;
      // The records of one frame lie in the same bytes: one view serves them all.
      if (view === undefined || bytes !== viewed) {
        view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        viewed = bytes;
      }
      const pool = record.isAlone ? this.#buffers : undefined;
      const payloadAt = at + RECORD_HEADER_BYTES;
      this.#system.inbound.receive(view, at, bytes, payloadAt, at + length, pool);
      count += 1;
    }
    this.#counters.recordsReceived += count;
    this.#deliveredRecords += count;
    // Frames count as handled when nothing of them waits; a window of records never waits for long.
    if (this.#records.size === 0) this.#giveCredit();
    return count;
  }

  close(): void {
    this.#isClosed = true;
    if (this.#creditTimer !== undefined) this.#system.deadlines.cancel(this.#creditTimer);
    this.connection.destroy();
  }

  #giveCredit(): void {
    if (this.#receivedBytes === 0 || this.#isClosed) return;
    if (this.#receivedBytes >= this.#windowBytes / CREDIT_SHARE) this.#sendCredit();
    else {
      const isSmall = this.#receivedBytes < this.#windowBytes / SMALL_SHARE;
      if (this.#creditTimer === undefined || (this.#isTimerSlow && !isSmall)) this.#arm(isSmall);
    }
  }

  #arm(isSmall: boolean): void {
    const { deadlines } = this.#system;
    if (this.#creditTimer !== undefined) deadlines.cancel(this.#creditTimer);
    this.#isTimerSlow = isSmall;
    this.#creditTimer = deadlines.after(isSmall ? SMALL_DELAY_MS : CREDIT_DELAY_MS, () => {
      this.#creditTimer = undefined;
      if (!this.#isClosed && this.#receivedBytes > 0) this.#sendCredit();
    });
  }

  #sendCredit(): void {
    if (this.#creditTimer !== undefined) this.#system.deadlines.cancel(this.#creditTimer);
    this.#creditTimer = undefined;
    const frame = creditFrame(this.#crc32c, this.#receivedBytes, this.#deliveredRecords);
    this.#receivedBytes = 0;
    this.#deliveredRecords = 0;
    this.#counters.writes += 1;
    this.connection.write(frame);
  }
}
