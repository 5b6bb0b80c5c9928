// What a node's role makes of the replicas that lie on it. Two rules: a witness has none, and what a RAM node has of
// a log counts only where the log ends with the process anyway; of every other log it has a copy, which is in no set.
import type { MetadataImage } from './image.ts';
import type { QueueRules } from './routing-types.ts';
import type { DestinationRecord, Durability, LogRecord, NodeRecord } from './types.ts';

/** Fewest nodes that vote where more than one does: of two, the loss of either ends every change. */
const VOTERS_MIN = 3;

/** Do records of such a log live no longer than the process that has them? */
function endsWithProcess(durability: Durability, queue: QueueRules | undefined): boolean {
  if (durability === 'memory') return true;
  return queue !== undefined && (queue.owner !== undefined || !queue.durable);
}

/** The queue lives no longer than its node's process: it is exclusive or transient. */
export function endsWithNode(image: MetadataImage, log: LogRecord): boolean {
  if (log.kind !== 'queue') return false;
  const queue = image.destination(log.vhost, log.destination)?.queue;
  return endsWithProcess('sync', queue);
}

/** Its records are in the memory of one process, or it ends with it: there is nothing to move. */
export function staysOnItsNode(image: MetadataImage, log: LogRecord): boolean {
  return log.durability === 'memory' || endsWithNode(image, log);
}

/** May a replica of such a log on that node be in a safe set? For a log whose destination is not in the image yet. */
export function mayCount(
  node: NodeRecord | undefined,
  durability: Durability,
  { queue }: Pick<DestinationRecord, 'queue'>,
): boolean {
  if (node === undefined || node.role === 'witness') return false;
  return node.role === 'disk' || endsWithProcess(durability, queue);
}

/** May what that node has of the log be in a safe set? If not it is a copy: it follows, and counts for nothing. */
export function countsOn(image: MetadataImage, log: LogRecord, node: number): boolean {
  const role = image.node(node)?.role;
  if (role === undefined || role === 'witness') return false;
  return role === 'disk' || staysOnItsNode(image, log);
}

export function countedOf(
  image: MetadataImage,
  log: LogRecord,
  nodes: readonly number[],
): readonly number[] {
  return nodes.every((node) => image.node(node)?.role === 'disk')
    ? nodes
    : nodes.filter((node) => countsOn(image, log, node));
}

const NONE: readonly number[] = [];

/** The others: who has a copy only. Asked of every log: nothing is made where there is none. */
export function observersOf(
  image: MetadataImage,
  log: LogRecord,
  nodes: readonly number[],
): readonly number[] {
  const counted = countedOf(image, log, nodes);
  return counted.length === nodes.length ? NONE : nodes.filter((node) => !counted.includes(node));
}

/**
 * Why the nodes of these roles should not be all that vote in a cluster, as a sentence without its end; undefined:
 * they may. One that votes alone is no worse than a cluster of one node, and says so.
 */
export function votersFault(roles: readonly NodeRecord['role'][]): string | undefined {
  const disks = roles.filter((role) => role === 'disk').length;
  const witnesses = roles.filter((role) => role === 'witness').length;
  const voters = disks + witnesses;
  if (disks === 0) return 'no node would keep anything on disk: at least one is a disk node';
  if (voters > 1 && voters < VOTERS_MIN) {
    return 'two nodes that vote are no better than one, for the loss of either ends every change';
  }
  if (witnesses * 2 >= voters) {
    return `${witnesses} witnesses are not fewer than ${disks} disk nodes: what is committed might be on none`;
  }
  return undefined;
}
