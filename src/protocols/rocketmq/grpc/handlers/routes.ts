// QueryRoute and QueryAssignment: which queues a topic has, and where. The answer's addresses are those that
// clients dial next.

import { addressOfName, brokerName, type Dialled, parseAuthority, placeOf } from '../addressing.ts';
import type { Exchange, Handled } from '../exchange.ts';
import { groupName, topicName, topicNotFound } from '../names.ts';
import type { MessageKind, TopicView } from '../ports.ts';
import type { DecodedOf } from '../proto/index.ts';
import { OK, Refusal, refusalOf } from '../refusal.ts';
import { AddressScheme, Code, MessageType, Permission } from '../schema/enums.ts';
import type { QueryAssignmentRequest, QueryRouteRequest } from '../schema/service.ts';

/** Of what a topic may take, what is served; others clients refuse by themselves. */
const TYPES: { readonly [K in MessageKind]?: number } = {
  normal: MessageType.NORMAL,
  fifo: MessageType.FIFO,
};

/** In place of a queue's number. */
const ANY_QUEUE = -1;

/** The topic, made now if it is not there and the operator lets clients make topics. */
export function withTopic(
  exchange: Exchange,
  name: string,
  then: (topic: TopicView) => Handled,
): Handled {
  const { picture } = exchange.home;
  const known = picture.topic(name);
  if (known !== undefined) return then(known);
  if (!picture.autoCreate) return topicNotFound(name);
  const { timeoutMs } = exchange;
  exchange.ask({ kind: 'create', topic: name, timeoutMs }, ({ result, reason }) => {
    const made = picture.topic(name);
    if (made !== undefined) return then(made);
    if (result === 'refused') return new Refusal(Code.ILLEGAL_TOPIC, reason);
    return result === 'ok' ? topicNotFound(name) : refusalOf(result, reason);
  });
  return undefined;
}

export function queryRoute(
  exchange: Exchange,
  request: DecodedOf<typeof QueryRouteRequest>,
): Handled {
  const name = topicName(request.topic);
  if (name instanceof Refusal) return name;
  return withTopic(exchange, name, (topic) => {
    const messageQueues = queuesOf(exchange, topic, request.topic!);
    exchange.reply({ status: OK, messageQueues });
    return undefined;
  });
}

/**
 * One assignment for each name with a queue, for every consumer alike: whoever asks a name gets messages of all
 * its queues, so its queue id says "any" as the official proxy's does.
 */
export function queryAssignment(
  exchange: Exchange,
  request: DecodedOf<typeof QueryAssignmentRequest>,
): Handled {
  const name = topicName(request.topic);
  if (name instanceof Refusal) return name;
  const group = groupName(request.group);
  if (group instanceof Refusal) return group;
  const topic = exchange.home.picture.topic(name);
  if (topic === undefined) return topicNotFound(name);
  const assignments = brokersOf(exchange, topic).map((broker) => ({
    messageQueue: {
      topic: request.topic,
      id: ANY_QUEUE,
      permission: Permission.READ_WRITE,
      broker,
    },
  }));
  exchange.reply({ status: OK, assignments });
  return undefined;
}

/** By the number of the name. */
function brokersOf(exchange: Exchange, topic: TopicView) {
  const dialled = dialledBy(exchange);
  const count = Math.min(topic.brokerNames, topic.logs.length);
  return Array.from({ length: count }, (_none, index) => ({
    name: brokerName(index),
    endpoints: endpointsOf(addressOfName(exchange.home.picture, topic, index, dialled)),
  }));
}

function queuesOf(
  exchange: Exchange,
  topic: TopicView,
  asked: { readonly resourceNamespace: string; readonly name: string },
) {
  const acceptMessageTypes = topic.kinds.flatMap((kind) => TYPES[kind] ?? []);
  const brokers = brokersOf(exchange, topic);
  return topic.logs.map((_log, partition) => {
    const { nameIndex, queueId } = placeOf(partition, topic.brokerNames);
    return {
      topic: asked,
      id: queueId,
      permission: Permission.READ_WRITE,
      broker: brokers[nameIndex]!,
      acceptMessageTypes,
    };
  });
}

/** What the client wrote, since a port may be forwarded; else where its connection ended. */
function dialledBy({ context }: Exchange): Dialled {
  return parseAuthority(context.authority) ?? context.local;
}

function endpointsOf({ host, port }: Dialled) {
  let scheme: number = AddressScheme.DOMAIN_NAME;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(host)) scheme = AddressScheme.IPV4;
  else if (host.includes(':')) scheme = AddressScheme.IPV6;
  return { scheme, addresses: [{ host, port }] };
}
