// The streams that sessions of one shard read: their logs, each shared by all that read it here, and the memory for
// what is read.
import type { Unpack } from '../../env/environment.ts';
import type { Decompress } from '../../records/records.ts';
import { ByteBudget } from './byte-budget.ts';
import type { MessageSlot } from './link-port.ts';
import type { StreamStart } from './queue-api.ts';
import {
  StreamConsumer,
  type StreamConsumerFacts,
  type StreamConsumerPort,
} from './stream-consumer.ts';
import { StreamLog, type StreamLogPort } from './stream-log.ts';

/** Records that lie here for all consumers of the shard together. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;
/** Logs that consumers read, each counted for each: what a consumer costs that only waits. */
const CURSORS_MAX = 100_000;
/** What one batch may unpack to. */
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;

export interface StreamReadingPort extends Omit<StreamLogPort, 'idle'> {
  readonly message: MessageSlot;
  readonly unpack: Unpack | undefined;
  turn(): number;
  wallMs(): number;
  /** The shard's actor calls `flush` in this turn. */
  wantFlush(): void;
}

export class StreamReading {
  readonly #port: StreamReadingPort;
  readonly #logs = new Map<number, StreamLog>();
  readonly #logPort: StreamLogPort;
  readonly #consumerPort: StreamConsumerPort;
  readonly #dirty = new Set<StreamConsumer>();
  readonly #starved = new Set<StreamConsumer>();
  readonly #budget: ByteBudget;
  #consumers = 0;
  #cursors = 0;

  constructor(port: StreamReadingPort) {
    this.#port = port;
    this.#budget = new ByteBudget(HELD_BYTES_MAX, () => port.soon(() => this.#feedStarved()));
    this.#logPort = { ...port, idle: ({ logId }) => this.#logs.delete(logId) };
    this.#consumerPort = {
      budget: this.#budget,
      message: port.message,
      decompress: decompressor(port.unpack),
      log: (logId) => this.#log(logId),
      turn: () => port.turn(),
      later: (delayMs, work) => port.later(delayMs, work),
      starved: (consumer) => this.#starved.add(consumer),
      ended: (consumer, logs) => {
        this.#cursors -= logs;
        this.#dirty.delete(consumer);
        this.#starved.delete(consumer);
        this.#consumers -= 1;
      },
    };
  }

  /** Bytes of records that lie here, and consumers. */
  counters(): { streamBytes: number; streamConsumers: number } {
    return { streamBytes: this.#budget.used, streamConsumers: this.#consumers };
  }

  /** Undefined: there are too many. */
  consumer(
    facts: Omit<StreamConsumerFacts, 'from'>,
    start: StreamStart,
  ): StreamConsumer | undefined {
    const { length: logs } = facts.logIds;
    if (this.#cursors + logs > CURSORS_MAX) return undefined;
    this.#consumers += 1;
    this.#cursors += logs;
    const from =
      start.kind === 'age'
        ? {
            kind: 'time' as const,
            timestampMs: Math.max(0, Math.floor(this.#port.wallMs() - start.ageMs)),
          }
        : start;
    const consumer = new StreamConsumer({ ...facts, from }, this.#consumerPort);
    this.#port.soon(() => consumer.start());
    return consumer;
  }

  /** It may have room. */
  touch(consumer: StreamConsumer): void {
    this.#dirty.add(consumer);
    this.#port.wantFlush();
  }

  /** What sessions have asked for in this turn. */
  flush(): void {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const consumer of dirty) consumer.pump();
  }

  #log(logId: number): StreamLog {
    let log = this.#logs.get(logId);
    if (log === undefined) {
      log = new StreamLog(logId, this.#logPort);
      this.#logs.set(logId, log);
    }
    return log;
  }

  #feedStarved(): void {
    const starved = [...this.#starved];
    this.#starved.clear();
    for (const consumer of starved) consumer.pump();
  }

  logsChanged(logIds: readonly number[] | undefined): void {
    for (const logId of logIds ?? [...this.#logs.keys()]) {
      const log = this.#logs.get(logId);
      if (log?.place.look(this.#port) === true) log.moved();
    }
  }
}

function decompressor(unpack: Unpack | undefined): Decompress {
  return (codec, bytes) => {
    const unpacked = unpack?.(codec, bytes, UNPACKED_BYTES_MAX);
    if (unpacked === undefined) throw new RangeError(`${codec} cannot be unpacked here`);
    return unpacked;
  };
}
