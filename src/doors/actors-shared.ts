// `callboard/actors/shared`: what the runtime's threads are joined by, for threads without the runtime: a ring
// of records, bells for who sleeps, a word that shows that a thread moves, and a slab of shared memory.
// Needs no package and nothing of the broker; a test walks its imports.

export { Heartbeat, HeartbeatWatch } from '../actors/threads/heartbeat.ts';
export type { Chunk } from '../actors/threads/ring.ts';
export { createRing, eachRecord, RingReader, RingWriter } from '../actors/threads/ring.ts';
export {
  createSlab,
  SLAB_UNIT_BYTES,
  SlabPool,
  SlabReader,
} from '../actors/threads/slab-pool.ts';
export { WaitBell } from '../actors/threads/wait-bell.ts';
export { PortBell } from '../env/node/port-bell.ts';
export type { Doorbell } from '../env/threads.ts';
