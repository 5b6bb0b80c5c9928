// A sealed segment lent to searches, with the file of its record index beside it: both stay until `release`, and go
// together. A sealed segment never changes under its name: a start that does not count it, or that counts it as the
// one that is being filled, removes the index before anything else can get that name.
import type { DiskFile } from '../env/environment.ts';
import type { SegmentLookup } from './api.ts';
import { storageErrorFrom } from './errors.ts';
import type { OpenFile } from './open-files.ts';
import { recordIndexPath, SEGMENT_HEADER_BYTES, type Segment } from './segment.ts';
import type { StoredLogCore } from './stored-log.ts';

/**
 * Undefined: there is no such segment any more. Throws StorageError: `STORAGE_NO_DESCRIPTORS` where it cannot be open,
 * `STORAGE_DAMAGED`, `STORAGE_NEWER_FORMAT`.
 */
export function beginLookup(log: StoredLogCore, baseOffset: number): SegmentLookup | undefined {
  if (log.isMemory || log.isDeleted || log.host.isStopped) return undefined;
  const segment = log.segments.sealed().find((each) => each.baseOffset === baseOffset);
  if (segment === undefined || segment.isDamaged) return undefined;
  try {
    // Refuses what another version wrote, and what is damaged, as every read does.
    segment.index();
    return new LentSegment(log, segment);
  } catch (error) {
    throw storageErrorFrom(error, `opening ${segment.path}`);
  }
}

class LentSegment implements SegmentLookup {
  readonly path: string;
  readonly name: SegmentLookup['name'];
  readonly source: SegmentLookup['source'];
  readonly #log: StoredLogCore;
  readonly #segment: Segment;
  readonly #open: OpenFile;
  #index: OpenFile | undefined;
  #isReleased = false;

  constructor(log: StoredLogCore, segment: Segment) {
    const { logId, baseOffset, generation, revision, length } = segment;
    this.#log = log;
    this.#segment = segment;
    this.path = recordIndexPath(segment.path);
    this.name = { logId, baseOffset, generation, revision, segmentBytes: length };
    this.#open = segment.pin();
    const { file } = this.#open;
    const position = SEGMENT_HEADER_BYTES;
    this.source = {
      ...{ file, position, length: length - position },
      isSound: (bytes, count, error) => segment.isSound(bytes, count, error, position),
    };
  }

  openIndex(): DiskFile | undefined {
    const { env } = this.#log.host;
    if (this.#index === undefined && !env.disk.exists(this.path)) return undefined;
    return this.#pinned('write');
  }

  makeIndex(): DiskFile {
    const file = this.#pinned('create');
    if (file.size() > 0) file.truncate(0);
    return file;
  }

  #pinned(mode: 'write' | 'create'): DiskFile {
    if (this.#index === undefined) {
      const open = this.#log.host.openFiles.get(this.path, mode);
      open.pins += 1;
      this.#index = open;
    }
    return this.#index.file;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const { openFiles } = this.#log.host;
    if (this.#index !== undefined) openFiles.unpin(this.#index);
    this.#segment.unpin(this.#open);
  }
}
