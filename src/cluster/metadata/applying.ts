// What every part of apply works with: the image, the list of changes, and refusals as values.
// Invariant: a refused command leaves the image as it was.
import type { MetadataChange, Outcome, RefusalCode } from './commands.ts';
import type { MetadataImage } from './image.ts';
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

/** One command being applied. */
export class Applying {
  readonly image: MetadataImage;
  readonly changes: MetadataChange[] = [];

  constructor(image: MetadataImage) {
    this.image = image;
  }

  changeNode(node: NodeRecord): void {
    this.image.putNode(node);
    this.changes.push({ kind: 'node-changed', node: node.id });
  }

  createLog(log: LogRecord): void {
    this.image.putLog(log);
    this.changes.push({ kind: 'log-created', logId: log.logId });
  }

  changeLog(log: LogRecord): void {
    if (this.image.log(log.logId) === log) return;
    this.image.putLog(log);
    this.changes.push({ kind: 'log-changed', logId: log.logId });
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
