// Durable actors of applications: destinations of one log, in a vhost of their kind, placed on live nodes that bring
// the kind in the version of whoever asks.
import { UUID_BYTES } from '../../std/uuid.ts';
import { actorVhost, isSameKind } from './actor-kinds.ts';
import { addLogs, dropDestination, type LogTemplate } from './apply-destinations.ts';
import { type Applying, differs, OK, refused } from './applying.ts';
import type { CreateActor, DeleteActor, Outcome } from './commands.ts';
import type { MetadataImage } from './image.ts';
import { isValidName } from './names.ts';
import { majorityRules, placementOrder, placeReplicas, replicasByDefault } from './placement.ts';
import type { DestinationRecord, NodeRecord } from './types.ts';

/** Over all kinds. */
const ACTORS_MAX = 100_000;

export function createActor(applying: Applying, command: CreateActor): Outcome {
  const { image } = applying;
  const { actor, name, topicId } = command;
  const vhost = actorVhost(actor.name);
  const known = image.destination(vhost, name);
  if (known !== undefined) return agree(image, known, command);
  if (!isValidName(name)) return refused('invalid-name', 'a name has 1 to 255 printable bytes');
  if (topicId.length !== UUID_BYTES) return refused('malformed', 'a topic id has 16 bytes');
  if (image.destinationByTopicId(topicId) !== undefined) return refused('exists', 'topic id');
  if (image.actorCount >= ACTORS_MAX) {
    return refused('too-many', `there are ${ACTORS_MAX} actors, and no more may be`);
  }
  const live = image.placeableNodes();
  const hosts = live.filter(({ kinds }) => kinds.some((kind) => isSameKind(kind, actor)));
  const replicationFactor = wantedReplicas(image, command.replicationFactor, hosts);
  const isCount = Number.isInteger(replicationFactor) && replicationFactor >= 1;
  if (!isCount || replicationFactor > hosts.length) {
    const without = live.filter((node) => !hosts.includes(node)).map(({ id }) => id);
    const who = without.length === 0 ? '' : `; nodes ${without.join(', ')} do not bring it`;
    const text = `${replicationFactor} replicas of ${actor.name} version ${actor.version}`;
    const found = `${hosts.length} live nodes bring it`;
    return refused('invalid-replication-factor', `${text}, ${found}${who}`);
  }
  const template = rulesOf(replicationFactor, command.minInsync);
  if (template === undefined) {
    const text = `min in-sync ${command.minInsync} of ${replicationFactor} replicas`;
    return refused('invalid-config', text);
  }
  const destination: DestinationRecord = {
    name,
    vhost,
    topicId,
    kind: 'actor',
    isInternal: true,
    replicationFactor,
    config: [],
    logIds: [],
    queue: undefined,
    policy: undefined,
  };
  const replicas = placeReplicas(placementOrder(hosts), image.placedLogs, replicationFactor);
  const logIds = addLogs(applying, destination, template, 1, [replicas]);
  applying.createDestination({ ...destination, logIds });
  return OK;
}

function wantedReplicas(
  image: MetadataImage,
  wanted: number,
  hosts: readonly NodeRecord[],
): number {
  if (wanted !== -1) return wanted;
  return replicasByDefault(image.defaults.replicationFactor, Math.max(1, hosts.length));
}

/** As queues. Whoever names a minimum has all that are in sync. */
function rulesOf(replicas: number, minInsync: number): LogTemplate | undefined {
  const rest = { durability: 'sync', isUncleanAllowed: false } as const;
  if (minInsync !== -1) {
    const isCount = Number.isInteger(minInsync) && minInsync >= 1 && minInsync <= replicas;
    return isCount ? { mode: 'all', minInsync, ...rest } : undefined;
  }
  return { ...majorityRules(replicas), ...rest };
}

/** Made again: what is named must be what is there. */
function agree(image: MetadataImage, known: DestinationRecord, command: CreateActor): Outcome {
  const current = {
    replicationFactor: known.replicationFactor,
    minInsync: image.log(known.logIds[0]!)!.minInsync,
  };
  for (const property of ['replicationFactor', 'minInsync'] as const) {
    const wanted = command[property];
    if (wanted === -1 || wanted === current[property]) continue;
    const difference = { property, received: `${wanted}`, current: `${current[property]}` };
    return differs(known.name, difference);
  }
  return OK;
}

export function deleteActor(applying: Applying, command: DeleteActor): Outcome {
  const { actorKind, name, logId } = command;
  const destination = applying.image.destination(actorVhost(actorKind), name);
  if (destination === undefined) return refused('unknown-destination', name);
  if (logId !== 0 && destination.logIds[0] !== logId) {
    return refused('stale-log', `${name} is now log ${destination.logIds[0]}`);
  }
  dropDestination(applying, destination);
  return OK;
}
