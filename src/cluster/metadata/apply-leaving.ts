// Nodes that leave for good. A drain is a mark that outlives restarts: the controller moves leaders and replicas, log by
// log. (That of earlier versions moves the leaders itself.) A node that hosts nothing is taken out, and its data never comes back under its
// name: what others count on by now is elsewhere.
import { kindOfVhost } from './actor-kinds.ts';
import { type Applying, named, OK, refused } from './applying.ts';
import type { DeregisterNode, DrainNode, Outcome, RegisterNode } from './commands.ts';
import { chooseLeader, grant, NOBODY } from './election.ts';
import type { MetadataImage } from './image.ts';
import { mirrorsOf } from './mirrors.ts';
import { assignedOf } from './reassignment.ts';
import { countedOf, countsOn, staysOnItsNode, votersFault } from './roles.ts';
import type { LogRecord, NodeRecord } from './types.ts';

export function drainNode(applying: Applying, command: DrainNode): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  if (node.isLeaving === command.isLeaving) return OK;
  const { image } = applying;
  if (command.isLeaving) {
    const fault = drainFault(image, node);
    if (fault !== undefined) return fault;
  }
  applying.changeNode({ ...node, isLeaving: command.isLeaving });
  if (!command.isLeaving || command.handsOver === true) return OK;
  for (const logId of image.logsLedBy(node.id)) {
    const log = image.log(logId)!;
    const next = chooseLeader(image, log, node.id);
    // Who is not in sync would keep clients waiting: the log's own move brings somebody who is.
    if (next === undefined || !log.isr.includes(next)) continue;
    applying.changeLog(grant(log, image.node(next)!));
  }
  return OK;
}

function drainFault(image: MetadataImage, node: NodeRecord): Outcome | undefined {
  const others = image.placeableNodes().filter(({ id }) => id !== node.id);
  if (others.length === 0 && node.role === 'disk') {
    return refused('too-few-nodes', `node ${node.id} is the last one that could have replicas`);
  }
  for (const logId of image.logsOn(node.id)) {
    const log = image.log(logId)!;
    if (staysOnItsNode(image, log) || log.removing.includes(node.id)) continue;
    // A copy that nobody counts needs no other place.
    if (!countsOn(image, log, node.id)) continue;
    const wanted = countedOf(image, log, assignedOf(log)).length;
    const able = others.filter((other) => canHost(other, log));
    const what = `${log.destination}-${log.partition}`;
    // A mirrored queue is content with fewer.
    if (able.length < wanted && mirrorsOf(image, log) === undefined) {
      const why = `${what} has ${wanted} replicas, and without node ${node.id} there are ${able.length} nodes for them`;
      return refused('too-few-nodes', why);
    }
    const fault = lastInSync(log, node, what);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Somebody else is assigned, and is not in sync: the node is the last that has everything. */
function lastInSync(log: LogRecord, node: NodeRecord, what: string): Outcome | undefined {
  const isMember = log.safeSet.some(({ node: id, incarnation }) => {
    return id === node.id && incarnation !== NOBODY;
  });
  const hasOthers = log.replicas.some((id) => id !== node.id && !log.adding.includes(id));
  const isOtherInSync = log.isr.some((id) => id !== node.id);
  if (!isMember || !hasOthers || isOtherInSync) return undefined;
  return refused('last-in-sync', `node ${node.id} has the last in-sync replica of ${what}`);
}

/** The node stores logs, and brings what this one needs. */
export function canHost(node: NodeRecord, log: LogRecord): boolean {
  if (node.role === 'witness') return false;
  const kind = kindOfVhost(log.vhost);
  return kind === undefined || node.kinds.some(({ name }) => name === kind);
}

export function deregisterNode(applying: Applying, command: DeregisterNode): Outcome {
  const node = named(applying, command);
  if ('kind' in node) return node;
  const { image } = applying;
  if (!node.isFenced && !node.isLeaving) {
    return refused('node-in-use', `node ${node.id} is live: drain it first`);
  }
  const hosted = image.logsOn(node.id);
  if (hosted.length > 0) {
    const log = image.log(hosted[0]!)!;
    const what = `${hosted.length} replicas, of ${log.destination}-${log.partition} among others`;
    return refused('node-in-use', `node ${node.id} has ${what}`);
  }
  const staying = image.nodes().filter(({ id }) => id !== node.id);
  const votersLeft = node.role === 'ram' ? undefined : votersFault(staying.map(({ role }) => role));
  if (votersLeft !== undefined) {
    const how = 'add a disk node first';
    return refused('too-few-voters', `without node ${node.id} ${votersLeft}; ${how}`);
  }
  image.removeNode(node.id);
  image.putRemoved(node.id, node.incarnation);
  applying.changes.push({ kind: 'node-removed', node: node.id });
  return OK;
}

/** Why data of a node that was taken out does not come back; a new folder under its number does. */
export function removalFault(
  image: MetadataImage,
  command: Pick<RegisterNode, 'node' | 'incarnation' | 'previousIncarnation'>,
): Outcome | undefined {
  const { node, incarnation, previousIncarnation } = command;
  const removed = image.removedIncarnation(node);
  if (removed === undefined) return undefined;
  // Data has a past: its own name, or the one before.
  const isOld = previousIncarnation !== 0 && incarnation <= removed;
  if (isOld || incarnation === removed || previousIncarnation === removed) {
    const why = `node ${node} was removed from the cluster: give it an empty folder to join as a new node`;
    return refused('node-removed', why);
  }
  if (incarnation > removed) return undefined;
  return refused('new-incarnation-needed', `node ${node} was already known as ${removed}`);
}
