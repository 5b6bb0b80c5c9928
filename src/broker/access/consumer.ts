// One consumer of a session as this shard knows it, whatever leader its queue has: what it may hold, what
// it holds, what the queue has given it. Changed by its link and its session's reader.
import type { Owner } from '../view/consumers.ts';
import type { Call } from './calls.ts';
import { GivenOut } from './given-out.ts';
import type { ConsumeOptions, DeliveredMessage, ReaderSink } from './queue-api.ts';
import type { QueueLink } from './queue-link.ts';

/** Messages that lie between the queue and a session, however much it may hold. */
const WINDOW = 1_024;

/** What a consumer tells whoever it belongs to. */
export interface ConsumerSink extends Pick<ReaderSink, 'attached' | 'ended' | 'empty'> {
  deliver(consumer: number, message: DeliveredMessage): void;
  /** Something was delivered: `delivered` follows once for all of it. */
  touched(): void;
}

export interface WaitingGet {
  readonly number: number;
  readonly autoAcknowledge: boolean;
}

export class Consumer {
  /** Under which the queue knows it. */
  readonly id: number;
  readonly link: QueueLink;
  readonly sink: ConsumerSink;
  readonly options: ConsumeOptions;
  /** The session's number of it. */
  number: number;
  /** Of one that only gets: who waits for a message, in order. Such a one counts for nobody as a consumer. */
  readonly gets: WaitingGet[] | undefined;
  /** Messages that may be out and not settled. */
  credit = 0;
  /** Messages that are. */
  held = 0;
  /** `off`: the present leader has not been told of it. */
  state: 'off' | 'attaching' | 'on' | 'ended' = 'off';
  /** As which it is attached. */
  owner: Owner | undefined;
  epoch = -1;
  /** Highest lease number heard of, and delivered. */
  seen = 0;
  delivered = 0;
  /** The receive that waits at the queue, and how many messages it asks for. */
  parked: Call | undefined;
  parkedCredit = 0;
  /** Messages that are left, as the queue last said. */
  ready = 0;
  readonly given = new GivenOut();
  /** Grows when all that was asked before does not count any more. */
  generation = 0;
  isTold = false;
  isResting = false;
  /** It was given what is not delivered: its link has it among those. */
  isHolding = false;
  /** Its link is to look whether there is something to ask for it. */
  isAsking = false;

  constructor(
    id: number,
    link: QueueLink,
    of: { number: number; sink: ConsumerSink; options: ConsumeOptions; isGetting: boolean },
  ) {
    this.id = id;
    this.link = link;
    this.number = of.number;
    this.sink = of.sink;
    this.options = of.options;
    this.gets = of.isGetting ? [] : undefined;
  }

  get isAutoAcknowledging(): boolean {
    return this.gets?.[0]?.autoAcknowledge ?? this.options.autoAcknowledge;
  }

  /** May the next message that it was given be delivered? */
  get canDeliver(): boolean {
    if (this.given.total === 0) return false;
    if (this.gets !== undefined) return this.gets.length > 0;
    return this.held < this.credit;
  }

  /** How many messages to ask for. */
  get wanted(): number {
    const { total } = this.given;
    if (this.gets !== undefined) return total === 0 && this.gets.length > 0 ? 1 : 0;
    return Math.max(0, Math.min(WINDOW, this.credit - this.held) - total);
  }

  /** Whether its leader has to be asked for more than waits there, or for less. */
  get hasToAsk(): boolean {
    const { wanted } = this;
    return this.parked === undefined ? wanted > 0 : this.parkedCredit > wanted;
  }

  /** The leader knows nothing of it any more. What the session holds it still holds. */
  forgotten(): void {
    if (this.state === 'ended') return;
    this.state = 'off';
    this.generation += 1;
    this.parked = undefined;
    this.given.clear();
    this.epoch = -1;
  }
}
