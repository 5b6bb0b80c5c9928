// How far a replica of an offline log reaches, for whoever may have to elect one at the price of loss.
import type { LogStatus } from '../ports.ts';

export interface Survivor {
  readonly node: number;
  readonly lastEpoch: number;
  readonly endSeq: number;
}

/**
 * What a node's answer makes of it as a leader of the log; undefined: nothing. A replica that has failed would lead
 * nobody, however far it reaches: elected as the longest, it would keep out a shorter one that is sound, for good.
 */
export function survivorOf(
  node: number,
  logId: number,
  statuses: readonly LogStatus[],
): Survivor | undefined {
  const found = statuses.find((status) => status.logId === logId);
  if (found === undefined || found.role === 'failed') return undefined;
  return { node, lastEpoch: found.lastEpoch, endSeq: found.endSeq };
}
