// A partition as a durable behavior: a log that takes batches straight from producers, and numbered ones from
// log clients. It decides whether a batch may be appended, keeps counters of what was and how far each log
// client has come, and hosts the views that groups have of the log; records, offsets and reading are the
// log's own. Batches pass untouched, and nothing here looks into records but for keys where each needs one.
//
//   u8 16 | client varint | incarnation varint | first number varint      the batch is the log client's
//
// Other events of a frame are of views (view/views-state.ts). Nothing stands beside a client's batch.
import type {
  Decision,
  DurableBehavior,
  DurableCommand,
  FrameView,
  LogPosition,
} from '../../actors/durable/behavior.ts';
import { BATCH_HEADER_BYTES, BatchHeader, readBatchHeader } from '../../records/batch.ts';
import { ByteReader, BytesError, ByteWriter } from '../../std/bytes.ts';
import { refuseBatch, refuseKeyless } from '../view/admission.ts';
import { encodeQueueAnswer } from '../view/answers.ts';
import { Clients } from '../view/clients.ts';
import { decodePublish, isPublish, type PublishCommand } from '../view/commands.ts';
import { judgePublish } from '../view/publish.ts';
import type { LogTip } from '../view/queue-state.ts';
import { VIEW_DEFAULTS, Views, type ViewsConfig, type ViewsLocal } from '../view/views.ts';
import { applyViewEvent, getViews, putViews, ViewsState } from '../view/views-state.ts';
import { PARTITION_KIND } from './kinds.ts';
import type { LogRules } from './log-rules.ts';

const PUBLISHED = 16;

/** What was appended since the log began; the same on every replica at the same frame. */
export interface PartitionState {
  batches: number;
  records: number;
  bytes: number;
  readonly tip: LogTip;
  /** How far each log client has come. */
  clients: Clients;
  /** What groups are done with. */
  readonly views: ViewsState;
}

export interface PartitionConfig {
  /** What the log takes now. Only decisions ask; `apply` never does. */
  rulesOf(logId: number): LogRules;
  readonly views?: ViewsConfig;
}

/** Version 1 knew no views, version 2 no log clients. */
const SNAPSHOT_VERSION = 3;
const NO_BYTES = new Uint8Array(0);

/**
 * @example
 * const rules = new LogRulesTable(view);
 * const behavior = createPartitionBehavior({ rulesOf: (logId) => rules.of(logId) });
 */
export function createPartitionBehavior(
  config: PartitionConfig,
): DurableBehavior<PartitionState, ViewsLocal> {
  const header = new BatchHeader();
  const views = new Views(config.views ?? VIEW_DEFAULTS);
  const { faults } = views.config.engine;
  // Records without a key are refused where they are published, each alone: a batch is of many publishers.
  const publishRules = (logId: number) => ({
    batchBytesMax: config.rulesOf(logId).messageBytesMax,
    faults,
  });
  return {
    kind: PARTITION_KIND,
    isRetained: true,
    initial: () => fresh(0, 0, 0, 0),
    promote: (state) => views.promote(state.views),
    demote: (local) => views.demote(local),
    decide: (state, local, command, position) =>
      isPublish(command.body)
        ? publish(state, command, position, publishRules(position.logId))
        : (views.decide(state.views, local, command, position) ?? {
            // What is no command of ours: the empty answer says so.
            replies: [{ token: command.token, level: 'none', body: NO_BYTES }],
          }),
    admit: (_state, _local, batch, { logId }) => {
      const { messageBytesMax, needsKeys } = config.rulesOf(logId);
      const refusal = refuseBatch(batch, messageBytesMax, header);
      return refusal ?? (needsKeys ? refuseKeyless(batch) : undefined);
    },
    committed: (state, local, position) => views.committed(state.views, local, position),
    apply: (state, frame) => apply(state, frame, header),
    nextDueMs: (_state, local) => views.nextDueMs(local),
    tick: (state, local, position) => views.tick(state.views, local, position),
    snapshot,
    restore: (bytes) => {
      const state = restore(bytes);
      if (config.views?.forgetsAcknowledged === true) {
        for (const { queue } of state.views.all()) queue.acknowledged.clear();
      }
      return state;
    },
  };
}

function fresh(batches: number, records: number, bytes: number, endOffset: number): PartitionState {
  const tip = { endOffset };
  return { batches, records, bytes, tip, clients: new Clients(), views: new ViewsState(tip) };
}

function publish(
  { clients }: PartitionState,
  command: DurableCommand,
  { endOffset }: LogPosition,
  rules: Parameters<typeof judgePublish>[3],
): Decision {
  const { token } = command;
  const asked = publishOf(command.body);
  if (asked === undefined) {
    const body = encodeQueueAnswer({ kind: 'count', outcome: 'bad-command', count: 0 });
    return { replies: [{ token, level: 'none', body }] };
  }
  const { isNew, answer, level } = judgePublish(clients, asked, endOffset, rules);
  const replies = [{ token, level, body: encodeQueueAnswer(answer) }];
  if (!isNew) return { replies };
  const isAwaited = level !== 'none';
  return { events: publishedEvent(asked), batch: asked.batch, replies, isAwaited };
}

function publishOf(body: Uint8Array): PublishCommand | undefined {
  try {
    return decodePublish(body);
  } catch (error) {
    if (error instanceof BytesError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function publishedEvent({ clientId, incarnation, firstNumber }: PublishCommand): Uint8Array {
  const out = new ByteWriter(32);
  out.u8(PUBLISHED);
  out.varU53(clientId);
  out.varU53(incarnation);
  out.varU53(firstNumber);
  return out.finish();
}

function apply(state: PartitionState, frame: FrameView, header: BatchHeader): void {
  const { batch, events } = frame;
  if (events.length > 0) applyEvents(state, frame);
  if (batch === undefined || batch.length < BATCH_HEADER_BYTES) return;
  readBatchHeader(batch, 0, header);
  state.batches += 1;
  state.records += header.recordCount;
  state.bytes += batch.length;
  state.tip.endOffset = frame.nextOffset;
}

/** Throws for events that no version up to this one has written. */
function applyEvents({ clients, views }: PartitionState, frame: FrameView): void {
  const from = new ByteReader(frame.events);
  while (from.remaining > 0) {
    const kind = from.u8();
    if (kind === PUBLISHED) applyPublished(clients, from, frame);
    else applyViewEvent(views, kind, from, frame);
  }
}

function applyPublished(clients: Clients, from: ByteReader, frame: FrameView): void {
  const clientId = from.varU53();
  const incarnation = from.varU53();
  const firstNumber = from.varU53();
  const { baseOffset, nextOffset } = frame;
  clients.stored(clientId, incarnation, firstNumber, nextOffset - baseOffset, baseOffset);
}

function snapshot(state: PartitionState): Uint8Array {
  const out = new ByteWriter(32);
  out.u8(SNAPSHOT_VERSION);
  out.varU53(state.batches);
  out.varU53(state.records);
  out.varU53(state.bytes);
  out.varU53(state.tip.endOffset);
  state.clients.put(out);
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
  if (version !== 2 && version !== SNAPSHOT_VERSION) {
    throw new RangeError(`partition snapshot version ${version}`);
  }
  const state = fresh(...counts, from.varU53());
  if (version === SNAPSHOT_VERSION) state.clients = Clients.get(from);
  getViews(from, state.views);
  return state;
}
