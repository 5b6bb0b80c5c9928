// Consumers, gets, deliveries and their settlement on one channel. The order that clients rely on: consume-ok before
// the first delivery, nothing behind cancel-ok, and what a channel has out goes back when it ends.
import type { ConsumerEnd, DeliveredMessage } from '../../../broker/ports.ts';
import {
  ACK_BITS,
  type MethodArgs,
  MULTIPLE,
  type Named,
  OP_ACK,
  OP_REJECT,
  REQUEUE,
  type Refusal,
  refusals,
  TAG_HIGH,
  TAG_LOW,
} from '../codec/index.ts';
import { priorityOf, refuseConsumerArguments, refuseQuorumConsumerArguments } from './arguments.ts';
import type { Channel } from './channel.ts';
import { Consumer } from './consumers.ts';
import { madeUpName } from './names.ts';
import { findQueue, unreachable } from './queues.ts';
import { refuseStreamConsumer, startOf } from './streams.ts';

const TWO_32 = 0x1_0000_0000;

export function consume(channel: Channel, args: MethodArgs<'basic.consume'>): Refusal | undefined {
  const { host } = channel;
  if (args.noLocal) return ['NOT_IMPLEMENTED', 'no_local=true'];
  const found = findQueue(channel, args.queue, 'read');
  if ('refusal' in found) return found.refusal;
  const { destination, logId, name, isStream } = found;
  const named = { kind: 'queue', name, vhost: channel.vhost } as const;
  const isQuorum = destination.queue?.quorum !== undefined;
  const fault = isStream
    ? refuseStreamConsumer(channel, args, named)
    : isQuorum
      ? refuseQuorumConsumer(channel, args, named)
      : refuseConsumerArguments(args.arguments, named);
  if (fault !== undefined) return fault;
  const { prefetch } = channel;
  if (args.consumerTag !== '' && prefetch.byTag(args.consumerTag) !== undefined) {
    return refusals.consumerTagInUse(args.consumerTag);
  }
  const tag = args.consumerTag || madeUpName('amq.ctag-', () => host.ports.random());
  const consumer = new Consumer({
    number: host.nextConsumer(),
    channel,
    tag,
    queue: name,
    logId,
    isStream,
    isQuorum,
    isAutoDelete: destination.queue?.autoDelete === true,
    isAutoAcknowledging: args.noAck,
    prefetch: prefetch.next,
  });
  host.register(consumer);
  prefetch.add(consumer);
  const { exclusive, noAck: autoAcknowledge } = args;
  const options = { autoAcknowledge, exclusive, priority: priorityOf(args.arguments) };
  const from = isStream ? { from: startOf(args.arguments) } : {};
  host.reader.attach(consumer.number, destination, { ...options, ...from });
  channel.await({ consumer, hasReply: !args.noWait });
  return undefined;
}

function refuseQuorumConsumer(
  channel: Channel,
  args: MethodArgs<'basic.consume'>,
  queue: Named,
): Refusal | undefined {
  if (channel.prefetch.isShared) return refusals.globalQos(queue.name, channel.vhost);
  return refuseQuorumConsumerArguments(args.arguments, queue);
}

/** The queue takes the consumer. */
export function attached(channel: Channel, consumer: Consumer): void {
  const isAwaited = channel.awaited?.consumer === consumer;
  if (!isAwaited) return;
  const { hasReply } = channel.awaited!;
  consumer.isAttached = true;
  if (hasReply) channel.reply('basic.consume-ok', { consumerTag: consumer.facts.tag! });
  channel.prefetch.lend(consumer);
  channel.goOn();
}

/** The queue does not take the consumer, or not any more; or a get finds no queue. */
export function ended(channel: Channel, consumer: Consumer, why: ConsumerEnd | 'forbidden'): void {
  const isAwaited = channel.awaited?.consumer === consumer;
  const { tag, queue } = consumer.facts;
  if (tag !== undefined) {
    channel.prefetch.remove(consumer);
    channel.host.forget(consumer);
  }
  if (isAwaited) {
    channel.goOn(refuseEnd(channel, why, queue));
  } else if (tag !== undefined && channel.host.hearsCancels) {
    channel.reply('basic.cancel', { consumerTag: tag, noWait: true });
  }
}

/** Who may do what has changed: consumers that may not read any more are none any more. What they hold may be settled. */
export function endForbidden(channel: Channel): void {
  for (const consumer of [...channel.prefetch.consumers.values()]) {
    const { queue } = consumer.facts;
    if (!consumer.isAttached || channel.rights.allows('read', 'queue', queue)) continue;
    channel.host.reader.detach(consumer.number, true);
    consumer.isAttached = false;
    ended(channel, consumer, 'forbidden');
  }
}

/** Nobody who leads the queue has answered in time. */
export function waitedLong(channel: Channel): void {
  const consumer = channel.awaited?.consumer;
  if (consumer === undefined) return;
  const { tag, queue } = consumer.facts;
  if (tag !== undefined) {
    channel.host.reader.detach(consumer.number, false);
    channel.prefetch.remove(consumer);
    channel.host.forget(consumer);
  }
  channel.goOn(unreachable(channel, queue));
}

function refuseEnd(channel: Channel, why: ConsumerEnd | 'forbidden', queue: string): Refusal {
  switch (why) {
    case 'exclusive':
      return refusals.exclusiveUse(queue, channel.vhost);
    case 'forbidden':
      return channel.rights.refuse('read', 'queue', queue)!;
    case 'deleted':
      return refusals.noQueue(queue, channel.vhost);
    case 'unreachable':
      return unreachable(channel, queue);
    case 'unsupported':
      return ['NOT_IMPLEMENTED', `queue '${queue}' in vhost '${channel.vhost}' has several logs`];
    case 'too-many-consumers':
    case 'too-many-leases':
      return [
        'PRECONDITION_FAILED',
        `queue '${queue}' in vhost '${channel.vhost}' is full: ${why}`,
      ];
    default:
      return [
        'INTERNAL_ERROR',
        `queue '${queue}' in vhost '${channel.vhost}' does not answer: ${why}`,
      ];
  }
}

export function cancel(channel: Channel, args: MethodArgs<'basic.cancel'>): Refusal | undefined {
  const consumer = channel.prefetch.byTag(args.consumerTag);
  const reply = (): undefined => {
    if (!args.noWait) channel.reply('basic.cancel-ok', { consumerTag: args.consumerTag });
  };
  if (consumer === undefined) return reply();
  const { queue, logId, isAutoDelete } = consumer.facts;
  channel.host.reader.detach(consumer.number, true);
  channel.prefetch.remove(consumer);
  channel.host.forget(consumer);
  if (!isAutoDelete) return reply();
  channel.ask({ kind: 'delete-unused', name: queue, logId }, reply);
  return undefined;
}

export function qos(channel: Channel, args: MethodArgs<'basic.qos'>): Refusal | undefined {
  if (args.prefetchSize !== 0) return refusals.prefetchSize(args.prefetchSize);
  const limit = args.prefetchCount === 0 ? Number.POSITIVE_INFINITY : args.prefetchCount;
  if (args.global) channel.prefetch.shared = limit;
  else channel.prefetch.next = limit;
  channel.reply('basic.qos-ok', {});
  return undefined;
}

export function get(channel: Channel, args: MethodArgs<'basic.get'>): Refusal | undefined {
  const found = findQueue(channel, args.queue, 'read');
  if ('refusal' in found) return found.refusal;
  if (found.isStream) return refusals.getFromStream(found.name, channel.vhost);
  const consumer = channel.getter(found, args.noAck);
  channel.host.reader.get(consumer.number, found.destination, args.noAck);
  channel.await({ consumer, hasReply: true });
  return undefined;
}

/** Nothing was there for a get. */
export function empty(channel: Channel, consumer: Consumer): void {
  if (channel.awaited?.consumer !== consumer) return;
  channel.reply('basic.get-empty', {});
  channel.goOn();
}

// ---- Deliveries -----------------------------------------------------------------------------------

/** A message that came too late for whoever asked for it. */
function giveBack(channel: Channel, number: number, message: DeliveredMessage): void {
  const { logId, epoch, offset, lease } = message;
  if (lease > 0) channel.host.reader.return(number, logId, epoch, offset, lease, true, false);
}

/** Writes a message to the client and notes what it has to settle. */
export function deliver(channel: Channel, consumer: Consumer, message: DeliveredMessage): void {
  const { host } = channel;
  const { outgoing, fromRecord, parts } = host.tools;
  const { tag, isAutoAcknowledging, isStream, isQuorum } = consumer.facts;
  if (tag === undefined && channel.awaited?.consumer !== consumer) {
    giveBack(channel, consumer.number, message);
    return;
  }
  const deliveryTag = channel.nextDeliveryTag();
  outgoing.channel = channel.number;
  outgoing.frameBytesMax = host.frameBytesMax;
  outgoing.deliveryTag = deliveryTag;
  outgoing.redelivered = message.isRedelivered;
  const streamOffset = isStream ? message.offset : -1;
  const returns = isQuorum ? message.returns : 0;
  fromRecord.fill(parts.ofRecord(message.record), outgoing, streamOffset, returns);
  if (tag === undefined) {
    outgoing.messageCount = message.ready;
    outgoing.writeGetOk(host.ports.writer());
  } else {
    outgoing.consumerTag.set(consumer.tagBytes);
    outgoing.writeDeliver(host.ports.writer());
  }
  if (!isAutoAcknowledging) {
    channel.unacked.add(deliveryTag, consumer.number, message);
    channel.prefetch.delivered(consumer);
  }
  if (tag === undefined) channel.goOn();
}

// ---- Settlement -----------------------------------------------------------------------------------

/** How the messages of a command are settled. */
const ACKNOWLEDGED = 0;
const REQUEUED = 1;
const DROPPED = 2;

/** basic.ack, nack or reject: the entry `op` at ints[at]. */
export function settle(
  channel: Channel,
  op: number,
  ints: Int32Array,
  at: number,
): Refusal | undefined {
  const bits = ints[at + ACK_BITS]!;
  const how = op === OP_ACK ? ACKNOWLEDGED : (bits & REQUEUE) !== 0 ? REQUEUED : DROPPED;
  const isMultiple = op !== OP_REJECT && (bits & MULTIPLE) !== 0;
  const tag = (ints[at + TAG_HIGH]! >>> 0) * TWO_32 + (ints[at + TAG_LOW]! >>> 0);
  const { unacked } = channel;
  const isAll = isMultiple && tag === 0;
  const row = isAll ? unacked.end - 1 : unacked.find(tag);
  if (row < 0) return isAll ? undefined : refusals.unknownDeliveryTag(tagText(ints, at));
  // A rejected message was seen and not taken: that counts. One that is only given back does not, but to a quorum
  // queue: there whatever comes back does, as in RabbitMQ 4.0 to 4.2 (4.3 counts as classic queues do here).
  const counts = op === OP_REJECT;
  for (let each = isMultiple ? unacked.head : row; each <= row; each += 1) {
    if (unacked.isLive(each)) settleRow(channel, each, how, counts);
  }
  unacked.trim();
  channel.prefetch.refill();
  return undefined;
}

function tagText(ints: Int32Array, at: number): string {
  const high = BigInt(ints[at + TAG_HIGH]! >>> 0);
  return String((high << 32n) | BigInt(ints[at + TAG_LOW]! >>> 0));
}

function settleRow(channel: Channel, row: number, how: number, counts: boolean): void {
  const { host, unacked, prefetch } = channel;
  const number = unacked.consumers[row]!;
  const logId = unacked.logIds[row]!;
  const epoch = unacked.epochs[row]!;
  const offset = unacked.offsets[row]!;
  const lease = unacked.leases[row]!;
  unacked.settle(row);
  const consumer = host.consumer(number);
  if (consumer !== undefined) {
    prefetch.settled(consumer);
    if (consumer.held === 0 && !consumer.isAttached) host.forget(consumer);
  }
  if (how === ACKNOWLEDGED) host.reader.acknowledge(number, logId, epoch, offset, lease);
  else {
    const isRequeued = how === REQUEUED;
    const isCounted = counts || (isRequeued && isOfQuorum(channel, logId));
    host.reader.return(number, logId, epoch, offset, lease, isRequeued, isCounted);
  }
}

/** Asked of what comes back alone: what a cancelled consumer still has is nobody's but the channel's. */
function isOfQuorum({ host, names }: Channel, logId: number): boolean {
  const log = host.ports.view.log(logId);
  return log !== undefined && names.destination(log.destination)?.queue?.quorum !== undefined;
}

/** Everything that the channel has out goes back to the queues. */
export function requeueAll(channel: Channel): void {
  const { unacked } = channel;
  for (let row = unacked.head; row < unacked.end; row += 1) {
    if (unacked.isLive(row)) settleRow(channel, row, REQUEUED, false);
  }
  unacked.trim();
}

export function recover(
  channel: Channel,
  requeue: boolean,
  hasReply: boolean,
): Refusal | undefined {
  if (!requeue) return refusals.withoutRequeue();
  requeueAll(channel);
  channel.prefetch.refill();
  if (hasReply) channel.reply('basic.recover-ok', {});
  return undefined;
}
