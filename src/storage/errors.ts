// What opening and running a store may fail with. Expected refusals of an append are values (api.ts),
// not errors; these are the failures that end an open or fence a store.
import { BrokerError, messageOf } from '../std/errors.ts';

export type StorageErrorCode =
  /** Another live process has the folder. */
  | 'STORAGE_LOCKED'
  /** The folder belongs to another cluster, node or shard. */
  | 'STORAGE_WRONG_IDENTITY'
  /** The folder was written by a newer format, or uses features unknown here. */
  | 'STORAGE_NEWER_FORMAT'
  /** A file that the store cannot do without fails its check. */
  | 'STORAGE_DAMAGED'
  /** The folder cannot be written (EACCES, EROFS, EPERM, ENOTDIR). */
  | 'STORAGE_UNWRITABLE'
  /** No space left on the device. */
  | 'STORAGE_FULL'
  /** The process, or the machine, has as many files and connections open as it may. It passes. */
  | 'STORAGE_NO_DESCRIPTORS'
  /** A write or sync failed; nothing is assumed of what was in flight. */
  | 'STORAGE_IO'
  /** The store is closed, or was fenced by an earlier failure. */
  | 'STORAGE_CLOSED';

export class StorageError extends BrokerError {
  readonly code: StorageErrorCode;

  constructor(
    code: StorageErrorCode,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    cause?: unknown,
  ) {
    super(message, details, cause);
    this.code = code;
  }
}

/** For sound bytes of another version than this build reads: they are kept as they are, never cut or repaired. */
export function unknownVersion(
  file: string,
  found: string | number,
  wanted: string | number,
): StorageError {
  return new StorageError(
    'STORAGE_NEWER_FORMAT',
    `${file} was written by a newer version: its format is ${found}, this build reads ${wanted}`,
    { file, found, wanted },
  );
}

/** The errno name of a DiskError, or undefined for anything else. */
export function errnoOf(thrown: unknown): string | undefined {
  const code = (thrown as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** It was not done because no descriptor was free: nothing was changed, and it may be tried again. */
export function isShortOfDescriptors(thrown: unknown): boolean {
  const code = errnoOf(thrown);
  return code === 'EMFILE' || code === 'ENFILE' || code === 'STORAGE_NO_DESCRIPTORS';
}

/** It was not done because the device, or a quota, is full: nothing is assumed of what was being written. */
export function isShortOfSpace(thrown: unknown): boolean {
  const code = errnoOf(thrown);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'STORAGE_FULL';
}

/** A StorageError that says what was tried, from whatever a disk threw. */
export function storageErrorFrom(thrown: unknown, what: string): StorageError {
  if (thrown instanceof StorageError) return thrown;
  const errno = errnoOf(thrown);
  const details = { errno, what };
  const message = `${what}: ${messageOf(thrown)}`;
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new StorageError('STORAGE_FULL', message, details, thrown);
    case 'EMFILE':
    case 'ENFILE':
      return new StorageError('STORAGE_NO_DESCRIPTORS', message, details, thrown);
    case 'EACCES':
    case 'EROFS':
    case 'EPERM':
    case 'ENOTDIR':
      return new StorageError('STORAGE_UNWRITABLE', message, details, thrown);
    default:
      return new StorageError('STORAGE_IO', message, details, thrown);
  }
}
