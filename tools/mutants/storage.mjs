// Mistakes that a storage engine may have, each a text of src/storage and what stands in its place. Most are
// bugs that others had (reference: fsync errors, stale frames in recycled files, names that were never synced).
const WAL_FILES = 'src/storage/wal-files.ts';
const WAL_WRITER = 'src/storage/wal-writer.ts';
const WAL_SCAN = 'src/storage/wal-scan.ts';
const RECOVERY = 'src/storage/recovery.ts';
const CHECKPOINTER = 'src/storage/checkpointer.ts';
const CHECKPOINT = 'src/storage/checkpoint.ts';
const SEGMENT = 'src/storage/segment.ts';
const SEGMENTS = 'src/storage/segment-set.ts';
const SNAPSHOTS = 'src/storage/log-snapshots.ts';
const SETTLE = 'src/storage/settle.ts';
const REWRITE = 'src/storage/rewrite.ts';

/** What is run: `powerRun(seed, cuts)`. */
export const entry = 'test/storage/support/power-run.ts';

/**
 * `isRare`: it takes two faults in the right order, or a third rule covers it too; more than a thousand runs may
 * pass. Such a one is tried and told, and may be missed.
 *
 * @type {readonly { name: string, file: string, from: string, to: string, isRare?: true }[]}
 */
export const mutants = [
  {
    name: 'the WAL is written without O_DSYNC',
    file: WAL_FILES,
    from: 'const file = this.#env.disk.open(path, { mode, dsync: true });',
    to: 'const file = this.#env.disk.open(path, { mode });',
  },
  {
    name: 'the WAL is opened without O_DSYNC at a start',
    file: RECOVERY,
    from: `const file = env.disk.open(path, { mode: 'write', dsync: true });`,
    to: `const file = env.disk.open(path, { mode: 'write' });`,
  },
  {
    name: 'the name of a new WAL file is not synced',
    file: WAL_FILES,
    from: `    try {
      this.#env.disk.syncDirectory(this.#options.directory);
    } catch (error) {
      file.close();
      throw error;
    }
    return file;`,
    to: '    return file;',
  },
  {
    name: 'a group counts as durable when its write begins',
    file: WAL_WRITER,
    from: '(error) => this.#written(group, error));',
    to: '() => undefined);\n    this.#written(group, undefined);',
  },
  {
    name: 'a failed write of the WAL counts as done',
    file: WAL_WRITER,
    from: `    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    this.#inFlight = undefined;`,
    to: '    this.#inFlight = undefined;',
  },
  {
    name: 'a start goes on with the salt of the run before',
    file: 'src/storage/store.ts',
    from: 'walFiles.salt = (end.salt + 1 + env.random.below(0xffff_fffe)) >>> 0;',
    to: 'walFiles.salt = end.salt;',
  },
  {
    name: 'frames are taken whatever their salt',
    file: WAL_SCAN,
    from: `      frame.salt === this.#group.salt &&
`,
    to: '',
  },
  {
    name: 'groups are taken whatever their LSN',
    file: WAL_SCAN,
    from: '    if (group.lsn !== lsn) return undefined;\n',
    to: '',
  },
  {
    name: 'damage in the middle is taken for a tear and cut',
    file: WAL_SCAN,
    from: 'if (after.durable <= lsn) return undefined;',
    to: 'if (after.durable <= lsn || lsn >= 0) return undefined;',
  },
  {
    name: 'the payload of a frame is not checked',
    isRare: true,
    file: WAL_SCAN,
    from: 'if (crc32c(bytes, from, from + BATCH_CRC_FROM, ofEvents) !== frame.payloadCrc) return false;',
    to: '',
  },
  {
    name: 'the sum of a group is not compared',
    file: WAL_SCAN,
    from: 'return crc32c(bytes, FRAME_HEADER_BYTES, at) === sum;',
    to: 'return true;',
  },
  {
    name: 'what a killed process left in the page cache is not synced at a start',
    file: RECOVERY,
    from: 'if (last !== undefined) await syncFile(last.file);',
    to: '',
  },
  {
    name: 'a checkpoint found in the page cache is not synced at a start',
    isRare: true,
    file: RECOVERY,
    from: '    await syncCheckpoint(env, checkpointPath(directory, newest.sequence));\n',
    to: '',
  },
  {
    name: 'a start reuses WAL files that the older checkpoint needs',
    file: RECOVERY,
    from: 'openWalFiles(parts, keptLsn)',
    to: 'openWalFiles(parts, replayLsn)',
  },
  {
    name: 'a WAL file is recycled one checkpoint too early',
    file: CHECKPOINTER,
    from: 'releaseBelow(Math.min(replayLsn, before))',
    to: 'releaseBelow(replayLsn)',
  },
  {
    name: 'the frames behind a state are not kept',
    file: CHECKPOINTER,
    from: 'Math.min(log.mark.settledSeq, log.snapshots.coveredSeq)',
    to: 'log.mark.settledSeq',
  },
  {
    name: 'the WAL frame of a state is not kept',
    file: CHECKPOINTER,
    from: 'let lsn = Math.min(log.snapshots.minLsn, log.keptLsn);',
    to: 'let lsn = log.keptLsn;',
  },
  {
    name: 'segments are not synced before a checkpoint counts them',
    file: CHECKPOINTER,
    from: '    await this.#syncSegments([...marks.keys()]);\n',
    to: '',
  },
  {
    name: 'a checkpoint counts what was settled while it synced',
    file: CHECKPOINTER,
    from: `    const marks = this.#captureMarks();
    try {
      await this.#syncSegments([...marks.keys()]);
    } catch (error) {
      for (const log of marks.keys()) log.isMarkDirty = true;
      throw error;
    }`,
    to: `    await this.#syncSegments([...this.#durableLogs()]);
    const marks = this.#captureMarks();`,
  },
  {
    name: 'a failed sync of a segment is passed over',
    isRare: true,
    file: CHECKPOINTER,
    from: 'if (error === undefined) resolve();',
    to: 'if (error === undefined || error !== undefined) resolve();',
  },
  {
    name: 'checkpoints are written over the only one',
    isRare: true,
    file: CHECKPOINT,
    from: `sequence % 2 === 0 ? 'a' : 'b'`,
    to: `'a'`,
  },
  {
    name: 'a checkpoint is not synced',
    file: CHECKPOINTER,
    from: `const file = disk.open(path, { mode: 'create', dsync: true });`,
    to: `const file = disk.open(path, { mode: 'create' });`,
  },
  {
    name: 'the name of a checkpoint is not synced',
    file: CHECKPOINTER,
    from: 'if (isNew) disk.syncDirectory(directory);',
    to: 'void isNew;',
  },
  {
    name: 'batches settle before they are committed',
    file: SETTLE,
    from: 'return Math.min(log.committedSeq, log.durableSeq);',
    to: 'return log.durableSeq;',
  },
  {
    name: 'a batch at the log start is skipped when its log settles',
    file: SETTLE,
    from: 'log.table.nextOffset[slot]! <= log.startOffset;',
    to: 'log.table.nextOffset[slot]! <= log.startOffset + 1;',
  },
  {
    name: 'bytes that were written during a sync count as synced',
    file: SEGMENT,
    from: 'if (this.length === length && this.#dirty === open) {',
    to: 'if (this.#dirty === open) {',
  },
  {
    name: 'bytes behind the checkpointed end of a segment count',
    file: SEGMENTS,
    from: 'const length = isActive ? mark.segmentLength : Math.max(size, SEGMENT_HEADER_BYTES);',
    to: 'const length = Math.max(size, SEGMENT_HEADER_BYTES);',
  },
  {
    name: 'the name of a segment is not synced',
    file: SEGMENTS,
    from: 'if (!this.isFolderDirty) return;',
    to: 'if (this.isFolderDirty || !this.isFolderDirty) return;',
  },
  {
    name: 'a segment is sealed without a sync of where it was cut',
    isRare: true,
    file: SEGMENT,
    from: '    if (this.#isTailDropped) this.#markDirty(this.#host.openFiles.get(this.path));\n',
    to: '',
  },
  {
    name: 'segments below the log start count at a start',
    isRare: true,
    file: SEGMENTS,
    from: 'const isDead = startOffset >= mark.settledOffset;',
    to: 'const isDead = startOffset < 0;',
  },
  {
    name: 'what a killed run removed is not synced',
    isRare: true,
    file: SEGMENTS,
    from: 'this.isFolderDirty = !this.#host.cleanStart;',
    to: '',
  },
  {
    name: 'the removal of a segment is not synced',
    isRare: true,
    file: SEGMENTS,
    from: `    // A file that comes back after a power cut would be taken for one that is whole.
    this.isFolderDirty = true;
`,
    to: '',
  },
  {
    name: 'the segment that holds the log start is removed',
    file: SEGMENTS,
    from: 'this.list[1]!.baseOffset <= offset) this.#remove();',
    to: 'this.list[0]!.baseOffset < offset) this.#remove();',
  },
  {
    name: 'where a killed run cut a segment is not synced',
    isRare: true,
    file: SEGMENTS,
    from: 'if (isActive && !this.#host.cleanStart) segment.distrustTail();',
    to: '',
  },
  {
    name: 'a rewritten segment is not synced before it has its name',
    file: REWRITE,
    from: 'file.sync((error) => (error === undefined ? resolve() : reject(error)));',
    to: 'resolve();',
  },
  {
    name: 'rewritten: the old files go before the name of the new one is synced',
    file: REWRITE,
    from: '    disk.syncDirectory(folder);\n',
    to: '',
  },
  {
    name: 'rewritten: what only one checkpoint counts in full',
    isRare: true,
    file: REWRITE,
    from: `  const marks = [log.checkpointed, log.checkpointedBefore];
  const sources`,
    to: `  const marks = [log.checkpointed];
  const sources`,
  },
  {
    name: 'rewritten: what no checkpoint counts in full',
    file: REWRITE,
    from: `  const marks = [log.checkpointed, log.checkpointedBefore];
  const sources`,
    to: `  const marks = [];
  const sources`,
  },
  {
    name: 'rewritten: the files before it count at a start as well',
    file: SEGMENTS,
    from: 'name.baseOffset < newest.endOffset &&',
    to: 'name.baseOffset < 0 &&',
  },
  {
    name: 'rewritten: a start does not sync the name of the new file',
    isRare: true,
    file: SEGMENTS,
    from: '      this.#host.env.disk.syncDirectory(this.#folder);\n      this.isFolderDirty = true;\n',
    to: '',
  },
  {
    name: 'rewritten: counts although a source is gone',
    file: REWRITE,
    from: 'log.host.isStopped || !log.segments.holds(this.#segments)',
    to: 'log.host.isStopped',
  },
  {
    name: 'needless: the first of the records that are needed goes as well',
    file: 'src/storage/compaction/needed.ts',
    from: 'offset >= runs[this.#run]!',
    to: 'offset > runs[this.#run]!',
  },
  {
    name: 'needless: it counts in the place of more than it was made of',
    file: 'src/storage/compaction/needed-pass.ts',
    from: 'for (const source of rewrite.sources) {',
    to: 'for (const source of rewrite.sources.slice(0, 2)) {',
  },
  {
    name: 'an index is trusted whatever its segment',
    file: 'src/storage/segment.ts',
    from: 'if (found === undefined || found.coveredBytes === this.length) return found;',
    to: 'if (found === undefined || found.coveredBytes > 0) return found;',
    isRare: true,
  },
  {
    name: 'an index of an earlier life of a segment stays',
    file: SEGMENTS,
    from: 'if (isActive && segment.dropIndex()) this.isFolderDirty = true;',
    to: '',
  },
  {
    name: 'a torn index is trusted',
    file: 'src/storage/sparse-index.ts',
    from: '    if (readU32le(bytes, 64) !== sumOf(bytes, crc32c)) return undefined;\n',
    to: '',
  },
  {
    name: 'only one state is kept',
    isRare: true,
    file: SNAPSHOTS,
    from: 'const KEPT = 2;',
    to: 'const KEPT = 1;',
  },
  {
    name: 'a state counts before its file is synced',
    file: SNAPSHOTS,
    from: `const file = disk.open(path, { mode: 'create', dsync: true });`,
    to: `const file = disk.open(path, { mode: 'create' });`,
  },
  {
    name: 'the name of a state file is not synced',
    file: SNAPSHOTS,
    from: 'depth < 3; depth += 1',
    to: 'depth < 0; depth += 1',
  },
  {
    name: 'a cut is not logged',
    file: 'src/storage/stored-log.ts',
    from: 'if (!this.isMemory) this.#cutLsn = this.writeMark(TYPE_TRUNCATE, toSeq);',
    to: '',
  },
];
