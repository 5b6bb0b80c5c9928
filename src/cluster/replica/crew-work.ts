// What the logs of a shard have done on the threads of the node's crew: compaction, and searches for records. Joined
// here to the system and the store of the shard.
import { compactionBy } from '../../storage/compaction/work.ts';
import { recordWorkBy } from '../../storage/record-index/work.ts';
import { Compactions } from './compactions.ts';
import type { LogHostConfig } from './log-host-config.ts';
import { RecordSearches } from './record-searches.ts';

/** Calls back after so many milliseconds, in a turn of its own. */
type Later = (delayMs: number, fire: () => void) => void;

export function compactionsOf(config: LogHostConfig, after: Later): Compactions {
  const { system, store, log, compaction, compactionFaults } = config;
  const { env } = system;
  const random = system.random.fork('compactions');
  return new Compactions(
    {
      log,
      faults: compactionFaults,
      nowMs: () => system.clock.monotonicMs(),
      after,
      seed: () => random.u32(),
      run: compactionBy(env.crew, { crc32c: env.crc32c.bind(env), unpack: env.unpack }),
      isShortOfSpace: () => store.isShortOfSpace,
      checkpoint: () => store.checkpoint(),
    },
    compaction,
  );
}

export function searchesOf(config: LogHostConfig, after: Later): RecordSearches {
  const { system, store, log } = config;
  const { env } = system;
  const crc32c = env.crc32c.bind(env);
  return new RecordSearches({
    log,
    crc32c,
    nowMs: () => system.clock.monotonicMs(),
    after,
    run: recordWorkBy(env.crew, { crc32c, unpack: env.unpack }),
    isShortOfSpace: () => store.isShortOfSpace,
  });
}
