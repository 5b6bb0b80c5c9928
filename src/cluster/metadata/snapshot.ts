// The image as bytes, and back. Canonical: equal images give equal bytes on every node, so the hash
// of a snapshot is the hash of the state. Unreadable bytes throw and leave the image as it was: what
// cannot be read is never taken for empty.
//
//   version u8 | scalars | nodes | destinations | logs | settings, each a sorted list
//   from version 2 on: rules of a queue behind its destination, and at the end
//   exchanges, sorted | bindings in the order in which they were made
//   from version 3 on: kinds of durable actors at the end of a node
//   from version 4 on: the name of its policy behind a destination, and at the end policies, sorted
//   from version 5 on: the reassignment at the end of a log, a flag of nodes that leave, and behind the policies
//   nodes that were taken out, sorted
//   from version 6 on: queues may be quorum queues, and policies for them; nothing else is different
//   from version 7 on: the role at the end of a node
//   from version 8 on: a flag of logs whose leader hands over at the end of a reassignment; nothing else is different
//   from version 9 on: users, vhosts and permissions behind the nodes that were taken out, sorted

import { ByteReader, BytesError, ByteWriter } from '../../std/bytes.ts';
import { crc32c } from '../../std/crc32c.ts';
import { readPermission, readUser, writePermission, writeUser } from './access-codec.ts';
import { permissionFault, userFault } from './access-faults.ts';
import { DEFAULT_VHOST, type PermissionRecord, type UserRecord } from './access-types.ts';
import {
  readEndpoints,
  readKind,
  readList,
  readLogKind,
  readMode,
  readNodeIds,
  readOptionalText,
  readPairs,
  readRole,
  readSafeSet,
  writeEndpoints,
  writeKind,
  writeList,
  writeLogKind,
  writeMode,
  writeNodeIds,
  writeOptionalText,
  writePairs,
  writeRole,
  writeSafeSet,
} from './fields.ts';
import type { MetadataImage } from './image.ts';
import { readPolicy, writePolicy } from './policy-codec.ts';
import { policyTextFault } from './policy-definition.ts';
import type { PolicyRecord } from './policy-types.ts';
import {
  readBinding,
  readExchange,
  readQueueRules,
  writeBinding,
  writeExchange,
  writeQueueRules,
} from './routing-fields.ts';
import { type DestinationRecord, DURABILITIES, type LogRecord, type NodeRecord } from './types.ts';

/** What is written. */
export const SNAPSHOT_VERSION = 9;
const VERSION = SNAPSHOT_VERSION;
/** Before vhosts, users and permissions. Still read. */
const VERSION_WITHOUT_ACCESS = 8;
/** Before roles: all were disk nodes. Still read. */
const VERSION_WITHOUT_ROLES = 6;
/** Before policies. Still read. */
const VERSION_WITHOUT_POLICIES = 3;
/** Before replicas of logs could change. Still read. */
const VERSION_WITHOUT_REASSIGNMENTS = 4;
/** Before kinds of actors. Still read. */
const VERSION_WITHOUT_KINDS = 2;
/** Before there were exchanges and queues. Still read. */
const VERSION_WITHOUT_ROUTING = 1;

/** The canonical bytes of the image. */
export function snapshotImage(image: MetadataImage): Uint8Array {
  const out = new ByteWriter(4096);
  out.u8(VERSION);
  out.varU53(image.version);
  out.text(image.clusterId);
  out.varI53(image.defaults.partitions);
  out.varI53(image.defaults.replicationFactor);
  out.varU53(image.nextLogId);
  out.varU53(image.placedLogs);
  writeList(out, image.nodes(), writeNode);
  writeList(out, image.destinations(), writeDestination);
  writeList(out, image.logs(), writeLog);
  writeList(out, image.settings(), (to, [key, value]) => {
    to.text(key);
    to.sized(value);
  });
  writeList(out, image.routing.exchanges(), writeExchange);
  writeList(out, [...image.routing.bindings()], writeBinding);
  writeList(out, image.policies.policies(), writePolicy);
  writeList(out, image.removedNodes(), (to, { id, incarnation }) => {
    to.varI53(id);
    to.varU53(incarnation);
  });
  writeList(out, image.access.users(), writeUser);
  writeList(out, image.access.vhosts(), (to, name) => to.text(name));
  writeList(out, image.access.permissions(), writePermission);
  return out.toBytes();
}

/** CRC-32C of the canonical bytes: equal on every node at equal versions. */
export function hashImage(image: MetadataImage): number {
  return crc32c(snapshotImage(image));
}

/** Replaces everything in `image`. Throws BytesError and changes nothing if the bytes are bad. */
export function restoreImage(image: MetadataImage, bytes: Uint8Array): void {
  const input = new ByteReader(bytes);
  const format = input.u8();
  if (format < VERSION_WITHOUT_ROUTING || format > VERSION) {
    throw new BytesError('BYTES_TRUNCATED', 'unknown metadata snapshot version', { format });
  }
  const version = input.varU53();
  const clusterId = input.text();
  const partitions = input.varI53();
  const defaults = { partitions, replicationFactor: input.varI53() };
  const nextLogId = input.varU53();
  const placedLogs = input.varU53();
  const nodes = readList(input, (from) => readNode(from, format));
  const hasRouting = format !== VERSION_WITHOUT_ROUTING;
  const hasPolicies = format > VERSION_WITHOUT_POLICIES;
  const destinations = readList(input, (from) => readDestination(from, hasRouting, hasPolicies));
  const hasReassignments = format > VERSION_WITHOUT_REASSIGNMENTS;
  const logs = readList(input, (from) => readLog(from, hasReassignments));
  const settings = readList(input, (from) => [from.text(), from.sized().slice()] as const);
  const exchanges = hasRouting ? readList(input, readExchange) : [];
  const bindings = hasRouting ? readList(input, readBinding) : [];
  const policies = hasPolicies ? readList(input, readSoundPolicy) : [];
  const readRemoved = (from: ByteReader) => [from.varI53(), from.varU53()] as const;
  const removed = hasReassignments ? readList(input, readRemoved) : [];
  const access = format > VERSION_WITHOUT_ACCESS ? readAccess(input) : undefined;
  if (input.remaining > 0) {
    throw new BytesError('BYTES_TRUNCATED', 'bytes behind a metadata snapshot');
  }
  image.clear();
  Object.assign(image, { version, clusterId, defaults, nextLogId, placedLogs });
  for (const node of nodes) image.putNode(node);
  for (const destination of destinations) image.putDestination(destination);
  for (const log of logs) image.putLog(log);
  for (const [key, value] of settings) image.putSetting(key, value);
  for (const exchange of exchanges) image.routing.putExchange(exchange);
  for (const binding of bindings) image.routing.putBinding(binding);
  for (const policy of policies) image.policies.put(policy);
  for (const [id, incarnation] of removed) image.putRemoved(id, incarnation);
  if (access !== undefined) putAccess(image, access);
}

interface Access {
  readonly users: readonly UserRecord[];
  readonly vhosts: readonly string[];
  readonly permissions: readonly PermissionRecord[];
}

function readAccess(input: ByteReader): Access {
  const users = readList(input, readUser);
  const vhosts = readList(input, (from) => from.text());
  const permissions = readList(input, readPermission);
  const faults = [...users.map(userFault), ...permissions.map(permissionFault)];
  const fault = faults.find((each) => each !== undefined);
  if (fault !== undefined) throw new BytesError('BYTES_TRUNCATED', 'who may do what', { fault });
  return { users, vhosts, permissions };
}

function putAccess({ access }: MetadataImage, { users, vhosts, permissions }: Access): void {
  access.clearAll();
  for (const user of users) access.putUser(user);
  for (const name of vhosts) if (name !== DEFAULT_VHOST) access.putVhost(name);
  for (const permission of permissions) access.putPermission(permission);
}

/** One that says nothing to this version must not be taken for silent. */
function readSoundPolicy(input: ByteReader): PolicyRecord {
  const policy = readPolicy(input);
  const fault = policyTextFault(policy);
  if (fault !== undefined) throw new BytesError('BYTES_TRUNCATED', 'a policy', { fault });
  return policy;
}

function writeNode(out: ByteWriter, node: NodeRecord): void {
  out.varI53(node.id);
  out.varU53(node.incarnation);
  out.varU53(node.bootCounter);
  out.text(node.osBootId);
  out.varU53(node.pid);
  writeOptionalText(out, node.rack);
  writeEndpoints(out, node.endpoints);
  out.u8(node.firstShardThread);
  writeNodeIds(out, node.shardIncarnations);
  out.u8((node.isFenced ? 1 : 0) | (node.isDraining ? 2 : 0) | (node.isLeaving ? 4 : 0));
  writeList(out, node.kinds, writeKind);
  writeRole(out, node.role);
}

function readNode(input: ByteReader, format: number): NodeRecord {
  const id = input.varI53();
  const incarnation = input.varU53();
  const bootCounter = input.varU53();
  const osBootId = input.text();
  const pid = input.varU53();
  const rack = readOptionalText(input);
  const endpoints = readEndpoints(input);
  const firstShardThread = input.u8();
  const shardIncarnations = readNodeIds(input);
  const flags = input.u8();
  const kinds = format > VERSION_WITHOUT_KINDS ? readList(input, readKind) : [];
  const role = format > VERSION_WITHOUT_ROLES ? readRole(input) : 'disk';
  const life = { id, role, incarnation, bootCounter, osBootId, pid };
  const marks = {
    isFenced: (flags & 1) !== 0,
    isDraining: (flags & 2) !== 0,
    isLeaving: (flags & 4) !== 0,
  };
  return { ...life, rack, endpoints, firstShardThread, shardIncarnations, kinds, ...marks };
}

function writeDestination(out: ByteWriter, destination: DestinationRecord): void {
  out.text(destination.vhost);
  out.text(destination.name);
  out.sized(destination.topicId);
  writeLogKind(out, destination.kind);
  out.u8(destination.isInternal ? 1 : 0);
  out.varU53(destination.replicationFactor);
  writePairs(out, destination.config);
  writeNodeIds(out, destination.logIds);
  out.u8(destination.queue === undefined ? 0 : 1);
  if (destination.queue !== undefined) writeQueueRules(out, destination.queue);
  writeOptionalText(out, destination.policy);
}

function readDestination(
  input: ByteReader,
  hasRouting: boolean,
  hasPolicies: boolean,
): DestinationRecord {
  const vhost = input.text();
  const name = input.text();
  const topicId = input.sized().slice();
  const kind = readLogKind(input);
  const isInternal = input.u8() !== 0;
  const replicationFactor = input.varU53();
  const config = readPairs(input);
  const logIds = readNodeIds(input);
  const queue = hasRouting && input.u8() !== 0 ? readQueueRules(input) : undefined;
  const policy = hasPolicies ? readOptionalText(input) : undefined;
  const rules = { replicationFactor, config, logIds, queue, policy };
  return { vhost, name, topicId, kind, isInternal, ...rules };
}

function writeLog(out: ByteWriter, log: LogRecord): void {
  out.varU53(log.logId);
  writeLogKind(out, log.kind);
  out.text(log.vhost);
  out.text(log.destination);
  out.varU53(log.partition);
  writeNodeIds(out, log.replicas);
  out.varI53(log.leader);
  out.varI53(log.epoch);
  out.varU53(log.leaderIncarnation);
  out.varU53(log.leaderShardIncarnation);
  writeSafeSet(out, log.safeSet);
  writeNodeIds(out, log.isr);
  out.varI53(log.partitionEpoch);
  writeMode(out, log.mode);
  out.varU53(log.minInsync);
  out.u8(DURABILITIES.indexOf(log.durability));
  const { isUncleanEpoch, isUncleanAllowed, handsOver } = log;
  out.u8((isUncleanEpoch ? 1 : 0) | (isUncleanAllowed ? 2 : 0) | (handsOver ? 4 : 0));
  writeNodeIds(out, log.adding);
  writeNodeIds(out, log.removing);
  out.varU53(log.assignedAt);
}

function readLog(input: ByteReader, hasReassignments: boolean): LogRecord {
  const logId = input.varU53();
  const kind = readLogKind(input);
  const place = { vhost: input.text(), destination: input.text(), partition: input.varU53() };
  const replicas = readNodeIds(input);
  const leader = input.varI53();
  const epoch = input.varI53();
  const leaderIncarnation = input.varU53();
  const leaderShardIncarnation = input.varU53();
  const safeSet = readSafeSet(input);
  const isr = readNodeIds(input);
  const partitionEpoch = input.varI53();
  const mode = readMode(input);
  const minInsync = input.varU53();
  const durability = DURABILITIES[input.u8()];
  const flags = input.u8();
  const reassignment = hasReassignments
    ? { adding: readNodeIds(input), removing: readNodeIds(input), assignedAt: input.varU53() }
    : { adding: [], removing: [], assignedAt: 0 };
  if (mode === 'auto' || durability === undefined) {
    throw new BytesError('BYTES_TRUNCATED', 'a log of an unknown mode', { logId });
  }
  return {
    logId,
    kind,
    ...place,
    replicas,
    ...reassignment,
    handsOver: (flags & 4) !== 0,
    leader,
    epoch,
    leaderIncarnation,
    leaderShardIncarnation,
    isUncleanEpoch: (flags & 1) !== 0,
    safeSet,
    isr,
    partitionEpoch,
    mode,
    minInsync,
    durability,
    isUncleanAllowed: (flags & 2) !== 0,
  };
}
