// What a link to a queue needs of the shard that has it.
import type { LentRecords } from '../../cluster/ports.ts';
import type { RecordReader } from '../../records/records.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { Owner } from '../view/consumers.ts';
import type { Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';
import type { PlacePort } from './leader-place.ts';
import type { DeliveredMessage } from './queue-api.ts';
import type { QueueLink } from './queue-link.ts';

/** One message at a time, filled anew for each. */
export interface MessageSlot extends DeliveredMessage {
  logId: number;
  offset: number;
  epoch: number;
  lease: number;
  isRedelivered: boolean;
  returns: number;
  ready: number;
  record: RecordReader;
}

export interface LinkPort extends PlacePort {
  readonly calls: Calls;
  /** Of what is read from files. */
  readonly memory: BufferPool;
  readonly message: MessageSlot;
  /** As whom consumers are attached; undefined while this node is no live member. */
  owner(): Owner | undefined;
  /** Records in the memory of a log that this host leads on this thread; undefined: the host is asked. */
  readonly lend:
    | ((host: HostRef, logId: number, offset: number, maxBytes: number) => LentRecords | undefined)
    | undefined;
  /** The leader knows a later one, or this one was given up. */
  ownerIsStale(owner: Owner): void;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
  /** Calls in a turn of the shard's actor. */
  soon(work: () => void): void;
  warn(text: string, details: Record<string, unknown>): void;
  /** Calls `dropRecords` after a moment. */
  keep(link: QueueLink): void;
  /** Nothing of it is left to do. */
  idle(link: QueueLink): void;
}
