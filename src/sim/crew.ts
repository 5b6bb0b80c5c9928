// The crew of a simulated process: the same pure work as that of a real one, done in no time, and answered a while
// later. A process that dies meanwhile hears nothing.
import type { Crew } from '../env/environment.ts';
import { crc32c } from '../std/crc32c.ts';
import { COMPACTION_WORK, compactionWork } from '../storage/compaction/work.ts';
import { RECORD_WORK, recordWork } from '../storage/record-index/work.ts';

const DELAY_MIN_NS = 50_000;
const DELAY_MAX_NS = 20_000_000;

/** `later`: calls after a time between these two, in nanoseconds. */
export function simCrew(later: (minNs: number, maxNs: number, fire: () => void) => void): Crew {
  const compact = compactionWork({ crc32c });
  const lookUp = recordWork({ crc32c });
  return {
    run: (work, input) =>
      new Promise((resolve, reject) => {
        later(DELAY_MIN_NS, DELAY_MAX_NS, () => {
          try {
            if (work === COMPACTION_WORK) resolve(compact(input));
            else if (work === RECORD_WORK) resolve(lookUp(input));
            else throw new Error(`this crew does not know ${work}`);
          } catch (error) {
            reject(error);
          }
        });
      }),
    threads: 0,
    close: () => Promise.resolve(),
  };
}
