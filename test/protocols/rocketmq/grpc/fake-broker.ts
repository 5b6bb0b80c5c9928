// A broker in memory behind the session's port: logs, leases and receivers that wait. No replication, no expiry
// of leases by itself: tests end them with `expire`.
import type {
  AcknowledgeAsk,
  AppendAsk,
  BrokerAnswer,
  BrokerAsk,
  BrokerNotice,
  ExtendAsk,
  Lease,
  LeasedRecord,
  LeaseResult,
  MessageKind,
  NewRecord,
  ReceiveAsk,
  RocketBroker,
  TopicView,
} from '../../../../src/protocols/rocketmq/grpc/ports.ts';
import { decodeUtf8 } from '../../../../src/std/bytes.ts';

interface Stored {
  readonly record: NewRecord;
  deliveryCount: number;
  /** 0: ready. */
  lease: number;
  isDone: boolean;
}

interface Waiting {
  readonly ask: ReceiveAsk;
  readonly answer: (answer: BrokerAnswer) => void;
}

const EPOCH = 5;

export class FakeBroker implements RocketBroker {
  readonly nodeId = 1;
  autoCreate = false;
  readonly topics = new Map<string, TopicView>();
  readonly logs = new Map<number, Stored[]>();
  readonly asked: BrokerAsk[] = [];
  readonly told: BrokerNotice[] = [];
  /** Answers with trouble instead, if it returns some. */
  trouble: (ask: BrokerAsk) => BrokerAnswer | undefined = () => undefined;
  /** How a receiver's wait ends, for tests in real time; else `stopWaiting` ends it. */
  wait: (ms: number, end: () => void) => void = () => undefined;
  #waiting: Waiting[] = [];
  #leases = 0;
  #nextLogId = 1;

  /** A topic of one log that is a queue. */
  makeQueue(name: string): TopicView {
    const topic = { ...this.makeTopic(name, 1), isQueue: true };
    this.topics.set(name, topic);
    return topic;
  }

  makeTopic(name: string, partitions = 3, kinds: MessageKind[] = ['normal', 'fifo']): TopicView {
    const logs = Array.from({ length: partitions }, () => {
      const logId = this.#nextLogId;
      this.#nextLogId += 1;
      this.logs.set(logId, []);
      return { logId, leaderNodeId: 1 };
    });
    const topic = { name, logs, brokerNames: 4, kinds, isQueue: false };
    this.topics.set(name, topic);
    return topic;
  }

  topic(name: string) {
    return this.topics.get(name);
  }

  nodes() {
    return [{ nodeId: 1, host: '127.0.0.1', port: 8081 }];
  }

  group() {
    return { isFifo: false, deliveriesMax: 17, backoffMs: [1000, 5000] };
  }

  ask(ask: BrokerAsk, answer: (answer: BrokerAnswer) => void): void {
    this.asked.push(ask);
    const later = (result: BrokerAnswer): void => queueMicrotask(() => answer(result));
    const trouble = this.trouble(ask);
    if (trouble !== undefined) later(trouble);
    else if (ask.kind === 'append') later(this.#append(ask));
    else if (ask.kind === 'acknowledge') later(this.#acknowledge(ask));
    else if (ask.kind === 'extend') later(this.#extend(ask));
    else if (ask.kind === 'create') {
      this.makeTopic(ask.topic);
      later({ kind: 'create', result: 'ok', reason: '' });
    } else this.#receive(ask, later);
  }

  tell(notice: BrokerNotice): void {
    this.told.push(notice);
    if (notice.kind === 'abandon') this.#end(({ ask }) => ask.token === notice.token);
    if (notice.kind !== 'give-back') return;
    for (const { logId, offset } of notice.leases) {
      const stored = this.logs.get(logId)![offset]!;
      stored.lease = 0;
      stored.deliveryCount -= 1;
    }
  }

  /** Every lease ends. */
  expire(): void {
    for (const log of this.logs.values()) for (const stored of log) stored.lease = 0;
    this.#wake();
  }

  /** Every receiver that waits has waited long enough. */
  stopWaiting(): void {
    this.#end(() => true);
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  #append({ logId, records }: AppendAsk): BrokerAnswer {
    const log = this.logs.get(logId)!;
    const baseOffset = log.length;
    for (const record of records) log.push({ record, deliveryCount: 0, lease: 0, isDone: false });
    queueMicrotask(() => this.#wake());
    return { kind: 'append', result: 'ok', baseOffset, reason: '' };
  }

  #receive(ask: ReceiveAsk, answer: (answer: BrokerAnswer) => void): void {
    const records = this.#take(ask);
    if (records.length > 0 || ask.waitMs === 0) answer(receiveAnswer(records));
    else {
      this.#waiting.push({ ask, answer });
      this.wait(ask.waitMs, () => this.#end((waiting) => waiting.ask === ask));
    }
  }

  #take({ logIds, tags, messagesMax }: ReceiveAsk): LeasedRecord[] {
    const taken: LeasedRecord[] = [];
    for (const logId of logIds) {
      this.logs.get(logId)!.forEach((stored, offset) => {
        if (stored.isDone || stored.lease !== 0 || taken.length === messagesMax) return;
        const tag = stored.record.headers.find(({ name }) => name === 'TAGS')?.value;
        if (tags !== undefined && !(tag && tags.has(decodeUtf8(tag)))) return;
        this.#leases += 1;
        stored.lease = this.#leases;
        stored.deliveryCount += 1;
        const lease = { logId, offset, epoch: EPOCH, number: stored.lease };
        taken.push({ ...stored.record, lease, deliveryCount: stored.deliveryCount });
      });
    }
    return taken;
  }

  #wake(): void {
    for (const each of this.#waiting.splice(0)) {
      const records = this.#take(each.ask);
      if (records.length === 0) this.#waiting.push(each);
      else each.answer(receiveAnswer(records));
    }
  }

  #end(isMeant: (waiting: Waiting) => boolean): void {
    const meant = this.#waiting.filter(isMeant);
    this.#waiting = this.#waiting.filter((each) => !meant.includes(each));
    for (const { answer } of meant) answer(receiveAnswer([]));
  }

  #held({ logId, offset, epoch, number }: Lease): Stored | undefined {
    const stored = this.logs.get(logId)?.[offset];
    return epoch === EPOCH && stored?.lease === number ? stored : undefined;
  }

  #acknowledge({ leases }: AcknowledgeAsk): BrokerAnswer {
    const results = leases.map((lease): LeaseResult => {
      const stored = this.#held(lease);
      if (stored === undefined) return 'expired';
      stored.isDone = true;
      return 'ok';
    });
    return { kind: 'acknowledge', results };
  }

  #extend({ lease, leaseMs }: ExtendAsk): BrokerAnswer {
    const stored = this.#held(lease);
    if (stored === undefined) return { kind: 'extend', result: 'expired', lease };
    this.#leases += 1;
    stored.lease = leaseMs === 0 ? 0 : this.#leases;
    queueMicrotask(() => this.#wake());
    return { kind: 'extend', result: 'ok', lease: { ...lease, number: this.#leases } };
  }
}

function receiveAnswer(records: readonly LeasedRecord[]): BrokerAnswer {
  return { kind: 'receive', result: 'ok', records, reason: '' };
}
