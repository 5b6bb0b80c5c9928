// What a channel needs of the session that it belongs to.
import type { NamesView, QueueReader, VhostAccess } from '../../../broker/ports.ts';
import type { AmqpError } from '../codec/index.ts';
import type { Channel } from './channel.ts';
import type { Consumer } from './consumers.ts';
import type { SessionPorts } from './ports.ts';
import type { Rights } from './rights.ts';
import type { Tools } from './tools.ts';

export interface ChannelHost {
  readonly ports: SessionPorts;
  readonly tools: Tools;
  readonly reader: QueueReader;
  /** Of the vhost that the client has opened. */
  readonly names: NamesView;
  readonly exchanges: VhostAccess;
  /** What the client may do there. */
  readonly rights: Rights;
  /** Who the client is. */
  readonly user: string;
  /** Frames to the client are no larger; 0: no limit. */
  readonly frameBytesMax: number;
  /** Of durable queues that are declared here; -1: as many as the cluster gives. */
  readonly queueReplicas: number;
  /** Takes basic.cancel from the server. */
  readonly hearsCancels: boolean;
  /** The connection may have exclusive queues. */
  ownsQueues: boolean;
  nextConsumer(): number;
  register(consumer: Consumer): void;
  forget(consumer: Consumer): void;
  consumer(number: number): Consumer | undefined;
  /** Closes the channel or the connection. */
  fail(channel: Channel, error: AmqpError): void;
  /** The client closes the channel, and all before is done. */
  closed(channel: Channel): void;
  /** The confirms of the channel have something to say at the end of the turn. */
  confirmLater(channel: Channel): void;
  /** Too many publishes of the channel are under way, or not any more. */
  full(channel: Channel, isFull: boolean): void;
  /** What the channel published waits for room on a disk, or not any more. */
  blocked(channel: Channel, isBlocked: boolean): void;
  /** So many bytes wait behind a command, or not any more. */
  defer(bytes: number): void;
  undefer(bytes: number): void;
}
