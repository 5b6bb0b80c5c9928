// Produce: one batch per partition goes to the log that this node leads. Batches are checked here, on the
// thread of the connection, CRC included, and pass on untouched, but for compressed ones to queues. Answered
// when the slowest partition is.
//
// With acks=0 this handler does not answer and the log only answers a refusal, which closes the connection,
// as Kafka does. A question to the log behind each such append keeps a fast sender from running away: the
// next request is taken when the log has come that far.
import type { AppendedInput, AppendLevel, HostRef } from '../../../broker/ports.ts';
import { ATTRIBUTES_AT, batchSize, checkBatch, codecOf } from '../../../records/batch.ts';
import { readU16 } from '../../../std/bytes.ts';
import type { Produce, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange, Flow } from '../exchange.ts';
import { batchCode, logCode } from '../outcomes.ts';
import { keylessCode, unpackedBatch } from '../unpacked.ts';
import { topicNamed } from '../visible-topics.ts';

type ProduceExchange = Exchange<typeof Produce>;

interface PartitionResult {
  readonly index: number;
  errorCode: number;
  baseOffset: number;
  logStartOffset: number;
  errorMessage: string | null;
  needsKeys: boolean;
  /** Who was asked to append. */
  host: HostRef | undefined;
}

const LEVELS: ReadonlyMap<number, AppendLevel> = new Map([
  [0, 'none'],
  [1, 'local'],
  [-1, 'stored'],
]);
/** The log host keeps the client's time; this much later the host itself is taken for lost. */
const GRACE_MS = 2_000;
const TIMEOUT_MAX_MS = 600_000;
/** zstd may be used from this version on (KIP-110). */
const ZSTD_VERSION_MIN = 7;

const KEYLESS =
  'the topic is compacted: every record needs a key, in a batch that can be looked into';

export function produce(exchange: ProduceExchange): void {
  new ProduceFlow(exchange).start();
}

class ProduceFlow implements Flow {
  readonly #exchange: ProduceExchange;
  readonly #results: PartitionResult[] = [];
  /** Partitions that were answered, so that the others can be named when time is up. */
  readonly #done = new Set<number>();
  #waiting = 0;

  constructor(exchange: ProduceExchange) {
    this.#exchange = exchange;
    exchange.flow = this;
  }

  start(): void {
    const { body } = this.#exchange;
    const level = LEVELS.get(body.acks);
    for (const topic of body.topicData) {
      for (const { index, records } of topic.partitionData) {
        const result: PartitionResult = {
          index,
          errorCode: E.NONE,
          baseOffset: -1,
          logStartOffset: -1,
          errorMessage: null,
          needsKeys: false,
          host: undefined,
        };
        this.#results.push(result);
        if (level === undefined) result.errorCode = E.INVALID_REQUIRED_ACKS;
        else if (body.transactionalId !== null) result.errorCode = E.INVALID_REQUEST;
        else result.errorCode = this.#append(topic.name, result, records, level);
      }
    }
    if (this.#waiting === 0) this.#finish();
    else this.#exchange.setDeadline(this.#timeoutMs + GRACE_MS);
  }

  get #timeoutMs(): number {
    return Math.min(Math.max(this.#exchange.body.timeoutMs, 1), TIMEOUT_MAX_MS);
  }

  /** Sends the batch to its log, or says why not. */
  #append(
    topic: string,
    result: PartitionResult,
    records: Uint8Array | null,
    level: AppendLevel,
  ): number {
    const { ports, host, version } = this.#exchange;
    const destination = topicNamed(ports.view, topic);
    if (typeof destination === 'number') return destination;
    const log = destination.logs[result.index];
    if (log === undefined) return E.UNKNOWN_TOPIC_OR_PARTITION;
    if (destination.isInternal) return E.INVALID_TOPIC_EXCEPTION;
    if (log.leader !== ports.view.nodeId) return E.NOT_LEADER_OR_FOLLOWER;
    const logHost = ports.logHost(log.logId);
    if (logHost === undefined) return E.NOT_LEADER_OR_FOLLOWER;
    if (records === null || records.length === 0) return E.INVALID_RECORD;
    const fault = checkBatch(records, 0, records.length, host.crc32c);
    if (fault !== 'ok') return batchCode(fault);
    // A second batch behind the first would be one acknowledgement for two appends.
    if (batchSize(records, 0) !== records.length) return E.INVALID_RECORD;
    const codec = codecOf(readU16(records, ATTRIBUTES_AT));
    if (codec === 'zstd' && version < ZSTD_VERSION_MIN) return E.UNSUPPORTED_COMPRESSION_TYPE;
    const isRepacked = codec !== 'none' && destination.queue !== undefined;
    const batch = isRepacked ? unpackedBatch(records, host.crc32c, host.unpack) : records;
    if (typeof batch === 'number') return batch;
    result.needsKeys = ports.logRules(log.logId).needsKeys;
    const keyless = result.needsKeys ? keylessCode(batch, host.unpack) : undefined;
    if (keyless !== undefined) {
      result.errorMessage = KEYLESS;
      return keyless;
    }
    this.#waiting += 1;
    const token = this.#exchange.token(this.#results.length - 1);
    const { replyTo } = host;
    result.host = logHost;
    host.ask(logHost, 'append', {
      logId: log.logId,
      level,
      epoch: -1,
      timeoutMs: this.#timeoutMs,
      token,
      replyTo,
      batch,
    });
    if (level === 'none') {
      const query = { kind: 'earliest' } as const;
      host.ask(logHost, 'locate', { logId: log.logId, epoch: -1, query, token, replyTo });
    }
    return E.NONE;
  }

  appended(index: number, input: AppendedInput): void {
    const result = this.#settle(index);
    if (result === undefined) return;
    result.errorCode = logCode(input.result);
    // All else that makes a batch invalid was found here.
    if (input.result === 'invalid' && result.needsKeys) result.errorMessage = KEYLESS;
    if (input.result === 'ok') {
      result.baseOffset = input.baseOffset;
      result.logStartOffset = input.startOffset;
    }
    if (this.#waiting === 0) this.#finish();
  }

  /** Whatever the answer is: a refused append would have been told before it. */
  located(index: number): void {
    if (this.#settle(index) !== undefined && this.#waiting === 0) this.#finish();
  }

  refused(index: number): void {
    this.#fail(index, E.NOT_LEADER_OR_FOLLOWER);
  }

  /**
   * What was on its way may be in the log, and may not. Of the errors that let a client try again this one
   * says so; NOT_LEADER_OR_FOLLOWER is read as "not written" (librdkafka tells its users which it was).
   */
  hostLost(host: HostRef): void {
    this.#results.forEach((result, index) => {
      if (result.host === host) this.#fail(index, E.REQUEST_TIMED_OUT);
    });
  }

  #fail(index: number, errorCode: number): void {
    const result = this.#settle(index);
    if (result === undefined) return;
    result.errorCode = errorCode;
    if (this.#waiting === 0) this.#finish();
  }

  #settle(index: number): PartitionResult | undefined {
    if (this.#done.has(index)) return undefined;
    this.#done.add(index);
    this.#waiting -= 1;
    return this.#results[index];
  }

  expired(): void {
    this.#results.forEach((result, index) => {
      const isOpen = result.errorCode === E.NONE && !this.#done.has(index);
      if (isOpen) result.errorCode = E.REQUEST_TIMED_OUT;
    });
    this.#finish();
  }

  #finish(): void {
    const exchange = this.#exchange;
    // Everything was answered: the logs have their copies, and nobody looks into the frame again.
    if (this.#waiting === 0) exchange.recycle();
    if (exchange.body.acks === 0) {
      const failed = this.#results.find((result) => result.errorCode !== E.NONE);
      if (failed === undefined) exchange.respondNothing();
      else exchange.fail(`a produce without acknowledgement failed (${failed.errorCode})`);
      return;
    }
    exchange.respond({ responses: this.#responses() });
  }

  #responses(): ResponseInput<typeof Produce>['responses'] {
    let at = 0;
    return this.#exchange.body.topicData.map(({ name, partitionData }) => {
      const partitionResponses = this.#results.slice(at, at + partitionData.length);
      at += partitionData.length;
      return { name, partitionResponses };
    });
  }
}
