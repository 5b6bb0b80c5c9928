// Short words for commands about exchanges, bindings and queues.
import type {
  BindCommand,
  DeclareExchangeCommand,
  DeclareQueueCommand,
  QueueOwner,
  UnbindCommand,
} from '../../../src/cluster/metadata/index.ts';
import { creation } from './world.ts';

export const NO_BYTES = new Uint8Array(0);

export function exchange(
  name: string,
  over: Partial<DeclareExchangeCommand> = {},
): DeclareExchangeCommand {
  return {
    kind: 'declare-exchange',
    vhost: '/',
    name,
    type: 'direct',
    durable: true,
    autoDelete: false,
    isInternal: false,
    alternate: undefined,
    arguments: NO_BYTES,
    ...over,
  };
}

/** `target` with a leading `x:` is an exchange. */
export function bind(
  source: string,
  target: string,
  routingKey = 'k',
  over: Partial<BindCommand> = {},
): BindCommand {
  const isExchange = target.startsWith('x:');
  return {
    kind: 'bind',
    vhost: '/',
    source,
    targetKind: isExchange ? 'exchange' : 'queue',
    target: isExchange ? target.slice(2) : target,
    routingKey,
    arguments: NO_BYTES,
    headerMatch: NO_BYTES,
    ...over,
  };
}

export function unbind(...of: Parameters<typeof bind>): UnbindCommand {
  return { ...bind(...of), kind: 'unbind' };
}

export function queue(
  name: string,
  node: number,
  over: Partial<DeclareQueueCommand> = {},
): DeclareQueueCommand {
  return {
    kind: 'declare-queue',
    vhost: '/',
    name,
    topicId: creation(`queue ${name}`).topicId,
    node,
    durable: true,
    autoDelete: false,
    owner: undefined,
    arguments: NO_BYTES,
    compared: [],
    replicationFactor: -1,
    ...over,
  };
}

/** A connection of the first life of a node's shard, as `World.join` registers it. */
export function owner(node: number, connection = 7, shard = 0): QueueOwner {
  return { node, incarnation: 100 + node, shard, shardIncarnation: 1 + shard, connection };
}

export function exclusive(name: string, node: number, connection = 7, shard = 0) {
  return queue(name, node, { durable: false, owner: owner(node, connection, shard) });
}
