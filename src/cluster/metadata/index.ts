// The door of the metadata state machine.
export * from './access-types.ts';
export { type Applied, applyCommand } from './apply.ts';
export { canReturn } from './apply-logs.ts';
export {
  COMMAND_CODE_MAX,
  decodeCommand,
  encodeCommand,
  nodeRemovedBy,
} from './command-codec.ts';
export * from './commands.ts';
export { chooseLeader, isCandidate } from './election.ts';
export { MetadataImage } from './image.ts';
export { isValidName } from './names.ts';
export { shardOf } from './placement.ts';
export { definitionNotes } from './policy-definition.ts';
export * from './policy-types.ts';
export { assignedOf, isReassigning } from './reassignment.ts';
export * from './routing-commands.ts';
export * from './routing-types.ts';
export { hashImage, restoreImage, SNAPSHOT_VERSION, snapshotImage } from './snapshot.ts';
export * from './types.ts';
