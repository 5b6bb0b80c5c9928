// What a leader that recovers lacks, copied from the member that has it, frame by frame. The core may choose
// another source or ask for a cut meanwhile: what comes then is dropped.
import type { Leader } from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import type { LogContext } from './role.ts';

export interface Missing {
  readonly node: number;
  readonly fromSeq: number;
  readonly throughSeq: number;
}

/** Tells the core what was appended. Never rejects for what the other side did: the core hears that it is lost. */
export async function copyMissing(
  context: Pick<LogContext, 'peers' | 'stored' | 'logId' | 'log'>,
  core: Leader,
  missing: Missing,
  isStopped: () => boolean,
): Promise<void> {
  const { peers, stored, logId, log } = context;
  const { node, throughSeq } = missing;
  try {
    for (let { fromSeq } = missing; ; fromSeq = stored.endSeq + 1) {
      const input = await peers.pullFrames(node, logId, fromSeq, throughSeq);
      if (isStopped()) return;
      const beforeSeq = stored.endSeq;
      let previousChain = input.previousChain;
      for (const frame of input.frames) {
        if (core.phase !== 'recovering' || !core.isSettled) return;
        const isNext = frame.seq === stored.endSeq + 1 && previousChain === stored.chain;
        previousChain = frame.chain;
        if (!isNext) continue;
        const taken = stored.appendReplica(frame, frame.events, frame.batch, true);
        if (taken !== 'ok') throw new Error(`recovery: frame ${frame.seq} was refused: ${taken}`);
        core.appended(frame.seq, frame.epoch, frame.chain);
      }
      if (stored.endSeq === beforeSeq) throw new Error(`frame ${fromSeq} did not come`);
      if (stored.endSeq >= throughSeq || core.phase !== 'recovering') return;
    }
  } catch (error) {
    log.warn('recovery read failed', { logId, node, error: messageOf(error) });
    // It greets again, and the copy begins anew with what is missing then.
    if (!isStopped()) core.followerLost(node);
  }
}
