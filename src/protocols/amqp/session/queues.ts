// queue.declare, bind, unbind, purge and delete, and what every use of a queue looks at first: is it there, is it this
// connection's, is it a queue at all.
import type {
  AccessVerb,
  DestinationView,
  MetadataResult,
  QueueStats,
} from '../../../broker/ports.ts';
import {
  EMPTY_TABLE,
  type FieldTable,
  fieldOf,
  type MethodArgs,
  type Refusal,
  refusals,
} from '../codec/index.ts';
import {
  argumentsOf,
  canonicalArguments,
  comparedOf,
  DURABILITY,
  deliveryLimitOf,
  durabilityOf,
  groupSizeOf,
  QUORUM_TYPE,
  refuseQueueArguments,
  refuseQuorumArguments,
} from './arguments.ts';
import type { Channel } from './channel.ts';
import { cleanName, isReserved, madeUpName } from './names.ts';
import { refuseResult } from './outcomes.ts';
import { headerMatchOf } from './route-headers.ts';
import { declareStream, STREAM, typeNameOf, typeOf, unfitProperty } from './streams.ts';

export interface FoundQueue {
  readonly name: string;
  readonly destination: DestinationView;
  /** Made as a stream, or by another protocol. */
  readonly isStream: boolean;
  readonly logId: number;
}

const queueNamed = ({ vhost }: Channel, name: string) => ({ kind: 'queue', name, vhost }) as const;

/** Undefined: there is none, or it is not a client's to see. */
export function destinationNamed(channel: Channel, name: string): DestinationView | undefined {
  const destination = channel.names.destination(name);
  return destination?.isInternal === true ? undefined : destination;
}

/** An exclusive queue of another connection. */
function isLocked(channel: Channel, destination: DestinationView): boolean {
  const owner = destination.queue?.owner;
  if (owner === undefined) return false;
  const own = channel.host.ports.owner();
  return (
    own === undefined ||
    own.connection !== owner.connection ||
    own.shard !== owner.shard ||
    own.shardIncarnation !== owner.shardIncarnation ||
    own.node !== owner.node ||
    own.incarnation !== owner.incarnation
  );
}

/** The queue of that name, or without one the last one declared on this channel, to do this with it. */
export function findQueue(
  channel: Channel,
  given: string,
  verb: AccessVerb | 'look',
): FoundQueue | { readonly refusal: Refusal } {
  const name = given === '' ? channel.lastQueue : cleanName(given);
  if (name === '') return { refusal: refusals.noPreviousQueue() };
  const { rights } = channel;
  const refusal =
    verb === 'look' ? rights.refuseLook('queue', name) : rights.refuse(verb, 'queue', name);
  if (refusal !== undefined) return { refusal };
  const destination = destinationNamed(channel, name);
  if (destination === undefined) return { refusal: refusals.noQueue(name, channel.vhost) };
  if (isLocked(channel, destination)) return { refusal: refusals.lockedQueue(name, channel.vhost) };
  const isStream = destination.queue === undefined;
  return { name, destination, isStream, logId: destination.logs[0]!.logId };
}

// ---- Declare --------------------------------------------------------------------------------------

export function declareQueue(
  channel: Channel,
  args: MethodArgs<'queue.declare'>,
): Refusal | undefined {
  if (args.passive) {
    const found = findQueue(channel, args.queue, 'look');
    return 'refusal' in found ? found.refusal : declared(channel, args, found.name, true);
  }
  const type = typeNameOf(args);
  if (type === 'stream') return declareStream(channel, args);
  const isQuorum = type === 'quorum';
  const { host } = channel;
  const given = cleanName(args.queue);
  if (isQuorum && given === '') return refusals.serverNamedQueue(QUORUM_TYPE);
  const name = given === '' ? madeUpName('amq.gen-', () => host.ports.random()) : given;
  const refusal = channel.rights.refuse('configure', 'queue', name);
  if (refusal !== undefined) return refusal;
  const known = destinationNamed(channel, name);
  if (known !== undefined && isLocked(channel, known))
    return refusals.lockedQueue(name, channel.vhost);
  if (known === undefined && given !== '' && isReserved(given)) {
    return refusals.reservedName('queue', given);
  }
  const fault = isQuorum
    ? refuseQuorum(channel, args, name, known !== undefined)
    : refuseQueueArguments(args.arguments, queueNamed(channel, name));
  if (fault !== undefined) return fault;
  const owner = host.ports.owner();
  if (owner === undefined)
    return ['INTERNAL_ERROR', 'this node is not a member of the cluster yet'];
  if (args.exclusive) host.ownsQueues = true;
  const durability = durabilityOf(args.arguments);
  const queue = {
    name,
    durable: args.durable,
    ...(durability === undefined ? {} : { durability }),
    autoDelete: args.autoDelete,
    owner: args.exclusive ? owner : undefined,
    arguments: canonicalArguments(args.arguments),
    compared: [],
    node: owner.node,
    replicationFactor: host.queueReplicas,
    ...(isQuorum ? quorumOf(args.arguments) : {}),
  };
  channel.ask({ kind: 'declare-queue', queue }, (result) => {
    if (result.kind !== 'ok') return refuseDeclare(channel, name, args.arguments, result);
    return declared(channel, args, name, known !== undefined);
  });
  return undefined;
}

/** What is wrong with one that is to be made; what is there is compared by whoever has it. */
function refuseQuorum(
  channel: Channel,
  args: MethodArgs<'queue.declare'>,
  name: string,
  isThere: boolean,
): Refusal | undefined {
  const fault = refuseQuorumArguments(args.arguments, queueNamed(channel, name));
  if (fault !== undefined || isThere) return fault;
  const property = unfitProperty(args);
  return property === undefined
    ? undefined
    : refusals.invalidProperty(property, name, channel.vhost);
}

function quorumOf(table: FieldTable) {
  const deliveryLimit = deliveryLimitOf(table);
  const quorum = deliveryLimit === undefined ? {} : { deliveryLimit };
  return { quorum, compared: comparedOf(table), replicationFactor: groupSizeOf(table) };
}

function refuseDeclare(
  channel: Channel,
  name: string,
  table: FieldTable,
  result: Exclude<MetadataResult, { kind: 'ok' }>,
): Refusal {
  if (result.kind !== 'refused') return refuseResult(result);
  const what = queueNamed(channel, name);
  switch (result.code) {
    case 'locked':
      return refusals.lockedQueue(name, channel.vhost);
    case 'exists':
      return refusals.inequivalentArgument('x-queue-type', what, typeOf(table), STREAM);
    case 'inequivalent':
      return refuseDifference(channel, name, table, result.difference!);
    default:
      return refuseResult(result, what);
  }
}

function refuseDifference(
  channel: Channel,
  name: string,
  table: FieldTable,
  {
    property,
    received,
    current,
  }: NonNullable<Extract<MetadataResult, { kind: 'refused' }>['difference']>,
): Refusal {
  const what = queueNamed(channel, name);
  if (property === 'durable' || property === 'autoDelete') {
    const word = property === 'durable' ? property : 'auto_delete';
    return refusals.inequivalentProperty(word, what, String(received), String(current));
  }
  const bytes = destinationNamed(channel, name)?.queue?.arguments;
  const kept = bytes === undefined ? EMPTY_TABLE : argumentsOf(bytes);
  const argument = property === 'durability' ? DURABILITY : property;
  return refusals.inequivalentArgument(
    argument,
    what,
    fieldOf(table, argument),
    fieldOf(kept, argument),
  );
}

/** Answers with what is in the queue; one that was just made is known to be empty. */
export function declared(
  channel: Channel,
  args: MethodArgs<'queue.declare'>,
  name: string,
  mayHold: boolean,
): Refusal | undefined {
  channel.lastQueue = name;
  if (args.noWait) return undefined;
  const answer = (messageCount: number, consumerCount: number): undefined => {
    channel.reply('queue.declare-ok', { queue: name, messageCount, consumerCount });
  };
  const destination = channel.names.destination(name);
  const log = destination?.logs[0];
  if (!mayHold || destination === undefined || log === undefined) return answer(0, 0);
  if (destination.queue === undefined) {
    // Who reads it, nobody counts.
    const logIds = destination.logs.map(({ logId }) => logId);
    channel.ask({ kind: 'messages', logIds }, (count) =>
      typeof count === 'string' ? unreachable(channel, name) : answer(count, 0),
    );
    return undefined;
  }
  channel.ask({ kind: 'stats', logId: log.logId }, (stats) =>
    typeof stats === 'string' ? unreachable(channel, name) : answer(stats.ready, stats.consumers),
  );
  return undefined;
}

/** Nobody leads the queue, or who does has not answered in time. */
export function unreachable(channel: Channel, name: string): Refusal {
  const logs = channel.names.destination(name)?.logs ?? [];
  const log = logs.find(({ leader }) => leader < 0) ?? logs[0];
  if (log === undefined) return refusals.noQueue(name, channel.vhost);
  const node = log.leader < 0 ? (log.replicas[0] ?? 0) : log.leader;
  return refusals.homeNodeDown(`node-${node}`, name, channel.vhost);
}

// ---- Bind -----------------------------------------------------------------------------------------

export function bindQueue(channel: Channel, args: MethodArgs<'queue.bind'>): Refusal | undefined {
  return changeBinding(channel, 'bind', args, () => {
    if (!args.noWait) channel.reply('queue.bind-ok', {});
  });
}

export function unbindQueue(
  channel: Channel,
  args: MethodArgs<'queue.unbind'>,
): Refusal | undefined {
  return changeBinding(channel, 'unbind', args, () => channel.reply('queue.unbind-ok', {}));
}

function changeBinding(
  channel: Channel,
  kind: 'bind' | 'unbind',
  args: MethodArgs<'queue.unbind'>,
  done: () => void,
): Refusal | undefined {
  const target = args.queue === '' ? channel.lastQueue : cleanName(args.queue);
  if (target === '') return refusals.noPreviousQueue();
  // Without both names the key is the queue's name too.
  const routingKey = args.queue === '' && args.routingKey === '' ? target : args.routingKey;
  const refusal =
    channel.rights.refuse('write', 'queue', target) ?? refuseSource(channel, args.exchange);
  if (refusal !== undefined) return refusal;
  const destination = destinationNamed(channel, target);
  if (destination === undefined) {
    if (kind === 'bind') return refusals.noQueue(target, channel.vhost);
    done();
    return undefined;
  }
  if (isLocked(channel, destination)) return refusals.lockedQueue(target, channel.vhost);
  const { exchange: source, arguments: table } = args;
  return bindTo(channel, kind, { source, targetKind: 'queue', target, routingKey, table }, done);
}

/** The end that a binding reads from: the other one is written to. */
export function refuseSource(channel: Channel, given: string): Refusal | undefined {
  const source = cleanName(given);
  if (source === '') return refusals.defaultExchange();
  return channel.rights.refuse('read', 'exchange', source);
}

export interface WantedBinding {
  readonly source: string;
  readonly targetKind: 'queue' | 'exchange';
  readonly target: string;
  readonly routingKey: string;
  readonly table: FieldTable;
}

/** Whatever it binds: whether the source is there is looked at here, the target and rights were before. */
export function bindTo(
  channel: Channel,
  kind: 'bind' | 'unbind',
  wanted: WantedBinding,
  done: () => void,
): Refusal | undefined {
  const { host } = channel;
  const { targetKind, target, routingKey, table } = wanted;
  const source = cleanName(wanted.source);
  const exchange = channel.names.exchange(source);
  if (exchange === undefined) {
    if (kind === 'bind') return refusals.noExchange(source, channel.vhost);
    done();
    return undefined;
  }
  const match = headerMatchOf(exchange.type, table, host.tools.form, host.tools.walk);
  if ('refusal' in match) return match.refusal;
  const ends = { source, targetKind, target, routingKey };
  const binding = { ...ends, arguments: canonicalArguments(table), headerMatch: match.bytes };
  channel.ask({ kind, binding }, (result) => {
    if (result.kind === 'ok') {
      done();
      return undefined;
    }
    if (result.kind === 'refused' && result.code === 'unknown-destination') {
      return refusals.noQueue(target, channel.vhost);
    }
    const unknown = channel.names.exchange(source) === undefined ? source : target;
    return refuseResult(result, { kind: 'exchange', name: unknown, vhost: channel.vhost });
  });
  return undefined;
}

// ---- Purge and delete -----------------------------------------------------------------------------

export function purgeQueue(channel: Channel, args: MethodArgs<'queue.purge'>): Refusal | undefined {
  const found = findQueue(channel, args.queue, 'read');
  if ('refusal' in found) return found.refusal;
  if (found.isStream) return refusals.purgeStream(found.name, channel.vhost);
  channel.ask({ kind: 'purge', logId: found.logId }, (count) => {
    if (typeof count === 'string') return unreachable(channel, found.name);
    if (!args.noWait) channel.reply('queue.purge-ok', { messageCount: count });
    return undefined;
  });
  return undefined;
}

export function deleteQueue(
  channel: Channel,
  args: MethodArgs<'queue.delete'>,
): Refusal | undefined {
  const name = args.queue === '' ? channel.lastQueue : cleanName(args.queue);
  if (name === '') return refusals.noPreviousQueue();
  const refusal = channel.rights.refuse('configure', 'queue', name);
  if (refusal !== undefined) return refusal;
  if (destinationNamed(channel, name) === undefined) return deleted(channel, args, 0);
  const found = findQueue(channel, name, 'configure');
  if ('refusal' in found) return found.refusal;
  const { logId, destination } = found;
  const { ifUnused: isUnused, ifEmpty: isEmpty } = args;
  if (found.isStream) return deleteStream(channel, args, found);
  if (destination.queue?.quorum !== undefined && (isUnused || isEmpty)) {
    return refusals.conditionalDelete(isUnused ? 'if-unused' : 'if-empty', name, channel.vhost);
  }
  const count = () =>
    channel.ask({ kind: 'stats', logId }, (stats) => remove(channel, args, found, stats));
  if (!isUnused && !isEmpty) {
    count();
    return undefined;
  }
  channel.ask({ kind: 'check', logId, isUnused, isEmpty }, (verdict) => {
    if (verdict === 'in-use') return refusals.inUse(queueNamed(channel, name));
    if (verdict === 'not-empty') return refusals.notEmpty(name, channel.vhost);
    if (verdict !== 'ok') return unreachable(channel, name);
    count();
    return undefined;
  });
  return undefined;
}

/** A queue that nobody leads can be deleted too; then nobody knows how much was in it. */
function remove(
  channel: Channel,
  args: MethodArgs<'queue.delete'>,
  { name, logId }: FoundQueue,
  stats: QueueStats | string,
): undefined {
  const count = typeof stats === 'string' ? 0 : stats.ready;
  channel.ask({ kind: 'delete-queue', name, logId }, (result) => {
    const isGone =
      result.kind === 'refused' &&
      (result.code === 'unknown-destination' || result.code === 'stale-log');
    if (result.kind !== 'ok' && !isGone) return refuseResult(result, queueNamed(channel, name));
    return deleted(channel, args, count);
  });
}

/** At once, whatever is in it; how much that was, RabbitMQ does not say either. */
function deleteStream(
  channel: Channel,
  args: MethodArgs<'queue.delete'>,
  { name }: FoundQueue,
): Refusal | undefined {
  const flag = args.ifUnused ? 'if-unused' : args.ifEmpty ? 'if-empty' : undefined;
  if (flag !== undefined) return refusals.conditionalDelete(flag, name, channel.vhost, 'stream');
  channel.ask({ kind: 'delete-stream', name }, (result) => {
    const isGone = result.kind === 'refused' && result.code === 'unknown-destination';
    if (result.kind !== 'ok' && !isGone) return refuseResult(result, queueNamed(channel, name));
    return deleted(channel, args, 0);
  });
  return undefined;
}

function deleted(
  channel: Channel,
  args: MethodArgs<'queue.delete'>,
  messageCount: number,
): undefined {
  if (!args.noWait) channel.reply('queue.delete-ok', { messageCount });
}
