// A partition as a durable behavior: a log that takes batches straight from producers. It decides whether
// a batch may be appended, and keeps counters of what was; records, offsets and reading are the log's
// own. Batches pass untouched, so nothing here looks into records.

import type { BatchRefusal, DurableBehavior, FrameView } from '../../actors/durable/behavior.ts';
import {
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  BatchHeader,
  isControl,
  isTransactional,
  readBatchHeader,
} from '../../records/batch.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { PARTITION_KIND } from './kinds.ts';

/** What was appended since the log began; the same on every replica at the same frame. */
export interface PartitionState {
  batches: number;
  records: number;
  bytes: number;
}

export interface PartitionConfig {
  /** The largest batch that the log takes now, in bytes. Only decisions ask; `apply` never does. */
  messageBytesMax(logId: number): number;
}

const SNAPSHOT_VERSION = 1;
const NO_BYTES = new Uint8Array(0);

/**
 * @example
 * const behavior = createPartitionBehavior({ messageBytesMax: () => MESSAGE_BYTES_DEFAULT });
 */
export function createPartitionBehavior(
  config: PartitionConfig,
): DurableBehavior<PartitionState, undefined> {
  const header = new BatchHeader();
  return {
    kind: PARTITION_KIND,
    initial: () => ({ batches: 0, records: 0, bytes: 0 }),
    promote: () => undefined,
    demote: () => [],
    // A partition takes batches, no commands: the empty answer says so.
    decide: (_state, _local, command) => ({
      replies: [{ token: command.token, level: 'none', body: NO_BYTES }],
    }),
    admit: (_state, _local, batch, position) =>
      admit(batch, config.messageBytesMax(position.logId), header),
    apply: (state, frame) => apply(state, frame, header),
    nextDueMs: () => undefined,
    tick: () => ({}),
    snapshot,
    restore,
  };
}

function admit(batch: Uint8Array, bytesMax: number, header: BatchHeader): BatchRefusal | undefined {
  if (batch.length > bytesMax) return 'too-large';
  if (batch.length < BATCH_HEADER_BYTES) return 'corrupt';
  readBatchHeader(batch, 0, header);
  if (header.magic !== BATCH_MAGIC) return 'unsupported';
  if (header.size !== batch.length) return 'corrupt';
  if (isControl(header.attributes)) return 'invalid';
  if (header.recordCount < 1 || header.recordCount !== header.lastOffsetDelta + 1) return 'invalid';
  // A producer that counts on being deduplicated or on transactions must not be let down silently.
  if (isTransactional(header.attributes) || header.producerId >= 0) return 'unsupported';
  return undefined;
}

function apply(state: PartitionState, frame: FrameView, header: BatchHeader): void {
  const { batch } = frame;
  if (batch === undefined || batch.length < BATCH_HEADER_BYTES) return;
  readBatchHeader(batch, 0, header);
  state.batches += 1;
  state.records += header.recordCount;
  state.bytes += batch.length;
}

function snapshot(state: PartitionState): Uint8Array {
  const out = new ByteWriter(32);
  out.u8(SNAPSHOT_VERSION);
  out.varU53(state.batches);
  out.varU53(state.records);
  out.varU53(state.bytes);
  return out.toBytes();
}

/** Throws BytesError or RangeError for bytes that are no snapshot of ours. */
function restore(bytes: Uint8Array): PartitionState {
  const from = new ByteReader(bytes);
  const version = from.u8();
  if (version !== SNAPSHOT_VERSION) throw new RangeError(`partition snapshot version ${version}`);
  return { batches: from.varU53(), records: from.varU53(), bytes: from.varU53() };
}
