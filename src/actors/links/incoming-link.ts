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
  FRAME_PING,
  FRAME_RECORDS,
  FrameError,
  FrameReader,
  RecordAssembler,
} from './frame.ts';
import type { Greeting } from './handshake.ts';
import type { LinkCounters } from './links.ts';
import { again, type Refusals } from './refusals.ts';

/** Credit goes back when this share of the window was handled, or after a moment. */
const CREDIT_SHARE = 8;
const CREDIT_DELAY_MS = 20;
/** Less than this share is missed by nobody: it goes back with much else, or late. */
const SMALL_SHARE = 64;
const SMALL_DELAY_MS = 1_000;
/** Beats without a byte from a peer that sends a sign of life at every second one. */
const SILENT_BEATS_MAX = 8;
/** Windows that may wait for delivery: answers need no credit, and a peer may lie. Beyond, nothing is read. */
const HELD_WINDOWS_MAX = 2;

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
  readonly #refusals: Refusals;
  readonly #reader: FrameReader;
  #receivedBytes = 0;
  #deliveredRecords = 0;
  #creditTimer: Deadline | undefined;
  #isTimerSlow = false;
  #isClosed = false;
  /** Bytes of records that wait for delivery. */
  #heldBytes = 0;
  #isPaused = false;
  /** The peer waits for a sign of life: it gets one from the next turn, not from the socket. */
  #isAsked = false;
  #silentBeats = 0;

  constructor(
    system: System,
    counters: LinkCounters,
    connection: Connection,
    greeting: Greeting,
    options: {
      readonly windowBytes: number;
      readonly crc32c: Crc32c;
      readonly buffers: BufferPool;
      readonly refusals: Refusals;
    },
  ) {
    this.#system = system;
    this.#counters = counters;
    this.connection = connection;
    this.greeting = greeting;
    this.#windowBytes = options.windowBytes;
    this.#crc32c = options.crc32c;
    this.#buffers = options.buffers;
    this.#refusals = options.refusals;
    this.#assembler = new RecordAssembler(options.buffers);
    this.#reader = new FrameReader(options.crc32c, options.buffers, (kind, payload) => {
      this.#receivedBytes += FRAME_HEADER_BYTES + payload.length;
      if (kind === FRAME_PING) this.#isAsked = true;
      else if (kind === FRAME_RECORDS)
        this.#assembler.push(payload, (record) => this.#hold(record));
      else throw new FrameError(`a frame of kind ${kind} came the wrong way`);
    });
  }

  /** True while records wait for delivery. */
  get hasRecords(): boolean {
    return this.#records.size > 0;
  }

  received(view: Uint8Array): void {
    if (this.#isClosed) return;
    this.#counters.bytesReceived += view.length;
    this.#silentBeats = 0;
    try {
      this.#reader.push(view);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#counters.malformed += 1;
      const { fromNode: node, fromThread: thread } = this.greeting;
      const reason = error.message;
      this.#refusals.tell(`frame ${node}/${thread} ${reason}`, (silent) => {
        const words = 'a link sent what is no frame and was closed';
        this.#system.log.warn(words, { node, thread, reason, ...again(silent) });
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
      this.#heldBytes -= length;
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
    if (this.#isPaused && this.#heldBytes < this.#windowBytes) {
      this.#isPaused = false;
      this.connection.resumeReading();
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

  /** Called every few seconds. False: the peer is gone without a word, and the connection ends. */
  beat(): boolean {
    // Who is not read from cannot be heard.
    if (this.#isPaused || this.#isClosed) return true;
    this.#silentBeats += 1;
    return this.#silentBeats < SILENT_BEATS_MAX;
  }

  #hold(record: ArrivedRecord): void {
    this.#records.push(record);
    this.#heldBytes += record.length;
    if (this.#isPaused || this.#heldBytes <= this.#windowBytes * HELD_WINDOWS_MAX) return;
    this.#isPaused = true;
    this.connection.pauseReading();
  }

  #giveCredit(): void {
    if (this.#receivedBytes === 0 || this.#isClosed) return;
    const isMuch = this.#receivedBytes >= this.#windowBytes / CREDIT_SHARE;
    if (isMuch || this.#isAsked) this.#sendCredit();
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
    this.#isAsked = false;
    this.#deliveredRecords = 0;
    this.#counters.writes += 1;
    this.#counters.bytesSent += frame.length;
    this.connection.write(frame);
  }
}
