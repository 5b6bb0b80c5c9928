// The tasks of searches as work of a crew: by one name, with the codecs that a machine has.
import type { Crew } from '../../env/environment.ts';
import { type Codecs, unpackWith } from '../compaction/work.ts';
import { type RecordAnswer, type RecordTask, runRecordTask } from './tasks.ts';

export const RECORD_WORK = 'record-index';
/** Of one batch, unpacked: the records of a larger one are shown to nobody, and so not found either. */
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;

export type RecordRun = <T extends RecordTask>(task: T) => Promise<RecordAnswer<T>>;

/** The work itself, for whoever has no crew, and for its threads. */
export function recordWork(codecs: Codecs): (input: unknown) => RecordAnswer {
  const tools = { crc32c: codecs.crc32c, unpack: unpackWith(codecs, UNPACKED_BYTES_MAX) };
  return (input) => runRecordTask(input as RecordTask, tools);
}

/** Asks the crew, or does it here. */
export function recordWorkBy(crew: Crew | undefined, codecs: Codecs): RecordRun {
  const here = recordWork(codecs);
  return async <T extends RecordTask>(task: T) => {
    const answer = crew === undefined ? here(task) : await crew.run(RECORD_WORK, task);
    return answer as RecordAnswer<T>;
  };
}
