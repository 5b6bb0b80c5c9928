// Opens the folder of a shard: checks whose it is, recovers its logs, and begins to write. Refusals are
// StorageErrors that name the folder and the reason; a refused folder is left as it was.
import type { OpenedShardStore, ShardStoreOptions, StorageEnvironment } from './api.ts';
import { isCheckpointPath } from './checkpoint.ts';
import { StorageError, storageErrorFrom } from './errors.ts';
import { FrameCodec } from './frame-format.ts';
import type { ResolvedOptions } from './log-host.ts';
import { type Recovered, recover } from './recovery.ts';
import { SavingDisk } from './saving-disk.ts';
import { SEGMENT_BYTES_MAX } from './segment-set.ts';
import { newCounters, ShardStoreCore } from './shard-store.ts';
import { StoreMarks, StoreSuper, superblockPath, walFolder } from './store-files.ts';
import { StoredLogCore } from './stored-log.ts';
import { WalFiles } from './wal-files.ts';

const MIB = 1 << 20;
const WAL_FILE_STEP_BYTES = 64 * 1024;

function resolveOptions(options: ShardStoreOptions): ResolvedOptions {
  const walFileBytesMin = options.walFileBytesMin ?? 4 * MIB;
  const walFileBytesMax = Math.max(options.walFileBytesMax ?? 32 * MIB, walFileBytesMin);
  const resolved: ResolvedOptions = {
    directory: options.directory,
    identity: options.identity,
    walFileBytesMin,
    walFileBytesMax,
    slabBytesMax: options.slabBytesMax ?? 64 * MIB,
    settleBytes: options.settleBytes ?? 256 * 1024,
    settleAgeMs: options.settleAgeMs ?? 10_000,
    checkpointMs: options.checkpointMs ?? 30_000,
    uncommittedBytesMax: options.uncommittedBytesMax ?? 2 * walFileBytesMax,
    unawaitedMs: options.unawaitedMs ?? 10,
    unawaitedBytes: options.unawaitedBytes ?? 64 * 1024,
    sealAfterMs: options.sealAfterMs ?? 1000,
    segmentBytesMax: options.segmentBytesMax ?? 64 * MIB,
    openFilesMax: options.openFilesMax ?? 1024,
    freeBytesMin: options.freeBytesMin ?? 0,
    scrubIntervalMs: options.scrubIntervalMs ?? 7 * 24 * 3_600_000,
    scrubBytesPerSecond: options.scrubBytesPerSecond ?? 8 * MIB,
    ...(options.checkpointBytes === undefined ? {} : { checkpointBytes: options.checkpointBytes }),
    ...(options.onSnapshotWanted === undefined
      ? {}
      : { onSnapshotWanted: options.onSnapshotWanted }),
  };
  for (const size of [walFileBytesMin, walFileBytesMax]) {
    if (size < WAL_FILE_STEP_BYTES || size % WAL_FILE_STEP_BYTES !== 0) {
      throw new RangeError(`WAL file sizes are multiples of 64 KiB, not ${size}`);
    }
  }
  if (!(resolved.scrubIntervalMs >= 0) || !(resolved.scrubBytesPerSecond > 0)) {
    throw new RangeError('scrubIntervalMs is at least 0, scrubBytesPerSecond above 0');
  }
  if (resolved.segmentBytesMax > SEGMENT_BYTES_MAX) {
    throw new RangeError('segmentBytesMax is at most 1 GiB');
  }
  return resolved;
}

function lockPath(directory: string): string {
  return `${directory}/LOCK`;
}

/** For a store whose thread has died without closing it: the lock names a process that lives on. */
export function releaseDeadStore(env: StorageEnvironment, directory: string): void {
  env.disk.releaseOwnLock(lockPath(directory));
}

/**
 * Opens or makes the store of one shard. Resolves when every log of an earlier run is known again.
 *
 * Rejects with {@link StorageError}: `STORAGE_LOCKED`, `STORAGE_WRONG_IDENTITY`, `STORAGE_NEWER_FORMAT`,
 * `STORAGE_DAMAGED`, `STORAGE_UNWRITABLE`, `STORAGE_FULL`, `STORAGE_NO_DESCRIPTORS`, `STORAGE_IO`.
 *
 * @example
 * const { store, recovered } = await openShardStore(env, { directory: 'shard-0', identity });
 */
export async function openShardStore(
  env: StorageEnvironment,
  options: ShardStoreOptions,
): Promise<OpenedShardStore> {
  const resolved = resolveOptions(options);
  const { directory } = resolved;
  const disk = new SavingDisk(env.disk, {
    heldPath: superblockPath(directory),
    purposeOf(path) {
      if (path.startsWith(`${walFolder(directory)}/`)) return 'wal';
      if (path.endsWith('.seg')) return 'segment';
      return isCheckpointPath(path) ? 'checkpoint' : undefined;
    },
  });
  try {
    disk.makeDirectory(directory);
    // Its name is in the folder above: without this a power cut may take the whole store away.
    disk.syncDirectory(directory.slice(0, Math.max(0, directory.lastIndexOf('/'))));
    const lock = disk.lock(lockPath(directory), `node ${resolved.identity.nodeId}`);
    if (lock === undefined) {
      const holder = disk.lockedBy(lockPath(directory)) ?? 'another process';
      throw new StorageError('STORAGE_LOCKED', `${directory} is used by ${holder}`, {
        directory,
        holder,
      });
    }
    try {
      const { clock, timers, random, log, crc32c } = env;
      return await openLocked({ clock, timers, random, disk, log, crc32c }, resolved, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw storageErrorFrom(error, `opening ${directory}`);
  }
}

async function openLocked(
  env: StorageEnvironment & { readonly disk: SavingDisk },
  options: ResolvedOptions,
  lock: { release(): void },
): Promise<OpenedShardStore> {
  const { directory, walFileBytesMin, walFileBytesMax } = options;
  const superblock = new StoreSuper(env, directory, options.identity);
  env.disk.makeDirectory(walFolder(directory));
  env.disk.makeDirectory(`${directory}/logs`);
  const marks = new StoreMarks(env, directory);
  env.disk.syncDirectory(directory);
  const codec = new FrameCodec(env.crc32c);
  const counters = newCounters();
  const walFiles = new WalFiles(
    env,
    {
      directory: walFolder(directory),
      fileBytesMin: walFileBytesMin,
      fileBytesMax: walFileBytesMax,
    },
    counters,
  );
  const { found } = marks;
  const store = new ShardStoreCore({
    env,
    codec,
    options,
    walFiles,
    counters,
    marks,
    superblock,
    saving: env.disk,
    lock,
    cleanStart: found?.isClean ?? true,
    failedSync: found?.failedSync ?? false,
    bootCount: (found?.bootCount ?? 0) + 1,
  });
  try {
    const logs = store.logsById;
    const makeLog = (logId: number): StoredLogCore => {
      const log = new StoredLogCore(store, logId, 'sync');
      logs.set(logId, log);
      return log;
    };
    const recovered = await recover({ env, codec, directory, walFiles, logs, makeLog });
    // A damaged slot may have been the one that knew of a log: nothing is removed then.
    if (!recovered.isSlotDamaged) await removeStrayFolders(env, directory, store);
    marks.write({ bootCount: store.bootCount, isClean: false, failedSync: store.failedSync });
    await begin(env, store, recovered);
    env.disk.hold();
  } catch (error) {
    walFiles.close();
    store.openFiles.closeAll();
    marks.close();
    throw error;
  }
  return {
    store,
    recovered: [...store.logsById.values()].map((log) => ({ log, needsRepair: log.needsRepair })),
  };
}

async function begin(
  env: StorageEnvironment,
  store: ShardStoreCore,
  recovered: Recovered,
): Promise<void> {
  const { walFiles } = store;
  const { end, checkpoint } = recovered;
  // Another salt than before: frames of an earlier run can never continue this one's.
  walFiles.salt = (end.salt + 1 + env.random.below(0xffff_fffe)) >>> 0;
  const isFresh = walFiles.live.length === 0;
  if (isFresh) await firstFile(walFiles);
  const saltBefore = isFresh ? undefined : end.salt;
  store.start({ lsn: end.lsn, saltBefore, isSealed: end.isSealed }, checkpoint);
}

/** The only pre-writing that anything waits for. */
function firstFile(walFiles: WalFiles): Promise<void> {
  return new Promise((resolve, reject) => {
    if (walFiles.hasSpare) resolve();
    else walFiles.prepare((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** Folders of deleted logs, and of logs in memory of an earlier run. */
async function removeStrayFolders(
  env: StorageEnvironment,
  directory: string,
  store: ShardStoreCore,
): Promise<void> {
  for (const group of env.disk.list(`${directory}/logs`)) {
    const path = `${directory}/logs/${group.name}`;
    for (const entry of env.disk.list(path)) {
      if (store.logsById.has(Number(entry.name))) continue;
      await env.disk.removeTree(`${path}/${entry.name}`);
    }
  }
}
