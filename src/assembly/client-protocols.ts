// What a shard offers to the listener of each protocol that is loaded with its first client, and what it takes
// from the composition root to load them.
import type { System } from '../actors/system.ts';
import type { BrokerPorts, HostRef } from '../broker/ports.ts';
import type { Log } from '../env/environment.ts';
import type { GrpcCounters } from '../env/grpc.ts';
import type { AmqpListenerOptions } from '../protocols/amqp/listener.ts';
import type { ListenerCounters } from '../protocols/listening/books.ts';
import type { ClientListener, LoadListener } from './client-door.ts';
import type { ListenerPorts } from './shard.ts';

/** What a shard has for a listener of RocketMQ. */
export interface RocketOptions {
  readonly system: System;
  readonly log: Log;
  readonly ports: BrokerPorts;
  readonly clusterId: string;
  readonly shard: number;
  readonly shardIncarnation: number;
  /** Ports of the node's other listeners. */
  readonly otherPorts: Partial<ListenerPorts>;
  /** The host on the shard of the node that leads the log, or undefined while there is none. */
  leaderHost(logId: number): HostRef | undefined;
}

export type RocketListener = ClientListener<GrpcCounters>;
export type StartRocket = (options: RocketOptions) => RocketListener;

/** What the composition root has for clients. Whoever has no listener here is not served. */
export interface LoadClients {
  readonly amqp?: LoadListener<AmqpListenerOptions, ListenerCounters> | undefined;
  readonly rocketmq?: LoadListener<RocketOptions, GrpcCounters> | undefined;
}
