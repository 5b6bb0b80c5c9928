// The reader, the writer and the error of the Kafka wire: what the compiled schemas work on.
import { ByteReader, type BytesError, ByteWriter } from '../../../std/bytes.ts';
import { BrokerError } from '../../../std/errors.ts';

export type KafkaCodecErrorCode =
  | 'KAFKA_TRUNCATED'
  | 'KAFKA_BAD_VALUE'
  | 'KAFKA_TOO_MANY_ITEMS'
  | 'KAFKA_OUT_OF_RANGE'
  | 'KAFKA_UNSUPPORTED_VERSION';

/**
 * `KAFKA_OUT_OF_RANGE`: a value to be encoded does not fit its field. All others: bytes from a peer
 * are not what its header claims; the connection cannot go on.
 */
export class KafkaCodecError extends BrokerError {
  readonly code: KafkaCodecErrorCode;

  constructor(
    code: KafkaCodecErrorCode,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    cause?: unknown,
  ) {
    super(message, details, cause);
    this.code = code;
  }

  static fromBytes(error: BytesError): KafkaCodecError {
    const code = error.code === 'BYTES_TRUNCATED' ? 'KAFKA_TRUNCATED' : 'KAFKA_BAD_VALUE';
    return new KafkaCodecError(code, error.message, error.details, error);
  }
}

/** Array items in one message: far above any real one, far below what would exhaust a node. */
export const ITEMS_MAX = 500_000;

export class WireReader extends ByteReader {
  #itemsLeft = ITEMS_MAX;

  override reset(bytes: Uint8Array, start?: number, end?: number): void {
    super.reset(bytes, start, end);
    this.#itemsLeft = ITEMS_MAX;
  }

  /** Refuses a count that the bytes at hand, or the budget of one message, cannot hold. */
  admitItems(count: number, itemSizeMin: number): void {
    if (count * itemSizeMin > this.remaining) {
      throw new KafkaCodecError(
        'KAFKA_TRUNCATED',
        'an array claims more items than there are bytes',
        {
          count,
          remaining: this.remaining,
        },
      );
    }
    this.#itemsLeft -= count;
    if (this.#itemsLeft < 0) {
      throw new KafkaCodecError('KAFKA_TOO_MANY_ITEMS', 'too many array items in one message', {
        count,
        itemsMax: ITEMS_MAX,
      });
    }
  }
}

/**
 * Record batches that are sent without passing through the writer: `length` bytes that the server
 * puts on the wire itself. `ref` is the server's and is not looked at.
 */
export interface RecordsRef {
  readonly length: number;
  readonly ref: unknown;
}

/** Where in a writer's bytes records belong that are not there. */
export interface Cut {
  readonly at: number;
  readonly records: RecordsRef;
}

/**
 * A writer that may leave records out. Several frames can follow each other in one writer;
 * everything is sent in the order of `segments`.
 */
export class WireWriter extends ByteWriter {
  readonly cuts: Cut[] = [];
  /** Bytes of all cuts since the last reset. */
  cutBytes = 0;

  override reset(): void {
    super.reset();
    this.cuts.length = 0;
    this.cutBytes = 0;
  }

  cut(records: RecordsRef): void {
    this.cuts.push({ at: this.size, records });
    this.cutBytes += records.length;
  }

  /** What to send, in order: pieces of the written bytes (lent) and the records between them. */
  segments(): (Uint8Array | RecordsRef)[] {
    const segments: (Uint8Array | RecordsRef)[] = [];
    let from = 0;
    for (const { at, records } of this.cuts) {
      if (at > from) segments.push(this.bytes.subarray(from, at));
      segments.push(records);
      from = at;
    }
    if (this.size > from) segments.push(this.bytes.subarray(from, this.size));
    return segments;
  }
}
