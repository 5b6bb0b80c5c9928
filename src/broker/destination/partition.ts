// A partition as a durable behavior: a log that takes batches straight from producers. It decides whether
// a batch may be appended, keeps counters of what was, and hosts the views that groups have of the log;
// records, offsets and reading are the log's own. Batches pass untouched, so nothing here looks into records.

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
import type { LogTip } from '../view/queue-state.ts';
import { VIEW_DEFAULTS, Views, type ViewsConfig, type ViewsLocal } from '../view/views.ts';
import { applyViewEvents, getViews, putViews, ViewsState } from '../view/views-state.ts';
import { PARTITION_KIND } from './kinds.ts';

/** What was appended since the log began; the same on every replica at the same frame. */
export interface PartitionState {
  batches: number;
  records: number;
  bytes: number;
  readonly tip: LogTip;
  /** What groups are done with. */
  readonly views: ViewsState;
}

export interface PartitionConfig {
  /** The largest batch that the log takes now, in bytes. Only decisions ask; `apply` never does. */
  messageBytesMax(logId: number): number;
  readonly views?: ViewsConfig;
}

/** Version 1 knew no views. */
const SNAPSHOT_VERSION = 2;
const NO_BYTES = new Uint8Array(0);

/**
 * @example
 * const behavior = createPartitionBehavior({ messageBytesMax: () => MESSAGE_BYTES_DEFAULT });
 */
export function createPartitionBehavior(
  config: PartitionConfig,
): DurableBehavior<PartitionState, ViewsLocal> {
  const header = new BatchHeader();
  const views = new Views(config.views ?? VIEW_DEFAULTS);
  return {
    kind: PARTITION_KIND,
    initial: () => fresh(0, 0, 0, 0),
    promote: (state) => views.promote(state.views),
    demote: (local) => views.demote(local),
    // What is no command of a view is none of a partition: the empty answer says so.
    decide: (state, local, command, position) =>
      views.decide(state.views, local, command, position) ?? {
        replies: [{ token: command.token, level: 'none', body: NO_BYTES }],
      },
    admit: (_state, _local, batch, position) =>
      admit(batch, config.messageBytesMax(position.logId), header),
    committed: (state, local, position) => views.committed(state.views, local, position),
    apply: (state, frame) => apply(state, frame, header),
    nextDueMs: (_state, local) => views.nextDueMs(local),
    tick: (state, local, position) => views.tick(state.views, local, position),
    snapshot,
    restore,
  };
}

function fresh(batches: number, records: number, bytes: number, endOffset: number): PartitionState {
  const tip = { endOffset };
  return { batches, records, bytes, tip, views: new ViewsState(tip) };
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
  if (frame.events.length > 0) applyViewEvents(state.views, frame);
  if (batch === undefined || batch.length < BATCH_HEADER_BYTES) return;
  readBatchHeader(batch, 0, header);
  state.batches += 1;
  state.records += header.recordCount;
  state.bytes += batch.length;
  state.tip.endOffset = frame.nextOffset;
}

function snapshot(state: PartitionState): Uint8Array {
  const out = new ByteWriter(32);
  out.u8(SNAPSHOT_VERSION);
  out.varU53(state.batches);
  out.varU53(state.records);
  out.varU53(state.bytes);
  out.varU53(state.tip.endOffset);
  putViews(out, state.views);
  return out.toBytes();
}

/** Throws BytesError or RangeError for bytes that are no snapshot of ours. */
function restore(bytes: Uint8Array): PartitionState {
  const from = new ByteReader(bytes);
  const version = from.u8();
  const counts = [from.varU53(), from.varU53(), from.varU53()] as const;
  // A log of that time began at 0 and had a record at every offset.
  if (version === 1) return fresh(...counts, counts[1]);
  if (version !== SNAPSHOT_VERSION) throw new RangeError(`partition snapshot version ${version}`);
  const state = fresh(...counts, from.varU53());
  getViews(from, state.views);
  return state;
}
