// Logs in memory: one replica, gone with the shard that has it. A log whose records are gone is another log,
// with an id of its own: cursors, leases and numbers of clients that speak of the old one find nothing.

import type { Applying } from './applying.ts';
import { reelect } from './election.ts';
import { shardOf } from './placement.ts';
import type { LogRecord, NodeRecord } from './types.ts';

/** The process of the node, or the worker of one shard, is another one: it begins with empty logs. */
export function renewMemoryLogs(applying: Applying, node: NodeRecord, shard?: number): void {
  const { image } = applying;
  for (const logId of image.logsOn(node.id)) {
    const log = image.log(logId)!;
    if (log.durability !== 'memory') continue;
    if (shard !== undefined && shardOf(logId, node.shardIncarnations.length) !== shard) continue;
    renew(applying, log, node);
  }
}

/** Its epochs go on: clients take a lower one for old news. */
function renew(applying: Applying, log: LogRecord, node: NodeRecord): void {
  const { image } = applying;
  const destination = image.destination(log.vhost, log.destination)!;
  const logId = image.nextLogId;
  image.nextLogId += 1;
  applying.deleteLog(log);
  const safeSet = [{ node: node.id, incarnation: node.incarnation }];
  applying.createLog(reelect(image, { ...log, logId, safeSet, isr: [] }));
  const logIds = destination.logIds.map((id) => (id === log.logId ? logId : id));
  applying.changeDestination({ ...destination, logIds });
}
