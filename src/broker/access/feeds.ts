// The feeds of one shard and their leaders: sends batches to hosts, tells feeds what became of them, and
// makes publishers wait whose logs have too much under way.
import type { AnsweredInput, LogResult } from '../../cluster/ports.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import type { LogRules } from '../destination/log-rules.ts';
import { decodeQueueAnswer } from '../view/answers.ts';
import { writePublishHead } from '../view/commands.ts';
import type { Call, Calls } from './calls.ts';
import { Feed, FeedBatch, type FeedPort, HEAD_ROOM, REFUSED, STORED, UNKNOWN } from './feed.ts';
import type { Flights } from './flights.ts';
import type { HostRef } from './host-calls.ts';
import { LeaderPlace, type PlacePort } from './leader-place.ts';
import type { Publishers, PublishLimits } from './publishers.ts';

/** Batches that are kept for the next ones, without the memory of large ones. */
const SPARE_BATCHES_MAX = 2_048;

/** Nothing was appended, and trying again would not help. */
const FINAL: ReadonlySet<LogResult> = new Set(['too-large', 'corrupt', 'invalid', 'unsupported']);

export interface FeedsPort extends PlacePort {
  readonly calls: Calls;
  readonly flights: Flights;
  readonly publishers: Publishers;
  readonly limits: PublishLimits;
  readonly crc32c: Crc32c;
  /** Of large batches, and of the shard's other large things that pass. */
  readonly memory: BufferPool;
  nowMs(): number;
  /** Who this shard is to the logs; undefined until its node is a member. */
  client(): { readonly clientId: number; readonly incarnation: number } | undefined;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
}

interface Fed {
  readonly feed: Feed;
  readonly place: LeaderPlace;
  readonly calls: Map<FeedBatch, number>;
  /** Publishers that wait for this log. */
  readonly held: Set<number>;
  /** Its leader has no room on its disk; who is told so, and publishes no more. */
  isFull: boolean;
  /** Number of the batch that found none: what came before it may be answered later. */
  fullNumber: number;
  readonly blocked: Set<number>;
  isResting: boolean;
}

export class Feeds {
  readonly #port: FeedsPort;
  readonly #feeds = new Map<number, Fed>();
  readonly #dirty = new Set<Fed>();
  readonly #spare: FeedBatch[] = [];
  readonly #feedPort: FeedPort;
  #isClockSet = false;

  constructor(port: FeedsPort) {
    this.#port = port;
    const { limits, flights } = port;
    this.#feedPort = {
      batchesInFlightMax: limits.batchesInFlightMax,
      nowMs: () => port.nowMs(),
      takeBatch: () => this.#spare.pop() ?? new FeedBatch(port.memory),
      giveBatch: (batch) => this.#giveBatch(batch),
      send: (feed, batch) => this.#send(this.#feeds.get(feed.logId)!, batch),
      answer: (flight, outcome, offset) => flights.answer(flight, outcome, offset),
      giveUp: (flight) => flights.tell(flight, 'unknown'),
    };
  }

  /** Logs that something was published to here. */
  get count(): number {
    return this.#feeds.size;
  }

  /** The feed of a log, which must be there, by the rules that the log has now. */
  feed(logId: number, { messageBytesMax, needsKeys }: LogRules): Feed {
    const batchBytesMax = Math.min(messageBytesMax, this.#port.limits.batchBytesMax);
    const known = this.#feeds.get(logId)?.feed;
    if (known !== undefined) {
      known.batchBytesMax = batchBytesMax;
      known.needsKeys = needsKeys;
      return known;
    }
    const feed = new Feed(logId, batchBytesMax, this.#feedPort);
    feed.needsKeys = needsKeys;
    const place = new LeaderPlace(logId, this.#port);
    feed.isOut = place.isOut;
    const sets = { calls: new Map(), held: new Set<number>(), blocked: new Set<number>() };
    this.#feeds.set(logId, {
      feed,
      place,
      ...sets,
      isFull: false,
      fullNumber: 0,
      isResting: false,
    });
    return feed;
  }

  /** Something was appended, by this publisher last: it is sent with the next flush. */
  touched(feed: Feed, publisher: number): void {
    const fed = this.#feeds.get(feed.logId)!;
    this.#dirty.add(fed);
    if (fed.isFull) this.#block(fed, publisher);
    if (feed.bytes <= this.#port.limits.logBytesMax || fed.held.has(publisher)) return;
    fed.held.add(publisher);
    this.#port.publishers.hold(publisher);
  }

  flush(): void {
    for (const fed of this.#dirty) this.#pump(fed);
    this.#dirty.clear();
  }

  #pump(fed: Fed): void {
    const { feed, place } = fed;
    if (place.isGone) {
      this.#forget(fed);
      return;
    }
    const isMember = this.#port.client() !== undefined;
    feed.canSend = place.host !== undefined && !fed.isResting && isMember;
    feed.pump();
    this.#releaseHeld(fed);
    // Nothing is left that could show that there is room, and whoever waits sends nothing.
    if (fed.isFull && feed.isIdle) this.#notFull(fed);
    if (!feed.isIdle) this.#setClock();
  }

  #releaseHeld({ feed, held }: Fed): void {
    const isTooMuch = !feed.isOut && feed.bytes > this.#port.limits.logBytesMax / 2;
    if (held.size === 0 || isTooMuch) return;
    const publishers = [...held];
    held.clear();
    for (const publisher of publishers) this.#port.publishers.release(publisher);
  }

  /** Whoever waits for the log should know why. */
  #full(fed: Fed, number: number): void {
    if (fed.isFull) return;
    fed.isFull = true;
    fed.fullNumber = number;
    fed.feed.eachOpen((flight) => this.#block(fed, this.#port.flights.publisherOf(flight)));
  }

  #block({ blocked }: Fed, publisher: number): void {
    if (blocked.has(publisher)) return;
    blocked.add(publisher);
    this.#port.publishers.block(publisher);
  }

  /** It takes messages again, or somebody else leads it who may. */
  #notFull(fed: Fed): void {
    fed.isFull = false;
    const publishers = [...fed.blocked];
    fed.blocked.clear();
    for (const publisher of publishers) this.#port.publishers.unblock(publisher);
  }

  /** What was on its way to a log that is gone has gone with it. */
  #forget(fed: Fed): void {
    this.#abandon(fed);
    fed.feed.end(STORED);
    this.#releaseHeld(fed);
    this.#notFull(fed);
    this.#feeds.delete(fed.feed.logId);
  }

  // ---- Sending ------------------------------------------------------------------------------------

  #send(fed: Fed, batch: FeedBatch): void {
    const { feed, place } = fed;
    const { calls, crc32c } = this.#port;
    if (!batch.isSealed) {
      batch.builder.finish(crc32c);
      batch.isSealed = true;
    }
    const { framed } = batch.builder;
    const call = new BatchCall(this, fed, batch, place.host!);
    const level = batch.isEarly ? 'accepted' : 'stored';
    const start = writePublishHead(framed, HEAD_ROOM, this.#port.client()!, batch.number, level);
    fed.calls.set(batch, calls.command(call, feed.logId, framed.subarray(start)));
  }

  #giveBatch(batch: FeedBatch): void {
    if (batch.isLent) return;
    batch.reset();
    if (this.#spare.length < SPARE_BATCHES_MAX) this.#spare.push(batch);
  }

  // ---- Answers ------------------------------------------------------------------------------------

  answered(fed: Fed, batch: FeedBatch, { result, body }: AnsweredInput): void {
    fed.calls.delete(batch);
    const { feed, place } = fed;
    if (result !== 'ok') {
      if (FINAL.has(result)) this.#settled(fed, batch, REFUSED);
      else {
        if (result === 'no-space') this.#full(fed, batch.number);
        feed.again(batch);
        this.#rest(fed);
      }
    } else {
      const answer = decodeQueueAnswer(body);
      const { outcome } = answer;
      if (outcome === 'ok') {
        place.succeeded();
        const offset = answer.kind === 'published' ? answer.offset : -1;
        this.#settled(fed, batch, STORED, offset);
      } else if (outcome === 'number-gap' && answer.kind === 'published') {
        feed.gap(batch, answer.expected);
        this.#rest(fed);
      } else if (outcome === 'stale-client') {
        // Another life of this shard publishes: this one has nothing to say any more.
        this.#abandon(fed);
        feed.end(UNKNOWN);
      } else this.#settled(fed, batch, REFUSED);
    }
    this.#pump(fed);
  }

  /** Once the batch that found no room is over, whatever became of it, the next one has to find out. */
  #settled(fed: Fed, batch: FeedBatch, outcome: number, offset = -1): void {
    if (fed.isFull && batch.number >= fed.fullNumber) this.#notFull(fed);
    fed.feed.settled(batch, outcome, offset);
  }

  /** The leader is not ready, or not the leader, or lacks what came before: it is asked again in a moment. */
  #rest(fed: Fed): void {
    if (fed.isResting) return;
    fed.isResting = true;
    this.#port.later(fed.place.nextRetryMs(), () => {
      fed.isResting = false;
      this.#pump(fed);
    });
  }

  lost(fed: Fed, batch: FeedBatch): void {
    fed.calls.delete(batch);
    fed.feed.lost(batch);
    this.#rest(fed);
    this.#pump(fed);
  }

  // ---- Changes and time -----------------------------------------------------------------------------

  /** Something about these logs has changed; undefined: about any. */
  logsChanged(logIds: readonly number[] | undefined): void {
    for (const logId of logIds ?? [...this.#feeds.keys()]) {
      const fed = this.#feeds.get(logId);
      if (fed === undefined || !fed.place.look(this.#port)) continue;
      // A leader of before may answer or not: what it stored, the next one knows.
      this.#abandon(fed);
      fed.isResting = false;
      this.#notFull(fed);
      fed.feed.isOut = fed.place.isOut;
      if (fed.feed.isOut) fed.feed.refuseAll();
      this.#pump(fed);
    }
  }

  /** The node is a member now. */
  pumpAll(): void {
    for (const fed of [...this.#feeds.values()]) this.#pump(fed);
  }

  /** Waits for no answer any more. */
  #abandon(fed: Fed): void {
    for (const [batch, token] of fed.calls) {
      this.#port.calls.forget(token);
      fed.feed.lost(batch);
    }
    fed.calls.clear();
  }

  #setClock(): void {
    if (this.#isClockSet) return;
    this.#isClockSet = true;
    this.#port.later(this.#port.limits.confirmTimeoutMs / 16, () => {
      this.#isClockSet = false;
      this.#giveUpLate();
    });
  }

  #giveUpLate(): void {
    const sinceMs = this.#port.nowMs() - this.#port.limits.confirmTimeoutMs;
    let isWaiting = false;
    for (const fed of this.#feeds.values()) {
      if (fed.feed.isIdle) continue;
      isWaiting = true;
      if (fed.feed.sinceMs > sinceMs) continue;
      fed.feed.giveUpBefore(sinceMs);
      this.#releaseHeld(fed);
    }
    if (isWaiting) this.#setClock();
  }
}

class BatchCall implements Call {
  readonly host: HostRef;
  readonly #feeds: Feeds;
  readonly #fed: Fed;
  readonly #batch: FeedBatch;

  constructor(feeds: Feeds, fed: Fed, batch: FeedBatch, host: HostRef) {
    this.host = host;
    this.#feeds = feeds;
    this.#fed = fed;
    this.#batch = batch;
  }

  answered(input: AnsweredInput): void {
    this.#feeds.answered(this.#fed, this.#batch, input);
  }

  lost(): void {
    this.#feeds.lost(this.#fed, this.#batch);
  }
}
