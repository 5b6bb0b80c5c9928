// The door of the storage room.
export type * from './api.ts';
export { StorageError, type StorageErrorCode } from './errors.ts';
export { openShardStore } from './store.ts';
