// Queues: destinations of one log with rules of their own. Which die with a connection, a shard or a
// node is decided here, in the record that ends it, the same on every node.
import { UUID_BYTES } from '../../std/uuid.ts';
import { addLogs, dropDestination, type LogTemplate } from './apply-destinations.ts';
import { type Applying, differs, OK, refused, vhostFault } from './applying.ts';
import type { Outcome } from './commands.ts';
import type { MetadataImage } from './image.ts';
import { staysOnNode } from './mirrors.ts';
import { isValidName } from './names.ts';
import {
  majorityRules,
  placementOrder,
  placeReplicas,
  quorumRules,
  replicasByDefault,
} from './placement.ts';
import type { Mirrors, PolicyRules } from './policy-types.ts';
import { endsWithNode, mayCount } from './roles.ts';
import type {
  DeclareQueueCommand,
  DeleteQueueCommand,
  Difference,
  ReleaseOwnerCommand,
} from './routing-commands.ts';
import {
  type ComparedArgument,
  durabilityOf,
  isSameOwner,
  type QueueOwner,
  type QueueRules,
} from './routing-types.ts';
import { type DestinationRecord, type Durability, isLive, type LogRecord } from './types.ts';

const QUEUE_TYPE = 'x-queue-type';

export function declareQueue(applying: Applying, command: DeclareQueueCommand): Outcome {
  const { image } = applying;
  const { vhost, name } = command;
  const known = image.destination(vhost, name);
  if (known !== undefined) return agree(image, known, command);
  const fault = vhostFault(image, vhost) ?? creationFault(image, command);
  if (fault !== undefined) return fault;
  const { durable, autoDelete, owner } = command;
  const queue: QueueRules = {
    durable,
    autoDelete,
    owner,
    arguments: command.arguments,
    compared: sortedCompared(command.compared),
    ...(command.durability === undefined ? {} : { durability: command.durability }),
    ...(command.quorum === undefined ? {} : { quorum: command.quorum }),
  };
  const subject = { vhost, name, kind: 'queue', isInternal: false, queue } as const;
  const policy = image.policies.match(subject)?.name;
  const plan = planQueue(image, command, image.policies.rules(vhost, policy));
  const { replicationFactor, template, assignments } = plan;
  if (replicationFactor < 1) {
    return refused('invalid-replication-factor', `no node is live that could keep ${name}`);
  }
  const place = { topicId: command.topicId, replicationFactor, config: [], logIds: [], policy };
  const destination: DestinationRecord = { ...subject, ...place };
  const logIds = addLogs(applying, destination, template, 1, assignments);
  applying.createDestination({ ...destination, logIds });
  return OK;
}

interface QueuePlan {
  readonly replicationFactor: number;
  readonly template: LogTemplate;
  readonly assignments: readonly (readonly number[])[];
}

function planQueue(
  image: MetadataImage,
  command: DeclareQueueCommand,
  policy: PolicyRules,
): QueuePlan {
  const durability = command.durability ?? policy.durability ?? durabilityOf(command);
  const rest = { durability, isUncleanAllowed: false };
  const isLocal = staysOnNode(command) || durability === 'memory';
  if (!isLocal && policy.mirrors !== undefined) {
    const nodes = mirrorNodes(image, policy.mirrors, command.node);
    // The master takes publishes also when its mirrors are gone.
    const isUncleanAllowed = policy.mirrors.promotesUnsynced;
    const template: LogTemplate = { mode: 'all', minInsync: 1, durability, isUncleanAllowed };
    return { replicationFactor: nodes.length, template, assignments: [nodes] };
  }
  const isOne = isLocal || command.replicationFactor === 1;
  const most = isOne ? 1 : command.replicationFactor;
  // Where nothing of it would count it goes to a node where it does.
  const isHere = isOne && mayCount(image.node(command.node), durability, { queue: command });
  const replicationFactor = isHere ? 1 : wantedReplicas(image, most);
  const rulesOf = command.quorum === undefined ? majorityRules : quorumRules;
  const template = { ...rulesOf(replicationFactor), ...rest };
  return { replicationFactor, template, assignments: isHere ? [[command.node]] : [] };
}

/** The first that is live is the master, as far as the cluster chooses: in turns. Of disk nodes; none where none is live. */
function mirrorNodes(image: MetadataImage, mirrors: Mirrors, asking: number): readonly number[] {
  const disks = image.nodes().filter(({ role }) => role === 'disk');
  const order = placementOrder(disks.filter(isLive));
  if (order.length === 0) return [];
  switch (mirrors.kind) {
    case 'exactly':
      return placeReplicas(order, image.placedLogs, Math.min(mirrors.count, order.length));
    case 'all': {
      const down = disks.filter((node) => !isLive(node));
      return [...placeReplicas(order, image.placedLogs, order.length), ...down.map(({ id }) => id)];
    }
    case 'nodes': {
      const known = mirrors.nodes.filter((id) => image.node(id)?.role === 'disk');
      if (known.some((id) => order.includes(id))) return known;
      return order.includes(asking) ? [asking] : placeReplicas(order, image.placedLogs, 1);
    }
  }
}

function creationFault(image: MetadataImage, command: DeclareQueueCommand): Outcome | undefined {
  const { name, topicId, node: asking, owner, replicationFactor, quorum, durability } = command;
  if (!isValidName(name)) return refused('invalid-name', 'a name has 1 to 255 printable bytes');
  if (topicId.length !== UUID_BYTES) return refused('malformed', 'a topic id has 16 bytes');
  if (image.destinationByTopicId(topicId) !== undefined) return refused('exists', 'topic id');
  if (quorum !== undefined && (staysOnNode(command) || (durability ?? 'sync') !== 'sync')) {
    return refused('malformed', 'a quorum queue is durable, shared, kept and sync');
  }
  const isCount = Number.isInteger(replicationFactor) && replicationFactor >= 1;
  if (!isCount && replicationFactor !== -1) {
    return refused('invalid-replication-factor', `${replicationFactor} replicas`);
  }
  const node = image.node(asking);
  if (!isLive(node)) return refused('node-not-live', `node ${asking}`);
  if (owner === undefined) return undefined;
  if (owner.node !== asking) return refused('malformed', 'an owner asks on its own node');
  // A connection of an earlier life has ended already: nobody would ever release its queue.
  const isThisLife =
    owner.incarnation === node.incarnation &&
    node.shardIncarnations[owner.shard] === owner.shardIncarnation;
  return isThisLife ? undefined : refused('stale-incarnation', `node ${node.id}`);
}

function wantedReplicas(image: MetadataImage, wanted: number): number {
  const live = image.placeableNodes().length;
  if (wanted !== -1) return Math.min(live, wanted);
  return replicasByDefault(image.defaults.replicationFactor, live);
}

function sortedCompared(compared: readonly ComparedArgument[]): readonly ComparedArgument[] {
  return [...compared].sort((a, b) => (a.name < b.name ? -1 : 1));
}

// ---- Declared again ------------------------------------------------------------------------------

function agree(
  image: MetadataImage,
  known: DestinationRecord,
  command: DeclareQueueCommand,
): Outcome {
  const { queue, name } = known;
  if (queue === undefined) return refused('exists', `${name} is a ${known.kind} destination`);
  if (!isOwner(queue.owner, command.owner)) return refused('locked', name);
  const { durability } = image.log(known.logIds[0]!)!;
  const difference = queueDifference(queue, durability, command);
  return difference === undefined ? OK : differs(name, difference);
}

function isOwner(known: QueueOwner | undefined, asking: QueueOwner | undefined): boolean {
  if (known === undefined || asking === undefined) return known === asking;
  return isSameOwner(known, asking);
}

function queueDifference(
  known: QueueRules,
  inForce: Durability,
  wanted: DeclareQueueCommand,
): Difference | undefined {
  for (const property of ['durable', 'autoDelete'] as const) {
    if (known[property] === wanted[property]) continue;
    const received = String(wanted[property]);
    return { property, received, current: String(known[property]) };
  }
  const current = new Map(known.compared.map((argument) => [argument.name, argument]));
  const received = new Map(wanted.compared.map((argument) => [argument.name, argument]));
  const differing = (property: string): Difference | undefined => {
    const was = current.get(property);
    const now = received.get(property);
    if (was?.value === now?.value) return undefined;
    return { property, received: now?.shown, current: was?.shown };
  };
  // What else differs follows from it.
  const type = differing(QUEUE_TYPE);
  if (type !== undefined) return type;
  if (durabilityOf(known) !== durabilityOf(wanted)) {
    return {
      property: 'durability',
      received: wanted.durability,
      current: durabilityOf(known),
    };
  }
  // Nobody declared it before, and a policy has made something else of it.
  if (known.durability === undefined && wanted.durability !== undefined) {
    const { durability } = wanted;
    if (durability !== inForce) {
      return { property: 'durability', received: durability, current: inForce };
    }
  }
  for (const property of [...new Set([...current.keys(), ...received.keys()])].sort()) {
    const difference = differing(property);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

// ---- The end -------------------------------------------------------------------------------------

export function deleteQueue(applying: Applying, command: DeleteQueueCommand): Outcome {
  const destination = applying.image.destination(command.vhost, command.name);
  if (destination?.queue === undefined) return refused('unknown-destination', command.name);
  if (command.logId !== 0 && destination.logIds[0] !== command.logId) {
    return refused('stale-log', `${command.name} is now log ${destination.logIds[0]}`);
  }
  dropDestination(applying, destination);
  return OK;
}

export function releaseOwner(applying: Applying, command: ReleaseOwnerCommand): Outcome {
  for (const destination of applying.image.ownedBy(command.owner)) {
    dropDestination(applying, destination);
  }
  return OK;
}

/** The process of a node has ended or counts as ended. */
export function dropQueuesOfNode(applying: Applying, node: number): void {
  dropQueuesOn(applying, node, (_queue, log) => endsWithNode(applying.image, log));
}

/** The worker behind a shard has ended, and its connections with it. */
export function dropQueuesOfShard(applying: Applying, node: number, shard: number): void {
  dropQueuesOn(applying, node, ({ owner }) => owner?.shard === shard);
}

function dropQueuesOn(
  applying: Applying,
  node: number,
  isEnded: (queue: QueueRules, log: LogRecord) => boolean,
): void {
  const { image } = applying;
  for (const logId of image.logsOn(node)) {
    const log = image.log(logId)!;
    if (log.kind !== 'queue') continue;
    const destination = image.destination(log.vhost, log.destination)!;
    if (isEnded(destination.queue!, log)) dropDestination(applying, destination);
  }
}
