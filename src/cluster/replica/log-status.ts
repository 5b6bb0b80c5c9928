// One replica as its node shows it, for status pages and for who may have to elect it.
import type { LogStatus } from '../ports.ts';
import type { HostedLog } from './hosted-log.ts';
import type { LostRecords } from './unclean.ts';

export function statusOf(hosted: HostedLog, lost: LostRecords | undefined): LogStatus {
  const { logId, stored, leader } = hosted;
  const committedSeq = leader?.core.committedSeq ?? stored.committedSeq;
  return {
    logId,
    role: roleOf(hosted),
    epoch: hosted.role?.epoch ?? 0,
    lastEpoch: stored.lastEpoch,
    startOffset: stored.startOffset,
    committedOffset: stored.offsetAt(committedSeq) ?? stored.startOffset,
    endOffset: stored.endOffset,
    endSeq: stored.endSeq,
    committedSeq,
    uncleanFrom: uncleanFrom(hosted),
    lostFrom: lost?.fromOffset ?? -1,
    lostCommittedTo: lost?.committedTo ?? -1,
    lostTo: lost?.toOffset ?? -1,
  };
}

function roleOf({ failure, leader }: HostedLog): LogStatus['role'] {
  if (failure !== undefined) return 'failed';
  if (leader === undefined) return 'follower';
  return leader.isActive ? 'leader' : 'starting';
}

function uncleanFrom({ leader, machine }: HostedLog): number {
  if (leader?.isUnclean !== true) return -1;
  const begun = machine.epochs.entries().find(({ epoch }) => epoch === leader.epoch);
  return begun?.startOffset ?? -1;
}
