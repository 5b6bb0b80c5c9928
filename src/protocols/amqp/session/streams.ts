// Streams: queue.declare of one, and what a consumer of one has to ask for. What is refused and in which words:
// rabbit_stream_queue.erl (3.10 to 4.x).
import { type CreateDestination, PARTITION_KIND, type StreamStart } from '../../../broker/ports.ts';
import {
  argumentFaults,
  type FieldTable,
  type FieldValue,
  fieldOf,
  type MethodArgs,
  type Named,
  type Refusal,
  refusals,
} from '../codec/index.ts';
import {
  integerOf,
  numberOf,
  refuseStreamArguments,
  refuseStreamConsumerArguments,
  STREAM_TYPE,
} from './arguments.ts';
import type { Channel } from './channel.ts';
import { cleanName, isReserved } from './names.ts';
import { refuseResult } from './outcomes.ts';
import { declared, destinationNamed } from './queues.ts';
import { ageOf } from './stream-age.ts';
import { keepingOf, otherLimit } from './stream-keeping.ts';

export const STREAM: FieldValue = { type: 'longstr', value: 'stream' };
const CLASSIC: FieldValue = { type: 'longstr', value: 'classic' };
const QUORUM: FieldValue = { type: 'longstr', value: 'quorum' };
/** Ours: how many logs the stream has, for publishes that are spread by key. */
const PARTITIONS = 'x-partitions';

export function typeOf(table: FieldTable): FieldValue | undefined {
  return fieldOf(table, 'x-queue-type');
}

/** The kind of queue that is declared, as far as it is a word. */
export function typeNameOf(args: MethodArgs<'queue.declare'>): string | undefined {
  const type = typeOf(args.arguments);
  return type?.type === 'longstr' ? String(type.value) : undefined;
}

// ---- Declare --------------------------------------------------------------------------------------

export function declareStream(
  channel: Channel,
  args: MethodArgs<'queue.declare'>,
): Refusal | undefined {
  const name = cleanName(args.queue);
  if (name === '') return refusals.serverNamedQueue(STREAM_TYPE);
  const refusal = channel.rights.refuse('configure', 'queue', name);
  if (refusal !== undefined) return refusal;
  const what = { kind: 'queue', name, vhost: channel.vhost } as const;
  const fault = refuseStreamArguments(args.arguments, what);
  if (fault !== undefined) return fault;
  if (destinationNamed(channel, name) !== undefined) return agree(channel, args, what);
  if (isReserved(name)) return refusals.reservedName('queue', name);
  const property = unfitProperty(args);
  if (property !== undefined) return refusals.invalidProperty(property, name, channel.vhost);
  const stream = wanted(channel, name, args.arguments);
  channel.ask({ kind: 'declare-stream', stream }, (result) => {
    if (result.kind === 'ok') return declared(channel, args, name, false);
    if (result.kind !== 'refused' || result.code !== 'exists') return refuseResult(result, what);
    // Somebody else was faster.
    if (destinationNamed(channel, name) !== undefined) return agree(channel, args, what);
    return [
      'PRECONDITION_FAILED',
      `queue '${name}' in vhost '${channel.vhost}' is the cluster's own`,
    ];
  });
  return undefined;
}

function wanted(channel: Channel, name: string, table: FieldTable): CreateDestination {
  const { view } = channel.host.ports;
  const live = view.nodes().filter(({ isLive, role }) => isLive && role === 'disk').length;
  const replicas = numberOf(table, 'x-initial-cluster-size');
  return {
    name,
    partitions: numberOf(table, PARTITIONS) ?? 1,
    replicationFactor: replicas === undefined ? -1 : Math.max(1, Math.min(live, replicas)),
    assignments: [],
    config: keepingOf(table),
    isInternal: false,
    kind: PARTITION_KIND,
    validateOnly: false,
  };
}

/** What neither a stream nor a quorum queue can be, in the order in which RabbitMQ looks. */
export function unfitProperty(
  args: MethodArgs<'queue.declare'>,
): 'auto-delete' | 'exclusive-owner' | 'non-durable' | undefined {
  if (args.autoDelete) return 'auto-delete';
  if (args.exclusive) return 'exclusive-owner';
  return args.durable ? undefined : 'non-durable';
}

/** Is what is there what is asked for? */
function agree(
  channel: Channel,
  args: MethodArgs<'queue.declare'>,
  what: Named,
): Refusal | undefined {
  const { queue, logs, config } = destinationNamed(channel, what.name)!;
  if (queue !== undefined) {
    const type: FieldValue = queue.quorum === undefined ? CLASSIC : QUORUM;
    return refusals.inequivalentArgument('x-queue-type', what, STREAM, type);
  }
  if (args.exclusive) return refusals.lockedQueue(what.name, channel.vhost);
  if (!args.durable) return refusals.inequivalentProperty('durable', what, 'false', 'true');
  if (args.autoDelete) return refusals.inequivalentProperty('auto_delete', what, 'true', 'false');
  const partitions = fieldOf(args.arguments, PARTITIONS);
  if (partitions !== undefined && numberOf(args.arguments, PARTITIONS) !== logs.length) {
    const current = { type: 'signedint', value: logs.length } as const;
    return refusals.inequivalentArgument(PARTITIONS, what, partitions, current);
  }
  const other = otherLimit(args.arguments, config, logs[0]!.durability);
  if (other !== undefined) {
    const { argument, current } = other;
    const received = fieldOf(args.arguments, argument);
    return refusals.inequivalentArgument(argument, what, received, current);
  }
  return declared(channel, args, what.name, true);
}

// ---- Consume --------------------------------------------------------------------------------------

export function refuseStreamConsumer(
  channel: Channel,
  args: MethodArgs<'basic.consume'>,
  stream: Named,
): Refusal | undefined {
  const { name } = stream;
  const table = args.arguments;
  const fault = refuseStreamConsumerArguments(table, stream);
  if (fault !== undefined) return fault;
  const offset = fieldOf(table, OFFSET);
  if (offset !== undefined && startAt(offset) === undefined) {
    const reason = argumentFaults.invalidStreamOffset(offset);
    return refusals.invalidArgument(OFFSET, name, channel.vhost, reason);
  }
  const { prefetch } = channel;
  if (prefetch.next === Number.POSITIVE_INFINITY) return refusals.noPrefetch(name, channel.vhost);
  if (args.noAck) return refusals.autoAckFromStream(name, channel.vhost);
  if (prefetch.isShared) return refusals.globalQos(name, channel.vhost);
  if (!args.exclusive) return undefined;
  const words = `queue '${name}' in vhost '${channel.vhost}' is a stream, which is never consumed by one alone`;
  return ['PRECONDITION_FAILED', words];
}

const OFFSET = 'x-stream-offset';

/** Where a consumer with these arguments begins; they were looked at before. */
export function startOf(table: FieldTable): StreamStart {
  const offset = fieldOf(table, OFFSET);
  return (offset === undefined ? undefined : startAt(offset)) ?? { kind: 'next' };
}

function startAt(value: FieldValue): StreamStart | undefined {
  if (value.type === 'longstr') return startNamed(value.value);
  if (value.type === 'timestamp') {
    const timestampMs = Number(value.value) * 1_000;
    return isPlace(timestampMs) ? { kind: 'time', timestampMs } : undefined;
  }
  const number = integerOf(value);
  const offset = number === undefined ? -1 : Number(number);
  return isPlace(offset) ? { kind: 'offset', offset } : undefined;
}

function isPlace(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 0;
}

/** A word, or an interval such as `1h`. */
function startNamed(text: string | Uint8Array): StreamStart | undefined {
  if (text === 'first' || text === 'last' || text === 'next') return { kind: text };
  const ageMs = ageOf(text);
  return ageMs === undefined ? undefined : { kind: 'age', ageMs };
}
