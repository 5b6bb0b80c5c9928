// Compaction's tasks as work of a crew: by one name, with the codecs that a machine has.
import type { Crew, Unpack } from '../../env/environment.ts';
import type { Decompress } from '../../records/records.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import {
  type CompactionTask,
  type FilterAnswer,
  type MapAnswer,
  runCompactionTask,
} from './tasks.ts';

export const COMPACTION_WORK = 'compaction';
/** Of one batch, unpacked. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

export interface Codecs {
  readonly crc32c: Crc32c;
  /** Absent: what is packed stays as it is. */
  readonly unpack?: Unpack | undefined;
  pack?(codec: string, bytes: Uint8Array): Uint8Array | undefined;
}

/** Unpacks one batch to so many bytes at most, or throws. */
export function unpackWith({ unpack }: Codecs, bytesMax = UNPACKED_BYTES_MAX): Decompress {
  return (codec, bytes) => {
    const plain = unpack?.(codec, bytes, bytesMax);
    if (plain === undefined) throw new Error(`${codec} is not unpacked here`);
    return plain;
  };
}

/** The work itself, for whoever has no crew, and for its threads. */
export function compactionWork(codecs: Codecs): (input: unknown) => MapAnswer | FilterAnswer {
  const tools = {
    crc32c: codecs.crc32c,
    unpack: unpackWith(codecs),
    pack: (codec: string, bytes: Uint8Array) => codecs.pack?.(codec, bytes),
  };
  return (input) => runCompactionTask(input as CompactionTask, tools);
}

/** Asks the crew, or does it here. */
export function compactionBy(
  crew: Crew | undefined,
  codecs: Codecs,
): (task: CompactionTask) => Promise<MapAnswer | FilterAnswer> {
  if (crew !== undefined) {
    return async (task) => (await crew.run(COMPACTION_WORK, task)) as MapAnswer | FilterAnswer;
  }
  const work = compactionWork(codecs);
  return async (task) => work(task);
}
