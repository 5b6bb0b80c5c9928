// The door of the room: what a shell, a simulator or an embedder needs, and nothing else.
export { createRaft, type RaftCore, type RaftInput, type Ready } from './core.ts';
export {
  configurationOf,
  hasEnoughData,
  hasQuorum,
  isJoint,
  isVoter,
  isWitness,
  membersOf,
} from './membership.ts';
export type { RaftMessage } from './message.ts';
export * from './message-codec.ts';
export {
  decodeWrites,
  encodeWrite,
  RaftStorageError,
  recoverFrom,
  type StoredWrites,
} from './stored.ts';
export * from './types.ts';
