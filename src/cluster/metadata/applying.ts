// What every part of apply works with: the image, the list of changes, and refusals as values.
// Invariant: a refused command leaves the image as it was.
import type { MetadataChange, Outcome, RefusalCode } from './commands.ts';
import { isUncleanIn } from './destination-config.ts';
import type { MetadataImage } from './image.ts';
import { furthered, isReassigning } from './reassignment.ts';
import type { Difference } from './routing-commands.ts';
import type { DestinationRecord, LogRecord, NodeRecord } from './types.ts';

export const OK: Outcome = { kind: 'ok' };

export function refused(code: RefusalCode, message: string): Outcome {
  return { kind: 'refused', code, message };
}

/** What is declared is there already, and is something else. */
export function differs(name: string, difference: Difference): Outcome {
  const { property, received, current } = difference;
  const message = `${name}: ${property} is ${shown(current)}, not ${shown(received)}`;
  return { kind: 'refused', code: 'inequivalent', message, difference };
}

function shown(value: string | undefined): string {
  return value === undefined ? 'not given' : `"${value}"`;
}

/** undefined: there is such a vhost. */
export function vhostFault(image: MetadataImage, vhost: string): Outcome | undefined {
  if (image.access.hasVhost(vhost)) return undefined;
  return refused('unknown-vhost', `there is no vhost "${vhost}"`);
}

/** One command being applied. */
export class Applying {
  readonly image: MetadataImage;
  /** Of the entry in the metadata log. */
  readonly index: number;
  readonly changes: MetadataChange[] = [];

  constructor(image: MetadataImage, index: number) {
    this.image = image;
    this.index = index;
  }

  changeNode(node: NodeRecord): void {
    this.image.putNode(node);
    this.changes.push({ kind: 'node-changed', node: node.id });
  }

  createLog(log: LogRecord): void {
    this.image.putLog(log);
    this.changes.push({ kind: 'log-created', logId: log.logId });
  }

  /** And what follows from it for a reassignment that goes on. */
  changeLog(log: LogRecord): void {
    if (this.image.log(log.logId) === log) return;
    const next = furthered(this.image, this.#ruled(log));
    this.image.putLog(next);
    this.changes.push({ kind: 'log-changed', logId: log.logId });
    if (next.partition === 0 && !isReassigning(next)) this.#followReplicas(next);
  }

  /** What an operator allowed a log without a leader ends with the next one. */
  #ruled(log: LogRecord): LogRecord {
    if (!log.isUncleanAllowed || log.leader < 0) return log;
    if ((this.image.log(log.logId)?.leader ?? 0) >= 0) return log;
    const config = this.image.destination(log.vhost, log.destination)?.config ?? [];
    return isUncleanIn(config) ? log : { ...log, isUncleanAllowed: false };
  }

  /** New partitions, and what is asked of all, follow the replicas that the first one has. */
  #followReplicas({ vhost, destination: name, replicas }: LogRecord): void {
    const destination = this.image.destination(vhost, name);
    if (destination === undefined || destination.replicationFactor === replicas.length) return;
    this.changeDestination({ ...destination, replicationFactor: replicas.length });
  }

  deleteLog(log: LogRecord): void {
    this.image.removeLog(log);
    const { logId, replicas } = log;
    this.changes.push({ kind: 'log-deleted', logId, replicas });
  }

  createDestination(destination: DestinationRecord): void {
    this.image.putDestination(destination);
    const { vhost, name, isInternal } = destination;
    this.changes.push({ kind: 'destination-created', vhost, name, isInternal });
  }

  changeDestination(destination: DestinationRecord): void {
    this.image.putDestination(destination);
    const { vhost, name } = destination;
    this.changes.push({ kind: 'destination-changed', vhost, name });
  }
}

/** The node that a command is about, if it is still the incarnation it means. */
export function named(
  applying: Applying,
  command: { readonly node: number; readonly incarnation: number },
): NodeRecord | Outcome {
  const node = applying.image.node(command.node);
  if (node === undefined) return refused('unknown-node', `node ${command.node}`);
  if (node.incarnation === command.incarnation) return node;
  return refused('stale-incarnation', `node ${node.id} is now ${node.incarnation}`);
}
