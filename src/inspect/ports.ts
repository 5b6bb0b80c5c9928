// What the command line is offered of this room.
export { type FileLine, fileLines } from './files.ts';
export { messagesOf, type StoredMessage } from './messages.ts';
export { OverlayDisk } from './overlay-disk.ts';
export { type FoundLog, StoppedFolder } from './stopped-folder.ts';
