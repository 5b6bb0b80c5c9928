// Fetch: reads committed batches of the logs that this node leads, or has a replica of that may be read, in the order the client names them,
// within its limits, and waits for more if there is too little. The bytes stay where they are: slices go
// to the socket as they are and are released when it has taken them.
//
//   reading: a few reads at a time, each with what is left of the limit; a partition without budget is
//            asked for its positions only
//   waiting: every log that gave nothing tells when it has more; then that one is read again
//
// Fetch sessions (KIP-227) are declined by session id 0, which makes every client send full requests.
import type {
  AdvancedInput,
  FetchedInput,
  FetchSlice,
  HostRef,
  LogView,
  MetadataView,
} from '../../../broker/ports.ts';
import { ZERO_UUID } from '../../../std/uuid.ts';
import type { Fetch, RequestOf, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange, Flow } from '../exchange.ts';
import { logCode } from '../outcomes.ts';
import type { SentRecords } from '../output.ts';
import { topicNamed, topicWithId } from '../visible-topics.ts';

type FetchExchange = Exchange<typeof Fetch>;
type Topic = RequestOf<typeof Fetch>['topics'][number];
type Wanted = Topic['partitions'][number];
type Answered = ResponseInput<typeof Fetch>['responses'][number]['partitions'][number];

/** Reads in flight at once: bounds what is read in vain when the limit is reached. */
const READS_IN_FLIGHT_MAX = 8;
/** A read that takes longer than this has lost its log host. */
const READ_TIMEOUT_MS = 5_000;
const NO_BYTES = new Uint8Array(0);
/** Smaller records in memory are copied into the answer: one write instead of three. */
const COPIED_BYTES_MAX = 32 * 1024;
const READ_COMMITTED = 1;
/** From this version on clients say where they are, and understand where they are sent (KIP-392). */
const NEAREST_SINCE = 11;

interface Slot {
  readonly wanted: Wanted;
  /** -1: not a log that can be read here. */
  readonly logId: number;
  errorCode: number;
  committedOffset: number;
  startOffset: number;
  leaderId: number;
  /** Read here although somebody else leads. */
  isReplica: boolean;
  /** The replica that the client should read instead; -1: none. */
  preferredId: number;
  slices: readonly FetchSlice[];
  size: number;
  release: (() => void) | undefined;
  isReading: boolean;
  /** Who was asked last. */
  host: HostRef | undefined;
}

export function fetch(exchange: FetchExchange): void {
  const { sessionId } = exchange.body;
  if (sessionId !== 0) {
    const errorCode = E.FETCH_SESSION_ID_NOT_FOUND;
    exchange.respond({ throttleTimeMs: 0, errorCode, sessionId: 0, responses: [] });
    return;
  }
  new FetchFlow(exchange).start();
}

class FetchFlow implements Flow {
  readonly #exchange: FetchExchange;
  readonly #slots: Slot[] = [];
  /** Slots to be read, by index; the first `#nextRead` of them are done or being read. */
  #queue: number[] = [];
  #nextRead = 0;
  #readsInFlight = 0;
  #bytes = 0;
  /** Something was read that did not fit any more: there is no point in waiting. */
  #isFull = false;
  #isTimeUp: boolean;

  constructor(exchange: FetchExchange) {
    this.#exchange = exchange;
    this.#isTimeUp = exchange.body.maxWaitMs <= 0;
    exchange.flow = this;
  }

  start(): void {
    for (const topic of this.#exchange.body.topics) {
      for (const wanted of topic.partitions) {
        const slot = this.#open(topic, wanted);
        if (slot.errorCode === E.NONE) this.#queue.push(this.#slots.length);
        this.#slots.push(slot);
      }
    }
    const { limits } = this.#exchange.host;
    const waitMs = Math.min(this.#exchange.body.maxWaitMs, limits.fetchWaitMaxMs);
    this.#exchange.setDeadline(this.#isTimeUp ? READ_TIMEOUT_MS : waitMs);
    this.#readMore();
  }

  #open(topic: Topic, wanted: Wanted): Slot {
    const { view } = this.#exchange.ports;
    const isById = this.#exchange.version >= 13;
    const found = isById ? topicWithId(view, topic.topicId) : topicNamed(view, topic.topic);
    const log = typeof found === 'number' ? undefined : found.logs[wanted.partition];
    const slot: Slot = {
      wanted,
      logId: log?.logId ?? -1,
      errorCode: E.NONE,
      committedOffset: -1,
      startOffset: -1,
      leaderId: -1,
      isReplica: false,
      preferredId: -1,
      slices: [],
      size: 0,
      release: undefined,
      isReading: false,
      host: undefined,
    };
    if (log === undefined) {
      slot.errorCode = typeof found === 'number' ? found : E.UNKNOWN_TOPIC_OR_PARTITION;
      return slot;
    }
    const isNearest = log.readsFromReplicas === true && this.#exchange.version >= NEAREST_SINCE;
    const isLeader = log.leader === view.nodeId;
    slot.isReplica = !isLeader && isNearest && log.replicas.includes(view.nodeId);
    if (!isLeader && !slot.isReplica) {
      slot.errorCode = E.NOT_LEADER_OR_FOLLOWER;
      slot.leaderId = log.leader;
    } else if (wanted.fetchOffset < 0) {
      slot.errorCode = E.OFFSET_OUT_OF_RANGE;
    } else if (isLeader && isNearest) {
      slot.preferredId = nearest(view, log, this.#exchange.body.rackId);
    }
    return slot;
  }

  get #bytesMax(): number {
    const { limits } = this.#exchange.host;
    return Math.min(Math.max(this.#exchange.body.maxBytes, 0), limits.fetchBytesMax);
  }

  // ---- Reading ------------------------------------------------------------------------------------

  #readMore(): void {
    while (this.#readsInFlight < READS_IN_FLIGHT_MAX && this.#nextRead < this.#queue.length) {
      const index = this.#queue[this.#nextRead]!;
      this.#nextRead += 1;
      this.#read(index);
    }
    if (this.#readsInFlight === 0) this.#settle();
  }

  #read(index: number): void {
    const slot = this.#slots[index]!;
    // Queued twice, by logs that grew while eight others were read: once is enough.
    if (slot.isReading) return;
    const logHost = this.#exchange.ports.logHost(slot.logId);
    if (logHost === undefined) {
      this.#drop(slot);
      slot.errorCode = E.NOT_LEADER_OR_FOLLOWER;
      return;
    }
    slot.isReading = true;
    slot.host = logHost;
    this.#readsInFlight += 1;
    this.#exchange.host.countRead();
    this.#exchange.host.ask(logHost, 'fetch', {
      logId: slot.logId,
      offset: slot.wanted.fetchOffset,
      epoch: slot.wanted.currentLeaderEpoch,
      maxBytes: this.#budget(slot),
      mayBeReplica: slot.isReplica,
      token: this.#exchange.token(index),
      replyTo: this.#exchange.host.replyTo,
    });
  }

  /** What may be read for one slot. The first batch of an answer comes whatever its size (KIP-74). */
  #budget(slot: Slot): number {
    if (slot.preferredId >= 0) return 0;
    const left = this.#bytesMax - (this.#bytes - slot.size);
    const wanted = Math.max(slot.wanted.partitionMaxBytes, 0);
    const isFirst = this.#bytes - slot.size === 0;
    return Math.max(Math.min(left, wanted), isFirst ? 1 : 0);
  }

  fetched(index: number, input: FetchedInput): void {
    const slot = this.#slots[index];
    if (slot === undefined || !slot.isReading) {
      input.release();
      return;
    }
    slot.isReading = false;
    this.#readsInFlight -= 1;
    this.#drop(slot);
    slot.errorCode = logCode(input.result);
    slot.committedOffset = input.committedOffset;
    slot.startOffset = input.startOffset;
    let size = 0;
    for (const slice of input.slices) size += sliceSize(slice);
    // Who is sent elsewhere gets positions.
    if (slot.preferredId >= 0) size = 0;
    const isTooMuch = this.#bytes > 0 && this.#bytes + size > this.#bytesMax;
    if (isTooMuch) this.#isFull = true;
    if (size === 0 || isTooMuch || input.result !== 'ok') {
      input.release();
    } else {
      slot.slices = input.slices;
      slot.size = size;
      slot.release = input.release;
      this.#bytes += size;
    }
    this.#readMore();
  }

  refused(index: number): void {
    if (this.#failRead(this.#slots[index])) this.#readMore();
  }

  /** What is being read there will not come; what is waited for is looked at again. */
  hostLost(host: HostRef): void {
    let isConcerned = false;
    this.#slots.forEach((slot, index) => {
      if (slot.host !== host || slot.errorCode !== E.NONE) return;
      isConcerned = true;
      if (!this.#failRead(slot) && slot.size === 0) this.#queue.push(index);
    });
    if (isConcerned) this.#readMore();
  }

  #failRead(slot: Slot | undefined): boolean {
    if (slot === undefined || !slot.isReading) return false;
    slot.isReading = false;
    this.#readsInFlight -= 1;
    this.#exchange.host.uncountRead();
    this.#drop(slot);
    slot.errorCode = E.NOT_LEADER_OR_FOLLOWER;
    return true;
  }

  #drop(slot: Slot): void {
    slot.release?.();
    slot.release = undefined;
    this.#bytes -= slot.size;
    slot.size = 0;
    slot.slices = [];
  }

  // ---- Waiting ------------------------------------------------------------------------------------

  /** Everything asked for has been read once more: answer, or wait for logs to grow. */
  #settle(): void {
    const { body, host } = this.#exchange;
    const hasError = this.#slots.some((slot) => slot.errorCode !== E.NONE || slot.preferredId >= 0);
    const isEnough = this.#isFull || this.#bytes >= Math.min(body.minBytes, this.#bytesMax);
    if (isEnough || hasError || this.#isTimeUp || this.#slots.length === 0) {
      this.#finish();
      return;
    }
    this.#queue = [];
    this.#nextRead = 0;
    for (const slot of this.#slots) {
      host.awaitLog(slot.logId, slot.committedOffset, slot.isReplica);
    }
  }

  advanced(logId: number, _input: AdvancedInput): void {
    this.#slots.forEach((slot, index) => {
      const isWanted = slot.logId === logId && slot.errorCode === E.NONE && !slot.isReading;
      if (isWanted) this.#queue.push(index);
    });
    this.#readMore();
  }

  expired(): void {
    // An answer needs positions, so the first reads are waited for a while longer.
    const isBlind = this.#slots.some((slot) => slot.isReading && slot.committedOffset < 0);
    if (isBlind && !this.#isTimeUp) {
      this.#isTimeUp = true;
      this.#exchange.setDeadline(READ_TIMEOUT_MS);
      return;
    }
    for (const slot of this.#slots) {
      const isLost = slot.isReading && slot.committedOffset < 0;
      if (isLost) slot.errorCode = E.NOT_LEADER_OR_FOLLOWER;
    }
    this.#finish();
  }

  abandoned(): void {
    for (const slot of this.#slots) this.#drop(slot);
  }

  // ---- Answering ----------------------------------------------------------------------------------

  #finish(): void {
    let at = 0;
    const responses = this.#exchange.body.topics.map(({ topic, topicId, partitions }) => {
      const slots = this.#slots.slice(at, at + partitions.length);
      at += partitions.length;
      return {
        topic,
        topicId: topicId ?? ZERO_UUID,
        partitions: slots.map((slot) => this.#answer(slot)),
      };
    });
    this.#exchange.respond({ throttleTimeMs: 0, errorCode: E.NONE, sessionId: 0, responses });
  }

  #answer(slot: Slot): Answered {
    const isOk = slot.errorCode === E.NONE;
    const isReadCommitted = this.#exchange.body.isolationLevel === READ_COMMITTED;
    const answer = {
      partitionIndex: slot.wanted.partition,
      errorCode: slot.errorCode,
      highWatermark: isOk ? slot.committedOffset : -1,
      lastStableOffset: isOk ? slot.committedOffset : -1,
      logStartOffset: slot.startOffset,
      abortedTransactions: isReadCommitted ? [] : null,
      preferredReadReplica: isOk ? slot.preferredId : -1,
      records: takeRecords(slot),
    };
    if (slot.leaderId < 0) return answer;
    return { ...answer, currentLeader: { leaderId: slot.leaderId, leaderEpoch: -1 } };
  }
}

/**
 * The in-sync replica in the client's rack, or -1: the leader is in it, or nobody. What a consumer may ask for is
 * committed, so each of them has it. Of several every partition has its own.
 */
function nearest(view: MetadataView, log: LogView, rackId: string): number {
  const isThere = (node: number) => view.node(node)?.rack === rackId;
  if (rackId === '' || isThere(log.leader)) return -1;
  const near = log.isr.filter((node) => isThere(node) && view.node(node)?.isLive === true);
  return near.length === 0 ? -1 : near[log.partition % near.length]!;
}

function sliceSize(slice: FetchSlice): number {
  return slice.kind === 'memory' ? slice.bytes.length : slice.length;
}

/** The records of a slot, as bytes of the answer or as a reference that the output releases. */
function takeRecords(slot: Slot): Answered['records'] {
  const { slices, size, release } = slot;
  slot.release = undefined;
  if (release === undefined || size === 0) return NO_BYTES;
  const isInMemory = slices.every((slice) => slice.kind === 'memory');
  if (isInMemory && size <= COPIED_BYTES_MAX) {
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const slice of slices) {
      if (slice.kind !== 'memory') continue;
      bytes.set(slice.bytes, at);
      at += slice.bytes.length;
    }
    release();
    return bytes;
  }
  const ref: SentRecords = { slices, release };
  return { length: size, ref };
}
