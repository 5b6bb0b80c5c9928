// What the threads of a node's crew load (env/node/crew.ts): work by name, each a pure function of its input.
import { createNodeCodecs } from './env/node/codecs.ts';
import type { CrewTask } from './env/node/crew.ts';
import { COMPACTION_WORK, compactionWork } from './storage/compaction/work.ts';
import { RECORD_WORK, recordWork } from './storage/record-index/work.ts';

const codecs = createNodeCodecs();
const compact = compactionWork(codecs);
const lookUp = recordWork(codecs);

export function run({ work, input }: CrewTask): unknown {
  if (work === COMPACTION_WORK) return compact(input);
  if (work === RECORD_WORK) return lookUp(input);
  throw new Error(`this crew does not know ${work}`);
}
