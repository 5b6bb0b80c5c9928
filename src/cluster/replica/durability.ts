// What an answer waits for: the level that is asked for, and what the destination says that is enough. Nothing here
// changes what is committed, read or elected: a frame whose answer left early is written, sent and committed like all
// others, and if it is cut before that, it is the loss that its durability names.
import type { ReplyLevel } from '../../actors/durable/behavior.ts';
import type { Durability } from '../metadata/types.ts';

/** `received`: as many members of the safe set as a commit needs have the frame, in memory at least. */
export type AwaitedStep = 'nothing' | 'received' | 'local' | 'committed';

export function awaitedStep(level: ReplyLevel, durability: Durability): AwaitedStep {
  switch (level) {
    case 'none':
    case 'accepted':
      return 'nothing';
    case 'local':
      return durability === 'async' || durability === 'replicated' ? 'nothing' : 'local';
    case 'stored':
      if (durability === 'async') return 'nothing';
      return durability === 'replicated' ? 'received' : 'committed';
    case 'committed':
      return 'committed';
  }
}

/** So many bytes of a shard are answered for, or told as received, and not written; above, answers wait as those of `sync` do. */
export const EARLY_BYTES_MAX = 4 * 1024 * 1024;
