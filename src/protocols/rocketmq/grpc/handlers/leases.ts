// AckMessage and ChangeInvisibleDuration: what a consumer does with messages that it holds. A handle that is
// not ours, or of another group or topic, or whose message somebody else has meanwhile, is refused alike.
import type { Exchange, Handled } from '../exchange.ts';
import { groupName, topicName, topicNotFound } from '../names.ts';
import type { Lease, LeaseResult, TopicView } from '../ports.ts';
import type { DecodedOf } from '../proto/index.ts';
import { leaseOfHandle, receiptHandle } from '../receipt-handle.ts';
import { joined, OK, Refusal, refusalOf, type Status, statusOf } from '../refusal.ts';
import { Code } from '../schema/enums.ts';
import type { AckMessageRequest, ChangeInvisibleDurationRequest } from '../schema/service.ts';
import { durationMs } from '../times.ts';

type Resource = DecodedOf<typeof AckMessageRequest>['topic'];

const INVALID_HANDLE = new Refusal(
  Code.INVALID_RECEIPT_HANDLE,
  'the receipt handle is expired, or none of this group and topic',
);
const INVALID = statusOf(INVALID_HANDLE);

const LITE = new Refusal(Code.NOT_IMPLEMENTED, 'lite topics are not served');

function statusOfLease(result: LeaseResult): Status {
  if (result === 'ok') return OK;
  if (result === 'expired') return INVALID;
  return statusOf(refusalOf(result, 'the lease cannot be looked at now'));
}

interface Place {
  readonly group: string;
  readonly topic: TopicView;
}

function placeIn(exchange: Exchange, group: Resource, topic: Resource): Place | Refusal {
  const asked = topicName(topic);
  if (asked instanceof Refusal) return asked;
  const groupText = groupName(group);
  if (groupText instanceof Refusal) return groupText;
  const view = exchange.home.picture.topic(asked);
  return view === undefined ? topicNotFound(asked) : { group: groupText, topic: view };
}

function leaseIn({ home }: Exchange, { group, topic }: Place, handle: string): Lease | undefined {
  const lease = leaseOfHandle(home.handleKey, handle, group);
  const isOfTopic = topic.logs.some(({ logId }) => logId === lease?.logId);
  return isOfTopic ? lease : undefined;
}

export function ackMessage(
  exchange: Exchange,
  request: DecodedOf<typeof AckMessageRequest>,
): Handled {
  const place = placeIn(exchange, request.group, request.topic);
  if (place instanceof Refusal) return place;
  if (request.entries.some(({ liteTopic }) => liteTopic !== undefined && liteTopic !== '')) {
    return LITE;
  }
  new Acknowledging(exchange, place, request.entries).start();
  return undefined;
}

type AckEntries = DecodedOf<typeof AckMessageRequest>['entries'];

/** The entries of one request on their way to the logs of their messages. */
class Acknowledging {
  readonly #exchange: Exchange;
  readonly #place: Place;
  readonly #entries: AckEntries;
  readonly #statuses: Status[];
  #waiting = 0;

  constructor(exchange: Exchange, place: Place, entries: AckEntries) {
    this.#exchange = exchange;
    this.#place = place;
    this.#entries = entries;
    this.#statuses = entries.map(() => INVALID);
  }

  start(): void {
    const parts = this.#parts();
    this.#waiting = parts.size;
    if (parts.size === 0) this.#reply();
    const { group } = this.#place;
    const { timeoutMs } = this.#exchange;
    for (const { leases, indexes } of parts.values()) {
      this.#exchange.ask({ kind: 'acknowledge', group, leases, timeoutMs }, ({ results }) => {
        this.#acknowledged(indexes, results);
        return undefined;
      });
    }
  }

  #parts() {
    const parts = new Map<number, { readonly leases: Lease[]; readonly indexes: number[] }>();
    this.#entries.forEach(({ receiptHandle: handle }, index) => {
      const lease = leaseIn(this.#exchange, this.#place, handle);
      if (lease === undefined) return;
      const part = parts.get(lease.logId) ?? { leases: [], indexes: [] };
      part.leases.push(lease);
      part.indexes.push(index);
      parts.set(lease.logId, part);
    });
    return parts;
  }

  #acknowledged(indexes: readonly number[], results: readonly LeaseResult[]): void {
    indexes.forEach((index, at) => {
      this.#statuses[index] = statusOfLease(results[at]!);
    });
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#reply();
  }

  #reply(): void {
    const entries = this.#entries.map(({ messageId, receiptHandle: handle }, index) => ({
      messageId,
      receiptHandle: handle,
      status: this.#statuses[index]!,
    }));
    this.#exchange.reply({ status: joined(this.#statuses), entries });
  }
}

export function changeInvisibleDuration(
  exchange: Exchange,
  request: DecodedOf<typeof ChangeInvisibleDurationRequest>,
): Handled {
  const place = placeIn(exchange, request.group, request.topic);
  if (place instanceof Refusal) return place;
  const leaseMs = leaseMsOf(exchange, request);
  if (leaseMs instanceof Refusal) return leaseMs;
  const lease = leaseIn(exchange, place, request.receiptHandle);
  if (lease === undefined) return INVALID_HANDLE;
  const { group } = place;
  const { timeoutMs } = exchange;
  exchange.ask({ kind: 'extend', group, lease, leaseMs, timeoutMs }, (answer) => {
    const status = statusOfLease(answer.result);
    const handle = status === OK ? receiptHandle(exchange.home.handleKey, answer.lease, group) : '';
    exchange.reply({ status, receiptHandle: handle });
    return undefined;
  });
  return undefined;
}

function leaseMsOf(
  { home }: Exchange,
  request: DecodedOf<typeof ChangeInvisibleDurationRequest>,
): number | Refusal {
  if (request.liteTopic !== undefined && request.liteTopic !== '') return LITE;
  if (request.suspend === true) {
    return new Refusal(Code.NOT_IMPLEMENTED, 'suspended groups are not served yet');
  }
  const { leaseMsMax } = home.limits;
  const leaseMs = request.invisibleDuration && durationMs(request.invisibleDuration);
  if (leaseMs !== undefined && leaseMs >= 0 && leaseMs <= leaseMsMax) return leaseMs;
  const text = `a message may be invisible for 0 to ${leaseMsMax} ms, not ${leaseMs}`;
  return new Refusal(Code.ILLEGAL_INVISIBLE_TIME, text);
}
