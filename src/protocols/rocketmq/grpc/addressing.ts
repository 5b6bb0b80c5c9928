// Where a partition is in RocketMQ's words. A topic's partitions are spread over S names of brokers that no
// machine has: partition p is queue `p div S` of name `p mod S`, for ever (docs/reference/rocketmq.md).
// Which node a name leads to is a hint that changes; every node serves every name.
import type { BrokerPicture, NodeAddress, TopicLog, TopicView } from './ports.ts';

const NAME_PREFIX = 'callboard-';

export function brokerName(index: number): string {
  return NAME_PREFIX + index;
}

/** The index of a name, or undefined for a name that is not ours. */
function nameIndex(name: string): number | undefined {
  if (!name.startsWith(NAME_PREFIX)) return undefined;
  const digits = name.slice(NAME_PREFIX.length);
  return /^(0|[1-9]\d{0,5})$/.test(digits) ? Number(digits) : undefined;
}

export interface QueuePlace {
  readonly partition: number;
  readonly nameIndex: number;
  readonly queueId: number;
}

export function placeOf(partition: number, brokerNames: number): QueuePlace {
  return {
    partition,
    nameIndex: partition % brokerNames,
    queueId: Math.floor(partition / brokerNames),
  };
}

/**
 * The logs of a topic that a name has. Whatever the queue id says: the official proxy gives a receiver
 * messages of all queues of the name, and clients count on it (the one for Node asks for queue 0 only).
 * A name that is not ours means all logs of the topic.
 */
export function logsOfName(topic: TopicView, name: string): readonly TopicLog[] {
  const index = nameIndex(name);
  if (index === undefined || index >= topic.brokerNames) return topic.logs;
  return topic.logs.filter((_log, partition) => partition % topic.brokerNames === index);
}

export interface Dialled {
  readonly host: string;
  readonly port: number;
}

/** host:port as clients write it, [host]:port for IPv6. Undefined if it is something else. */
export function parseAuthority(authority: string): Dialled | undefined {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:,[\]@/]+)):(\d{1,5})$/.exec(authority) ?? [];
  const host = bracketed ?? plain;
  const number = Number(port);
  if (host === undefined || !(number >= 1 && number <= 65_535)) return undefined;
  return { host, port: number };
}

const LOCAL_HOST = new Set(['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::', '']);

function hostClass(host: string): string {
  return LOCAL_HOST.has(host) ? 'this machine' : host;
}

/** The node that leads most of a name's logs; of several the lowest id. -1 if none of them is led. */
function hintedNode(logs: readonly TopicLog[]): number {
  const counts = new Map<number, number>();
  for (const { leaderNodeId } of logs) {
    if (leaderNodeId >= 0) counts.set(leaderNodeId, (counts.get(leaderNodeId) ?? 0) + 1);
  }
  let best = -1;
  for (const [nodeId, count] of counts) {
    const bestCount = counts.get(best) ?? 0;
    if (count > bestCount || (count === bestCount && nodeId < best)) best = nodeId;
  }
  return best;
}

/**
 * Where clients are told to find a name. This node's own address is the one that the client dialled, since
 * nothing else is known to work from there. When all nodes are on one host, the others are on that host too.
 */
export function addressOfName(
  picture: BrokerPicture,
  topic: TopicView,
  index: number,
  dialled: Dialled,
): Dialled {
  const nodes = picture.nodes();
  const hinted = hintedNode(logsOfName(topic, brokerName(index)));
  const node: NodeAddress | undefined = nodes.find(({ nodeId }) => nodeId === hinted);
  if (node === undefined || node.nodeId === picture.nodeId) return dialled;
  const hosts = new Set(nodes.map(({ host }) => hostClass(host)));
  return { host: hosts.size <= 1 ? dialled.host : node.host, port: node.port };
}
