// Who leads a log. Runs inside apply, so one record about a node re-elects all its logs the same way
// everywhere. Invariant: outside elect-unclean a leader is a live member of the safe set, in the
// incarnation that the set names; every grant is a new epoch.
import type { MetadataImage } from './image.ts';
import { shardOf } from './placement.ts';
import { isLive, type LogRecord, NO_NODE, type NodeRecord } from './types.ts';

/** No incarnation of a node: in its place a `quorum` set goes on to list who lost what it had. */
export const NOBODY = 0;

/** What a set says of a replica: `alone` in it, one of several (`safe`), or not of it in this incarnation. */
export type Standing = 'alone' | 'safe' | 'outside';

/** A node that goes by a later incarnation has not what the set counts it for: it is nobody else who might. */
export function standingOf(
  image: { node(id: number): { readonly incarnation: number } | undefined },
  { safeSet }: Pick<LogRecord, 'safeSet'>,
  { id, incarnation }: { readonly id: number; readonly incarnation: number },
): Standing {
  const isMember = safeSet.some((each) => each.node === id && each.incarnation === incarnation);
  if (!isMember) return 'outside';
  const isOther = safeSet.some((each) => {
    if (each.node === id || each.incarnation === NOBODY) return false;
    return (image.node(each.node)?.incarnation ?? each.incarnation) === each.incarnation;
  });
  return isOther ? 'safe' : 'alone';
}

/** May `node` lead the log without loss? */
export function isCandidate(image: MetadataImage, log: LogRecord, node: number): boolean {
  const record = image.node(node);
  if (!isLive(record)) return false;
  return log.safeSet.some(
    (member) => member.node === node && member.incarnation === record.incarnation,
  );
}

/**
 * The next leader, or undefined: candidates of the shown ISR in assigned order, then the other
 * candidates; nodes that are about to stop or to leave only if nobody else is there.
 */
export function chooseLeader(
  image: MetadataImage,
  log: LogRecord,
  avoid: number = NO_NODE,
): number | undefined {
  const candidates = log.replicas.filter((node) => node !== avoid && isCandidate(image, log, node));
  const isStaying = (node: number) => {
    const { isDraining, isLeaving } = image.node(node)!;
    return !isDraining && !isLeaving;
  };
  const staying = candidates.filter(isStaying);
  const pool = staying.length > 0 ? staying : candidates;
  return pool.find((node) => log.isr.includes(node)) ?? pool[0];
}

/** The record with a new epoch granted to the present life of `node` and of the owning shard. */
export function grant(log: LogRecord, node: NodeRecord): LogRecord {
  const shard = shardOf(log.logId, node.shardIncarnations.length);
  return {
    ...log,
    leader: node.id,
    epoch: log.epoch + 1,
    leaderIncarnation: node.incarnation,
    leaderShardIncarnation: node.shardIncarnations[shard]!,
    isUncleanEpoch: false,
    isr: log.isr.includes(node.id) ? log.isr : [...log.isr, node.id].sort((a, b) => a - b),
    partitionEpoch: log.partitionEpoch + 1,
  };
}

/** The record with its epoch ended and nobody to follow. */
export function takeOffline(log: LogRecord): LogRecord {
  return {
    ...log,
    leader: NO_NODE,
    epoch: log.epoch + 1,
    leaderIncarnation: 0,
    leaderShardIncarnation: 0,
    isUncleanEpoch: false,
    partitionEpoch: log.partitionEpoch + 1,
  };
}

/** Ends the present epoch: somebody else leads, or nobody. */
export function reelect(image: MetadataImage, log: LogRecord, avoid: number = NO_NODE): LogRecord {
  const next = chooseLeader(image, log, avoid);
  return next === undefined ? takeOffline(log) : grant(log, image.node(next)!);
}
