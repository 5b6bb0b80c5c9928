// Destinations and their logs: created with placement and defaults decided once, grown, configured,
// deleted. A deleted log is named by a change, and its id never comes back. Explicit values are kept
// as given; defaults are clamped at creation and never follow the cluster afterwards.

import { UUID_BYTES } from '../../std/uuid.ts';
import { dropBindingsTo } from './apply-exchanges.ts';
import { type Applying, OK, refused, vhostFault } from './applying.ts';
import type {
  AddPartitions,
  ConfigureDestination,
  CreateDestinationCommand,
  DeleteDestination,
  Outcome,
} from './commands.ts';
import {
  type ClusterRules,
  DURABILITY,
  durabilityIn,
  readRules,
  settingsConflict,
  sortedConfig,
} from './destination-config.ts';
import { grant } from './election.ts';
import type { MetadataImage } from './image.ts';
import { isValidName } from './names.ts';
import {
  defaultMinInsync,
  defaultReplicationFactor,
  placementOrder,
  placeReplicas,
} from './placement.ts';
import type { PolicyRecord } from './policy-types.ts';
import { assignedBefore } from './reassignment.ts';
import { countedOf, mayCount } from './roles.ts';
import {
  type DestinationRecord,
  type Durability,
  type LogMode,
  type LogRecord,
  NO_NODE,
} from './types.ts';

const PARTITIONS_MAX = 10_000;

/** What a create command comes to on this image; nothing of it depends on anything else. */
interface Plan {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly mode: LogMode;
  readonly minInsync: number;
  readonly rules: ClusterRules;
  readonly config: readonly (readonly [string, string])[];
  readonly policy: string | undefined;
}

function planCreate(image: MetadataImage, command: CreateDestinationCommand): Plan | Outcome {
  const { name, vhost, assignments, topicId } = command;
  const fault = vhostFault(image, vhost);
  if (fault !== undefined) return fault;
  if (!isValidName(name)) return refused('invalid-name', 'a name has 1 to 255 printable bytes');
  if (command.logKind === 'queue') return refused('malformed', 'a queue is declared');
  if (command.logKind === 'actor') return refused('malformed', 'an actor is created by its kind');
  if (topicId.length !== UUID_BYTES) return refused('malformed', 'a topic id has 16 bytes');
  if (image.destination(vhost, name) !== undefined) return refused('exists', name);
  if (image.destinationByTopicId(topicId) !== undefined) return refused('exists', 'topic id');
  const policy = image.policies.match({
    vhost,
    name,
    kind: command.logKind,
    isInternal: command.isInternal,
    queue: undefined,
  });
  const rules = readRules(command.config, unnamedDurability(image, command, policy));
  if (typeof rules === 'string') return refused('invalid-config', rules);
  const partitions = assignments.length > 0 ? assignments.length : wantedPartitions(image, command);
  if (!(Number.isInteger(partitions) && partitions >= 1 && partitions <= PARTITIONS_MAX)) {
    return refused('invalid-partitions', `1 to ${PARTITIONS_MAX} partitions, not ${partitions}`);
  }
  if (assignments.length > 0 && command.partitions > 0 && command.partitions !== partitions) {
    return refused('invalid-assignment', 'the assignment and the partition count differ');
  }
  const isMemory = rules.durability === 'memory';
  const replicationFactor = assignments[0]?.length ?? wantedReplicas(image, command, isMemory);
  const counting: Counting = { durability: rules.durability, queue: undefined };
  const badly = assignmentFault(image, assignments, replicationFactor, counting);
  if (badly !== undefined) return refused('invalid-assignment', badly);
  const counted = countedIn(image, assignments[0], counting) ?? replicationFactor;
  const live = image.placeableNodes().length;
  const isPlaced = replicationFactor >= 1 && (assignments.length > 0 || replicationFactor <= live);
  if (!Number.isInteger(replicationFactor) || !isPlaced) {
    return refused(
      'invalid-replication-factor',
      `${replicationFactor} replicas, ${live} live nodes${onDisks(image)}`,
    );
  }
  if (isMemory && replicationFactor !== 1) {
    return refused('invalid-replication-factor', 'what is kept in memory has one replica');
  }
  const mode = chooseMode(command, counted);
  const minInsync = chooseMinInsync(command, rules, mode, counted);
  if (minInsync > counted) {
    return refused('invalid-config', `min in-sync ${minInsync} of ${counted} replicas`);
  }
  const config = sortedConfig(command.config);
  return { partitions, replicationFactor, mode, minInsync, rules, config, policy: policy?.name };
}

/** As the policy has it, unless `memory` does not go with what is asked for. */
function unnamedDurability(
  image: MetadataImage,
  { vhost, config, replicationFactor, assignments }: CreateDestinationCommand,
  policy: PolicyRecord | undefined,
): Durability {
  const { durability } = image.policies.rules(vhost, policy?.name);
  if (durability !== 'memory') return durability ?? 'sync';
  const replicas = assignments[0]?.length ?? replicationFactor;
  const isFit =
    (replicas === 1 || replicas === -1) && settingsConflict(withMemory(config)) === undefined;
  return isFit ? 'memory' : 'sync';
}

function withMemory(config: CreateDestinationCommand['config']): ReadonlyMap<string, string> {
  return new Map([...config, [DURABILITY, 'memory']]);
}

function wantedPartitions(image: MetadataImage, command: CreateDestinationCommand): number {
  return command.partitions === -1 ? image.defaults.partitions : command.partitions;
}

function wantedReplicas(
  image: MetadataImage,
  command: CreateDestinationCommand,
  isMemory: boolean,
): number {
  if (command.replicationFactor !== -1) return command.replicationFactor;
  if (isMemory) return 1;
  const live = image.placeableNodes().length;
  const { replicationFactor } = image.defaults;
  return replicationFactor === -1 ? defaultReplicationFactor(live) : replicationFactor;
}

function chooseMode(command: CreateDestinationCommand, replicas: number): LogMode {
  if (command.mode !== 'auto') return command.mode;
  return command.logKind === 'group' && replicas >= 3 ? 'quorum' : 'all';
}

function chooseMinInsync(
  command: CreateDestinationCommand,
  rules: ClusterRules,
  mode: LogMode,
  replicas: number,
): number {
  // k = m = a majority: fewer would let two leaders each find enough.
  if (mode === 'quorum') return Math.floor(replicas / 2) + 1;
  if (command.minInsync !== -1) return Math.max(1, command.minInsync);
  return rules.minInsync ?? defaultMinInsync(replicas);
}

/** How many of its replicas are in memory only, and count for nothing. As its factor: of those before a reassignment. */
function copiesOf(image: MetadataImage, log: LogRecord): number {
  const assigned = assignedBefore(log);
  return assigned.length - countedOf(image, log, assigned).length;
}

/** What of a destination says whether a replica on a RAM node counts. */
type Counting = Pick<LogRecord, 'durability'> & Pick<DestinationRecord, 'queue'>;

function countedIn(
  image: MetadataImage,
  nodes: readonly number[] | undefined,
  counting: Counting,
): number | undefined {
  const { durability } = counting;
  return nodes?.filter((node) => mayCount(image.node(node), durability, counting)).length;
}

/** Said where nodes that are live are not among those that are counted. */
function onDisks(image: MetadataImage): string {
  return image.liveNodes().some(({ role }) => role !== 'disk') ? ' with a disk' : '';
}

function assignmentFault(
  image: MetadataImage,
  assignments: readonly (readonly number[])[],
  replicas: number,
  counting: Counting,
): string | undefined {
  const counted = countedIn(image, assignments[0], counting);
  for (const [partition, nodes] of assignments.entries()) {
    if (nodes.length === 0) return `partition ${partition} has no replica`;
    if (nodes.length !== replicas) return `partition ${partition} has another number of replicas`;
    if (new Set(nodes).size !== nodes.length) return `partition ${partition} repeats a node`;
    const unknown = nodes.find((node) => image.node(node) === undefined);
    if (unknown !== undefined) return `node ${unknown} is not registered`;
    const leaving = nodes.find((node) => image.node(node)!.isLeaving);
    if (leaving !== undefined) return `node ${leaving} is leaving`;
    const witness = nodes.find((node) => image.node(node)!.role === 'witness');
    if (witness !== undefined) return `node ${witness} is a witness: it stores no logs`;
    if (!nodes.some((node) => image.isNodeLive(node)))
      return `partition ${partition}: none is live`;
    const isHeld = (node: number) =>
      image.isNodeLive(node) && mayCount(image.node(node), counting.durability, counting);
    if (!nodes.some(isHeld)) return `partition ${partition}: all that are live are RAM nodes`;
    if (countedIn(image, nodes, counting) !== counted)
      return `partition ${partition} has another number of replicas on RAM nodes`;
  }
  return undefined;
}

export function createDestination(applying: Applying, command: CreateDestinationCommand): Outcome {
  const plan = planCreate(applying.image, command);
  if ('kind' in plan) return plan;
  const destination: DestinationRecord = {
    name: command.name,
    vhost: command.vhost,
    topicId: command.topicId,
    kind: command.logKind,
    isInternal: command.isInternal,
    replicationFactor: plan.replicationFactor,
    config: plan.config,
    logIds: [],
    queue: undefined,
    policy: plan.policy,
  };
  const template = { mode: plan.mode, minInsync: plan.minInsync, ...pickRules(plan.rules) };
  const logIds = addLogs(applying, destination, template, plan.partitions, command.assignments);
  applying.createDestination({ ...destination, logIds });
  return OK;
}

/** What the logs of a destination have in common. */
export type LogTemplate = Pick<LogRecord, 'mode' | 'minInsync' | 'durability' | 'isUncleanAllowed'>;

function pickRules(rules: ClusterRules): Pick<LogRecord, 'durability' | 'isUncleanAllowed'> {
  return { durability: rules.durability, isUncleanAllowed: rules.isUncleanAllowed };
}

/** Makes `count` more logs, each led by its first live replica, and returns all ids. */
export function addLogs(
  applying: Applying,
  destination: DestinationRecord,
  template: LogTemplate,
  count: number,
  assignments: readonly (readonly number[])[],
): number[] {
  const { image } = applying;
  const order = placementOrder(image.placeableNodes());
  const logIds = [...destination.logIds];
  for (let i = 0; i < count; i += 1) {
    const replicas =
      assignments[i] ?? placeReplicas(order, image.placedLogs, destination.replicationFactor);
    const logId = image.nextLogId;
    image.nextLogId += 1;
    image.placedLogs += 1;
    applying.createLog(newLog(image, destination, template, logId, logIds.length, replicas));
    logIds.push(logId);
  }
  return logIds;
}

function newLog(
  image: MetadataImage,
  destination: DestinationRecord,
  template: LogTemplate,
  logId: number,
  partition: number,
  replicas: readonly number[],
): LogRecord {
  // An empty log is held by every live replica alike.
  const isHolder = (node: number) =>
    image.isNodeLive(node) && mayCount(image.node(node), template.durability, destination);
  const holders = [...replicas].sort((a, b) => a - b).filter(isHolder);
  const first = replicas.find(isHolder)!;
  const { vhost, name, kind } = destination;
  const log: LogRecord = {
    logId,
    kind,
    vhost,
    destination: name,
    partition,
    replicas: [...replicas],
    adding: [],
    removing: [],
    handsOver: false,
    assignedAt: 0,
    leader: NO_NODE,
    // Before the first grant: epochs of a log count from 1, so that 0 can mean none.
    epoch: 0,
    leaderIncarnation: 0,
    leaderShardIncarnation: 0,
    isUncleanEpoch: false,
    safeSet: holders.map((node) => ({ node, incarnation: image.node(node)!.incarnation })),
    isr: holders,
    partitionEpoch: -1,
    ...template,
  };
  return grant(log, image.node(first)!);
}

export function deleteDestination(applying: Applying, command: DeleteDestination): Outcome {
  const { image } = applying;
  const destination = image.destination(command.vhost, command.name);
  if (destination === undefined) return refused('unknown-destination', command.name);
  dropDestination(applying, destination);
  return OK;
}

/** With its logs and the bindings to it. */
export function dropDestination(applying: Applying, destination: DestinationRecord): void {
  const { image } = applying;
  const { vhost, name } = destination;
  dropBindingsTo(applying, vhost, 'queue', name);
  for (const logId of destination.logIds) applying.deleteLog(image.log(logId)!);
  image.removeDestination(destination);
  applying.changes.push({ kind: 'destination-deleted', vhost, name });
}

export function addPartitions(applying: Applying, command: AddPartitions): Outcome {
  const { image } = applying;
  const destination = image.destination(command.vhost, command.name);
  if (destination === undefined) return refused('unknown-destination', command.name);
  if (destination.queue !== undefined) return refused('invalid-partitions', 'a queue has one log');
  const { assignments, partitions } = command;
  const present = destination.logIds.length;
  const isGrowth = Number.isInteger(partitions) && partitions > present;
  if (!isGrowth || partitions > PARTITIONS_MAX) {
    return refused('invalid-partitions', `${present} partitions cannot become ${partitions}`);
  }
  if (assignments.length > 0 && assignments.length !== partitions - present) {
    return refused('invalid-assignment', 'the assignment and the partition count differ');
  }
  // New logs follow the rules of the present ones, and have as many replicas that count.
  const template = image.log(destination.logIds[0]!)!;
  const { mode, minInsync, durability, isUncleanAllowed } = template;
  const counting: Counting = { durability, queue: undefined };
  const fault = assignmentFault(image, assignments, destination.replicationFactor, counting);
  if (fault !== undefined) return refused('invalid-assignment', fault);
  const replicationFactor = destination.replicationFactor - copiesOf(image, template);
  const counted = countedIn(image, assignments[0], counting) ?? replicationFactor;
  if (counted !== replicationFactor) {
    const why = `${counted} replicas count, where the others have ${replicationFactor} that do`;
    return refused('invalid-assignment', why);
  }
  const live = image.placeableNodes().length;
  if (assignments.length === 0 && live < replicationFactor) {
    return refused('invalid-replication-factor', `${live} live nodes${onDisks(image)}`);
  }
  const rules = { mode, minInsync, durability, isUncleanAllowed };
  const growing = { ...destination, replicationFactor };
  const logIds = addLogs(applying, growing, rules, partitions - present, assignments);
  applying.changeDestination({ ...destination, logIds });
  return OK;
}

export function configureDestination(applying: Applying, command: ConfigureDestination): Outcome {
  const { image } = applying;
  const destination = image.destination(command.vhost, command.name);
  if (destination === undefined) return refused('unknown-destination', command.name);
  if (destination.queue !== undefined || destination.kind === 'actor') {
    const why = `${command.name} is a ${destination.kind}: what it is was decided when it was made`;
    return refused('invalid-config', why);
  }
  const merged = new Map<string, string>(command.replace ? [] : destination.config);
  for (const [key, value] of command.entries) {
    if (value === undefined) merged.delete(key);
    else merged.set(key, value);
  }
  const isMemory = destination.logIds.some((id) => image.log(id)!.durability === 'memory');
  const isNamed = durabilityIn(destination.config) !== undefined;
  // Decided when it was made: it stays where a whole new config does not name it.
  if (isMemory && isNamed && command.replace && !merged.has(DURABILITY)) {
    merged.set(DURABILITY, 'memory');
  }
  const config = sortedConfig([...merged]);
  const ofPolicy = image.policies.rules(destination.vhost, destination.policy).durability;
  const changing = ofPolicy === 'memory' ? 'sync' : (ofPolicy ?? 'sync');
  const rules = readRules(config, isMemory && !isNamed ? 'memory' : changing);
  if (typeof rules === 'string') return refused('invalid-config', rules);
  if (isMemory !== (rules.durability === 'memory')) {
    const why = `${DURABILITY}: whether it is "memory" is decided when the destination is made`;
    return refused('invalid-config', why);
  }
  const first = image.log(destination.logIds[0]!)!;
  const replicationFactor = destination.replicationFactor - copiesOf(image, first);
  const wanted = rules.minInsync ?? defaultMinInsync(replicationFactor);
  if (wanted > replicationFactor) {
    return refused('invalid-config', `min in-sync ${wanted} of ${replicationFactor} replicas`);
  }
  const hadMinInsync = destination.config.some(([key]) => key === 'min.insync.replicas');
  const isMinNamed = rules.minInsync !== undefined || hadMinInsync;
  applying.changeDestination({ ...destination, config });
  for (const logId of destination.logIds) {
    const log = image.log(logId)!;
    const minInsync = log.mode === 'all' && isMinNamed ? wanted : log.minInsync;
    changeRules(applying, log, { minInsync, mode: log.mode, ...pickRules(rules) });
  }
  return OK;
}

function changeRules(applying: Applying, log: LogRecord, rules: LogTemplate): void {
  const isSame =
    log.minInsync === rules.minInsync &&
    log.durability === rules.durability &&
    log.isUncleanAllowed === rules.isUncleanAllowed;
  if (isSame) return;
  applying.changeLog({ ...log, ...rules, partitionEpoch: log.partitionEpoch + 1 });
}
