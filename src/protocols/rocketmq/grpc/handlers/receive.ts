// ReceiveMessage: a status, each message, the time of delivery, the end. Messages are leased to the group:
// nobody else of it gets them until the lease ends or they are acknowledged.
import { assert } from '../../../../std/assert.ts';
import { logsOfName, placeOf } from '../addressing.ts';
import type { Exchange, Handled } from '../exchange.ts';
import { type Delivery, messageOf } from '../messages-out.ts';
import { groupName, tagFilter, topicName, topicNotFound } from '../names.ts';
import type { LeasedRecord, ReceiveAnswer, ReceiveAsk, TopicView } from '../ports.ts';
import type { DecodedOf } from '../proto/index.ts';
import { receiptHandle } from '../receipt-handle.ts';
import { OK, Refusal, refusalOf } from '../refusal.ts';
import { Code } from '../schema/enums.ts';
import type { ReceiveMessageRequest } from '../schema/service.ts';
import { durationMs, partsOfMs } from '../times.ts';

type Request = DecodedOf<typeof ReceiveMessageRequest>;

/** What a filter leaves out counts as acknowledged: here it would be lost to everybody else. */
const QUEUE_WITHOUT_FILTERS = new Refusal(
  Code.ILLEGAL_FILTER_EXPRESSION,
  'a queue gives its messages to whoever asks: filters are for topics that are streams',
);

export function receiveMessage(exchange: Exchange, request: Request): Handled {
  const { home, context, now } = exchange;
  if (context.clientId === '') return new Refusal(Code.CLIENT_ID_REQUIRED, 'a client has an id');
  const name = topicName(request.messageQueue?.topic);
  if (name instanceof Refusal) return name;
  const group = groupName(request.group);
  if (group instanceof Refusal) return group;
  const filter = tagFilter(request.filterExpression);
  if (filter instanceof Refusal) return filter;
  const wishes = wishesOf(exchange, request);
  if (wishes instanceof Refusal) return wishes;
  const topic = home.picture.topic(name);
  if (topic === undefined) return topicNotFound(name);
  if (topic.isQueue && filter.tags !== undefined) return QUEUE_WITHOUT_FILTERS;
  home.client(context.clientId, now).group = group;
  const ask: Omit<ReceiveAsk, 'token'> = {
    kind: 'receive',
    clientId: context.clientId,
    group,
    logIds: logsOfName(topic, request.messageQueue?.broker?.name ?? '').map(({ logId }) => logId),
    tags: filter.tags,
    bytesMax: home.limits.receiveBytesMax,
    ...wishes,
  };
  exchange.ask(
    ask,
    (answer) => deliver(exchange, request, ask, answer),
    ({ records }) => giveBack(exchange, group, records),
  );
  return undefined;
}

type Wishes = Pick<ReceiveAsk, 'messagesMax' | 'leaseMs' | 'waitMs'>;

function wishesOf(exchange: Exchange, request: Request): Wishes | Refusal {
  const { batchSize } = request;
  if (batchSize < 1) return new Refusal(Code.BAD_REQUEST, 'a batch has at least one message');
  const leaseMs = leaseMsOf(exchange, request);
  if (leaseMs instanceof Refusal) return leaseMs;
  const waitMs = waitMsOf(exchange, request);
  if (waitMs instanceof Refusal) return waitMs;
  const messagesMax = Math.min(batchSize, exchange.home.limits.receiveMessagesMax);
  return { messagesMax, leaseMs, waitMs };
}

function leaseMsOf({ home }: Exchange, request: Request): number | Refusal {
  const { leaseMsMin, leaseMsMax } = home.limits;
  if (request.autoRenew) {
    return new Refusal(Code.NOT_IMPLEMENTED, 'leases that renew themselves are not served yet');
  }
  const leaseMs = request.invisibleDuration && durationMs(request.invisibleDuration);
  if (leaseMs !== undefined && leaseMs >= leaseMsMin && leaseMs <= leaseMsMax) return leaseMs;
  const text = `messages are invisible for ${leaseMsMin} to ${leaseMsMax} ms, not ${leaseMs}`;
  return new Refusal(Code.ILLEGAL_INVISIBLE_TIME, text);
}

/** Never longer than the client listens. Without a wish, as long as it listens. */
function waitMsOf({ home, context, now }: Exchange, request: Request): number | Refusal {
  const { pollMsMax, answerMs } = home.limits;
  const leftMs = Math.floor(context.deadlineMs - now.monotonicMs - answerMs);
  if (leftMs < 0) {
    const text = 'the deadline of the call leaves no time to wait for messages';
    return new Refusal(Code.ILLEGAL_POLLING_TIME, text);
  }
  const wish = request.longPollingTimeout;
  const wishMs = wish === undefined ? pollMsMax : durationMs(wish);
  if (wishMs === undefined || wishMs < 0) {
    return new Refusal(Code.ILLEGAL_POLLING_TIME, 'no such time to wait');
  }
  return Math.min(wishMs, pollMsMax, leftMs);
}

function deliver(
  exchange: Exchange,
  request: Request,
  ask: Omit<ReceiveAsk, 'token'>,
  { result, records, reason }: ReceiveAnswer,
): Handled {
  if (result !== 'ok') return refusalOf(result, reason);
  const asked = request.messageQueue!.topic!;
  const topic = exchange.home.picture.topic(topicName(asked) as string);
  if (topic === undefined) {
    giveBack(exchange, ask.group, records);
    return topicNotFound(asked.name);
  }
  const none = { code: Code.MESSAGE_NOT_FOUND, message: 'no new message' };
  exchange.send({ status: records.length === 0 ? none : OK });
  for (const record of records) {
    exchange.send({ message: messageOf(deliveryOf(exchange, ask, topic, asked, record)) });
  }
  exchange.reply({ deliveryTimestamp: partsOfMs(exchange.now.wallMs) });
  return undefined;
}

function deliveryOf(
  { home }: Exchange,
  { group, leaseMs }: Omit<ReceiveAsk, 'token'>,
  topic: TopicView,
  asked: Delivery['topic'],
  record: LeasedRecord,
): Delivery {
  const partition = topic.logs.findIndex(({ logId }) => logId === record.lease.logId);
  assert(partition >= 0, 'a received message is of a log that was asked for');
  return {
    md5Hex: home.md5Hex,
    record,
    topic: asked,
    queueId: placeOf(partition, topic.brokerNames).queueId,
    receiptHandle: receiptHandle(home.handleKey, record.lease, group),
    leaseMs,
  };
}

function giveBack({ home }: Exchange, group: string, records: readonly LeasedRecord[]): void {
  if (records.length === 0) return;
  home.tell({ kind: 'give-back', group, leases: records.map(({ lease }) => lease) });
}
