// Mirrored queues: which a policy makes so, which nodes should have one now, and when its way of committing changes.
// Runs in apply and in the controller, over the image alone. A queue becomes mirrored, or ceases to be, by way of its
// reassignments: the rule changes with a new epoch, at a moment at which every member of its set holds everything, so that
// the set means the same under both.
import { grant, isCandidate } from './election.ts';
import type { MetadataImage } from './image.ts';
import { majorityRules, placementOrder, quorumRules, replicasByDefault } from './placement.ts';
import type { Mirrors } from './policy-types.ts';
import { countedOf } from './roles.ts';
import type { QueueRules } from './routing-types.ts';
import type { LogRecord } from './types.ts';

/** Exclusive, auto-delete and transient ones are the business of one node. */
export function staysOnNode({
  durable,
  autoDelete,
  owner,
}: Pick<QueueRules, 'durable' | 'autoDelete' | 'owner'>): boolean {
  return !durable || autoDelete || owner !== undefined;
}

interface Mirroring {
  readonly mirrors: Mirrors | undefined;
  readonly isQuorum: boolean;
}

/** Of a queue that moves: what a policy says of its mirrors, nothing of a quorum queue's. Undefined: another log. */
function mirroringOf(
  image: MetadataImage,
  { kind, durability, vhost, destination: name }: LogRecord,
): Mirroring | undefined {
  if (kind !== 'queue' || durability === 'memory') return undefined;
  const destination = image.destination(vhost, name);
  const queue = destination?.queue;
  if (queue === undefined || staysOnNode(queue)) return undefined;
  const isQuorum = queue.quorum !== undefined;
  const { mirrors } = image.policies.rules(vhost, destination?.policy);
  return { mirrors: isQuorum ? undefined : mirrors, isQuorum };
}

/** Undefined: no policy mirrors this log. */
export function mirrorsOf(image: MetadataImage, log: LogRecord): Mirrors | undefined {
  return mirroringOf(image, log)?.mirrors;
}

/** What a policy says that is there from now on, as far as it goes without a move. */
export function ruledByPolicy(image: MetadataImage, log: LogRecord): LogRecord {
  const mirroring = mirroringOf(image, log);
  if (mirroring === undefined) return log;
  const { mirrors } = mirroring;
  const isUncleanAllowed = mirrors?.promotesUnsynced === true;
  const minInsync = mirrors !== undefined && log.mode === 'all' ? 1 : log.minInsync;
  return { ...log, isUncleanAllowed, minInsync };
}

/** The record with the rule that its queue should have, once its set allows that: in an epoch of its own. */
export function withSettledMode(image: MetadataImage, log: LogRecord): LogRecord {
  const mirroring = mirroringOf(image, log);
  const leader = image.node(log.leader);
  if (mirroring === undefined || leader === undefined) return log;
  const areAllThere = log.safeSet.every(({ node }) => isCandidate(image, log, node));
  if (!areAllThere) return log;
  const size = log.safeSet.length;
  if (mirroring.mirrors !== undefined) {
    // As many as must hold a frame, and no more: each of them holds all that is committed.
    if (log.mode !== 'quorum' || size !== log.minInsync) return log;
    return grant({ ...log, mode: 'all', minInsync: 1 }, leader);
  }
  if (log.mode !== 'all' || size !== countedOf(image, log, log.replicas).length) return log;
  const rules = (mirroring.isQuorum ? quorumRules : majorityRules)(size);
  const isSame = rules.mode === 'all' && (!mirroring.isQuorum || rules.minInsync === log.minInsync);
  if (isSame) return log;
  return grant({ ...log, ...rules }, leader);
}

/** Fewer replicas than a majority rule would have: the step that makes a queue mirrored. */
export function isBecomingMirrored(
  image: MetadataImage,
  log: LogRecord,
  wanted: readonly number[],
): boolean {
  if (log.mode !== 'quorum' || mirrorsOf(image, log) === undefined) return false;
  const counted = countedOf(image, log, wanted).length;
  return counted === log.minInsync && wanted.every((node) => log.replicas.includes(node));
}

/** In order of preference: the oldest first, who came into the set last. Of a mirrored log that is not on its way. */
export function bySeniority(
  image: MetadataImage,
  log: LogRecord,
  safeSet: LogRecord['safeSet'],
): readonly number[] {
  if (log.mode !== 'all' || mirrorsOf(image, log) === undefined) return log.replicas;
  const isNew = (node: number) => {
    const was = log.safeSet.some((member) => member.node === node);
    return !was && safeSet.some((member) => member.node === node) && !log.removing.includes(node);
  };
  const { replicas, removing } = log;
  const old = replicas.filter((node) => !isNew(node) && !removing.includes(node));
  return [...old, ...replicas.filter(isNew), ...removing];
}

// ---- Which nodes should have it ---------------------------------------------------------------------

/** The replicas that a mirrored queue should have now, in order; undefined: as it is, or nobody can now. */
export function mirroredReplicas(
  image: MetadataImage,
  log: LogRecord,
): readonly number[] | undefined {
  const mirrors = mirrorsOf(image, log);
  if (mirrors === undefined || log.leader < 0) return undefined;
  if (log.mode === 'quorum') return fewest(image, log);
  const wanted = wantedNodes(image, log, mirrors);
  const isSame = wanted.length === log.replicas.length;
  if (wanted.length === 0) return undefined;
  return isSame && wanted.every((node) => log.replicas.includes(node)) ? undefined : wanted;
}

/** The leader and who is in sync, as many as must hold a frame. */
function fewest(image: MetadataImage, log: LogRecord): readonly number[] | undefined {
  const isFit = (node: number) => log.isr.includes(node) && isCandidate(image, log, node);
  const others = log.replicas.filter((node) => node !== log.leader && isFit(node));
  const kept = new Set([log.leader, ...others.slice(0, log.minInsync - 1)]);
  return kept.size < log.minInsync ? undefined : log.replicas.filter((node) => kept.has(node));
}

function wantedNodes(image: MetadataImage, log: LogRecord, mirrors: Mirrors): readonly number[] {
  const order = placementOrder(image.placeableNodes());
  const from = order.length === 0 ? 0 : log.logId % order.length;
  const others = [...order.slice(from), ...order.slice(0, from)].filter(
    (node) => !log.replicas.includes(node),
  );
  // A copy in memory is no mirror: the policy takes it away.
  const isStaying = (id: number) => {
    const node = image.node(id);
    return node?.isLeaving === false && node.role === 'disk';
  };
  switch (mirrors.kind) {
    case 'all':
      return [...log.replicas.filter(isStaying), ...others];
    case 'nodes': {
      const named = mirrors.nodes.filter((node) => order.includes(node));
      const kept = log.replicas.filter((node) => mirrors.nodes.includes(node) && isStaying(node));
      return [...kept, ...named.filter((node) => !log.replicas.includes(node))];
    }
    case 'exactly': {
      const { count } = mirrors;
      const kept = log.replicas.filter(isStaying);
      while (kept.length > count) {
        const youngest = [...kept].reverse().find((node) => node !== log.leader)!;
        kept.splice(kept.indexOf(youngest), 1);
      }
      return [...kept, ...others.slice(0, count - kept.length)];
    }
  }
}

/** The replicas of a queue that is mirrored no more: as many as one that is made now, those it has first. */
export function unmirroredReplicas(
  image: MetadataImage,
  log: LogRecord,
): readonly number[] | undefined {
  if (log.leader < 0 || log.mode !== 'all') return undefined;
  const order = placementOrder(image.placeableNodes());
  const count = replicasByDefault(image.defaults.replicationFactor, order.length);
  const present = log.replicas.filter((node) => node === log.leader || order.includes(node));
  const sorted = [log.leader, ...present.filter((node) => node !== log.leader)];
  const others = order.filter((node) => !log.replicas.includes(node));
  return [...sorted, ...others].slice(0, Math.max(1, count));
}
