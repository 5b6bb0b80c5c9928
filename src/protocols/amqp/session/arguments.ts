// Arguments of queues, exchanges, bindings and consumers: what RabbitMQ knows by name is checked as it does, and what
// this version does not honour is refused by name. What nobody knows is kept and means nothing, as there. Which
// arguments there are: rabbit_amqqueue.erl, rabbit_quorum_queue.erl, rabbit_stream_queue.erl (4.x).
import { type ComparedArgument, DURABILITIES, type Durability } from '../../../broker/ports.ts';
import { ByteReader, ByteWriter } from '../../../std/bytes.ts';
import {
  argumentFaults,
  type FieldTable,
  type FieldText,
  type FieldValue,
  fieldOf,
  type Named,
  type Refusal,
  readTable,
  refusals,
  writeTable,
} from '../codec/index.ts';
import { ageOf } from './stream-age.ts';

/** What is wrong with a value, as a refusal shows it; undefined: nothing. */
type Check = (value: FieldValue) => string | undefined;

interface Rule {
  readonly check: Check;
  /** A value that is honoured; all others are refused. */
  readonly honours?: (value: FieldValue) => boolean;
}

/** A number with a fraction or of a type without is none here. */
export function integerOf(value: FieldValue): number | bigint | undefined {
  switch (value.type) {
    case 'byte':
    case 'unsignedbyte':
    case 'short':
    case 'unsignedshort':
    case 'signedint':
    case 'unsignedint':
    case 'long':
      return value.value;
    default:
      return undefined;
  }
}

function integer(min: 0 | 1, max = Number.MAX_SAFE_INTEGER): Check {
  return (value) => {
    const number = integerOf(value);
    if (number === undefined) return argumentFaults.notInteger(value.type);
    if (number < 0) return argumentFaults.negative(number);
    if (number < min) return argumentFaults.zero();
    return number > max ? argumentFaults.aboveMax(number) : undefined;
  };
}

function ofType(type: FieldValue['type']): Check {
  return (value) => (value.type === type ? undefined : argumentFaults.unacceptable(value.type));
}

function oneOf(words: readonly string[], fault: (value: string) => string): Check {
  return (value) => {
    if (value.type !== 'longstr') return argumentFaults.unacceptable(value.type);
    const text = String(value.value);
    return words.includes(text) ? undefined : fault(text);
  };
}

function age(value: FieldValue): string | undefined {
  if (value.type !== 'longstr') return argumentFaults.unacceptable(value.type);
  return ageOf(value.value) === undefined ? argumentFaults.maxAge() : undefined;
}

const anything: Check = () => undefined;

const TTL_MAX = 4_294_967_295;
/** RabbitMQ takes 3,000,000,000; a segment of ours has at most 1 GiB. */
const SEGMENT_BYTES_MAX = 1_073_741_824;
const OVERFLOWS = ['drop-head', 'reject-publish', 'reject-publish-dlx'];
/** Ours: when a message counts as taken. */
export const DURABILITY = 'x-durability';
/** How often a message of a quorum queue may come back. */
const DELIVERY_LIMIT = 'x-delivery-limit';
const GROUP_SIZE = 'x-quorum-initial-group-size';
const LOCATORS = ['client-local', 'balanced', 'random', 'least-leaders', 'min-masters'];

const QUEUE_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  // Bodies lie on disk whatever is asked for.
  [
    'x-queue-mode',
    {
      check: oneOf(['default', 'lazy'], (mode) => argumentFaults.unsupported('mode', mode)),
      honours: () => true,
    },
  ],
  [
    DURABILITY,
    {
      check: oneOf(DURABILITIES, (mode) => argumentFaults.unsupported('durability', mode)),
      honours: () => true,
    },
  ],
  ['x-queue-version', { check: integer(1, 2), honours: () => true }],
  [
    'x-queue-type',
    {
      check: oneOf(['classic', 'quorum', 'stream'], (type) =>
        argumentFaults.unsupported('type', type),
      ),
      honours: () => true,
    },
  ],
  [
    'x-queue-leader-locator',
    { check: oneOf(LOCATORS, (locator) => `"unsupported locator '${locator}'"`) },
  ],
  ['x-expires', { check: integer(1, TTL_MAX) }],
  ['x-message-ttl', { check: integer(0, TTL_MAX) }],
  ['x-max-length', { check: integer(0) }],
  ['x-max-length-bytes', { check: integer(0) }],
  ['x-max-priority', { check: integer(0, 255) }],
  ['x-overflow', { check: oneOf(OVERFLOWS, () => argumentFaults.overflow()) }],
  ['x-single-active-consumer', { check: ofType('bool') }],
  ['x-dead-letter-routing-key', { check: ofType('longstr') }],
  ['x-dead-letter-exchange', { check: anything }],
  ['x-dead-letter-strategy', { check: ofType('longstr') }],
  [DELIVERY_LIMIT, { check: integerCheck, honours: () => true }],
  [GROUP_SIZE, { check: integer(1), honours: () => true }],
  ['x-consumer-timeout', { check: integer(1) }],
  ['x-consumer-disconnected-timeout', { check: integer(1) }],
  ['x-delayed-retry-type', { check: ofType('longstr') }],
  ['x-delayed-retry-min', { check: integer(0) }],
  ['x-delayed-retry-max', { check: integer(0) }],
  ['x-max-age', { check: age }],
  ['x-stream-max-segment-size-bytes', { check: integer(0, SEGMENT_BYTES_MAX) }],
  ['x-stream-filter-size-bytes', { check: integer(0) }],
  ['x-initial-cluster-size', { check: integer(1) }],
  ['x-partitions', { check: integer(1, 10_000) }],
  ['x-message-deduplication', { check: anything }],
  ['x-name-prefix', { check: ofType('longstr') }],
]);

/** Those of the others that streams have; and which of them this version honours. */
const STREAM_ARGUMENTS: ReadonlyMap<string, boolean> = new Map([
  ['x-queue-type', true],
  ['x-initial-cluster-size', true],
  ['x-partitions', true],
  ['x-max-length-bytes', true],
  ['x-max-age', true],
  [DURABILITY, true],
  ['x-stream-max-segment-size-bytes', true],
  ['x-stream-filter-size-bytes', false],
  ['x-queue-leader-locator', false],
]);

/** Those that quorum queues have, and which of them this version honours. */
const QUORUM_ARGUMENTS: ReadonlyMap<string, boolean> = new Map([
  ['x-queue-type', true],
  [DELIVERY_LIMIT, true],
  [GROUP_SIZE, true],
  [DURABILITY, true],
  ['x-dead-letter-exchange', false],
  ['x-dead-letter-routing-key', false],
  ['x-dead-letter-strategy', false],
  ['x-expires', false],
  ['x-message-ttl', false],
  ['x-max-length', false],
  ['x-max-length-bytes', false],
  ['x-overflow', false],
  ['x-single-active-consumer', false],
  ['x-queue-leader-locator', false],
  ['x-consumer-timeout', false],
  ['x-consumer-disconnected-timeout', false],
  ['x-delayed-retry-type', false],
  ['x-delayed-retry-min', false],
  ['x-delayed-retry-max', false],
]);

/** Those that no classic queue has. */
const NOT_CLASSIC: ReadonlySet<string> = new Set([DELIVERY_LIMIT, GROUP_SIZE]);

const QUORUM_CONSUMER_ARGUMENTS: ReadonlyMap<string, boolean> = new Map([
  ['x-priority', true],
  ['x-consumer-timeout', false],
]);

const STREAM_CONSUMER_ARGUMENTS: ReadonlyMap<string, boolean> = new Map([
  ['x-stream-offset', true],
  ['x-stream-filter', false],
  ['x-stream-match-unfiltered', false],
]);

const CONSUMER_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['x-priority', { check: integerCheck, honours: () => true }],
  ['x-cancel-on-ha-failover', { check: ofType('bool'), honours: isFalse }],
  ['x-stream-offset', { check: anything }],
  ['x-stream-filter', { check: anything }],
  ['x-stream-match-unfiltered', { check: anything }],
  ['x-consumer-timeout', { check: integer(1) }],
]);

function integerCheck(value: FieldValue): string | undefined {
  const isInteger = integerOf(value) !== undefined;
  return isInteger ? undefined : argumentFaults.notInteger(value.type);
}

function isFalse(value: FieldValue): boolean {
  return value.type === 'bool' && !value.value;
}

const NOT_HONOURED = 'it is not honoured by this version';

/** The first argument of a queue that cannot be honoured. */
export function refuseQueueArguments(table: FieldTable, queue: Named): Refusal | undefined {
  const exchange = fieldOf(table, 'x-dead-letter-exchange');
  if (exchange !== undefined && exchange.type !== 'longstr') {
    return refusals.invalidArgumentType(exchange.type, 'x-dead-letter-exchange', queue);
  }
  const faults = (name: string, reason: string) =>
    refusals.invalidArgument(name, queue.name, queue.vhost, reason);
  if (exchange === undefined && fieldOf(table, 'x-dead-letter-routing-key') !== undefined) {
    return faults('x-dead-letter-routing-key', argumentFaults.keyWithoutExchange());
  }
  const fault = firstFault(table, QUEUE_RULES, faults);
  if (fault !== undefined) return fault;
  const other = table.find(({ name }) => typeof name === 'string' && NOT_CLASSIC.has(name));
  if (other === undefined) return undefined;
  const name = String(other.name);
  return refusals.argumentOfOtherType(name, queue.name, queue.vhost, 'rabbit_classic_queue');
}

/** What RabbitMQ calls the type in its texts. */
export const QUORUM_TYPE = 'rabbit_quorum_queue';

/** The first argument of a quorum queue that cannot be honoured, or that no such queue has. */
export function refuseQuorumArguments(table: FieldTable, queue: Named): Refusal | undefined {
  const fault = typedFault(table, QUEUE_RULES, QUORUM_ARGUMENTS, queue, QUORUM_TYPE);
  if (fault !== undefined) return fault;
  const durability = durabilityOf(table);
  if (durability === undefined || durability === 'sync') return undefined;
  const reason = argumentFaults.unsupported('durability', durability);
  return refusals.invalidArgument(DURABILITY, queue.name, queue.vhost, reason);
}

/** The same of a consumer of one. */
export function refuseQuorumConsumerArguments(
  table: FieldTable,
  queue: Named,
): Refusal | undefined {
  return typedFault(table, CONSUMER_RULES, QUORUM_CONSUMER_ARGUMENTS, queue, QUORUM_TYPE);
}

/** The same of a consumer of a classic queue. */
export function refuseConsumerArguments(table: FieldTable, queue: Named): Refusal | undefined {
  return firstFault(table, CONSUMER_RULES, (name, reason) =>
    refusals.invalidArgument(name, queue.name, queue.vhost, reason),
  );
}

/** The first argument of a stream that cannot be honoured, or that no stream has. */
export function refuseStreamArguments(table: FieldTable, stream: Named): Refusal | undefined {
  return typedFault(table, QUEUE_RULES, STREAM_ARGUMENTS, stream, STREAM_TYPE);
}

/** The same of a consumer of one. */
export function refuseStreamConsumerArguments(
  table: FieldTable,
  stream: Named,
): Refusal | undefined {
  return typedFault(table, CONSUMER_RULES, STREAM_CONSUMER_ARGUMENTS, stream, STREAM_TYPE);
}

function typedFault(
  table: FieldTable,
  rules: ReadonlyMap<string, Rule>,
  own: ReadonlyMap<string, boolean>,
  { name: queue, vhost }: Named,
  type: string,
): Refusal | undefined {
  for (const { name, value } of table) {
    const rule = typeof name === 'string' ? rules.get(name) : undefined;
    if (rule === undefined) continue;
    const text = String(name);
    const fault = rule.check(value);
    if (fault !== undefined) return refusals.invalidArgument(text, queue, vhost, fault);
    const isHonoured = own.get(text);
    if (isHonoured === undefined) {
      return refusals.argumentOfOtherType(text, queue, vhost, type);
    }
    if (!isHonoured) return refusals.invalidArgument(text, queue, vhost, NOT_HONOURED);
  }
  return undefined;
}

function firstFault(
  table: FieldTable,
  rules: ReadonlyMap<string, Rule>,
  fault: (name: string, reason: string) => Refusal,
): Refusal | undefined {
  for (const { name, value } of table) {
    const rule = typeof name === 'string' ? rules.get(name) : undefined;
    if (rule === undefined) continue;
    const reason = rule.check(value) ?? (rule.honours?.(value) === true ? undefined : NOT_HONOURED);
    if (reason !== undefined) return fault(String(name), reason);
  }
  return undefined;
}

/** What RabbitMQ calls the type in its texts. */
export const STREAM_TYPE = 'rabbit_stream_queue';

/** Checked before. What no Number holds exactly is the last one that is: a `long` goes further. */
export function numberOf(table: FieldTable, name: string): number | undefined {
  const value = fieldOf(table, name);
  const number = value === undefined ? undefined : integerOf(value);
  if (number === undefined) return undefined;
  const { MIN_SAFE_INTEGER, MAX_SAFE_INTEGER } = Number;
  return Math.min(MAX_SAFE_INTEGER, Math.max(MIN_SAFE_INTEGER, Number(number)));
}

/** How often a message may come back, as it is declared. Checked before. */
export function deliveryLimitOf(table: FieldTable): number | undefined {
  return numberOf(table, DELIVERY_LIMIT);
}

/** Replicas of a quorum queue; -1: as many as the cluster's default. Checked before. */
export function groupSizeOf(table: FieldTable): number {
  return numberOf(table, GROUP_SIZE) ?? -1;
}

/** What of a quorum queue's arguments must be the same when it is declared again. Checked before. */
export function comparedOf(table: FieldTable): readonly ComparedArgument[] {
  return ['x-queue-type', DELIVERY_LIMIT, GROUP_SIZE].flatMap((name) => {
    const field = fieldOf(table, name);
    if (field === undefined) return [];
    const value = field.type === 'longstr' ? String(field.value) : String(integerOf(field));
    return [{ name, value, shown: value }];
  });
}

/** Checked before; undefined: that of all queues. */
export function durabilityOf(table: FieldTable): Durability | undefined {
  const value = fieldOf(table, DURABILITY);
  return DURABILITIES.find((each) => value?.type === 'longstr' && value.value === each);
}

/** 0 unless the consumer asks for one. */
export function priorityOf(table: FieldTable): number {
  return numberOf(table, 'x-priority') ?? 0;
}

// ---- Exchanges -------------------------------------------------------------------------------------

const ALTERNATE = 'alternate-exchange';

/** The exchange that gets what this one cannot route; undefined: none. */
export function alternateOf(
  table: FieldTable,
  exchange: Named,
): { readonly name: string | undefined } | { readonly refusal: Refusal } {
  const value = fieldOf(table, ALTERNATE);
  if (value === undefined) return { name: undefined };
  if (value.type === 'longstr' && typeof value.value === 'string') return { name: value.value };
  return { refusal: refusals.invalidArgumentType(value.type, ALTERNATE, exchange) };
}

// ---- Bytes -----------------------------------------------------------------------------------------

/** Equal arguments are equal bytes, whatever their order; none are no bytes. */
export function canonicalArguments(table: FieldTable): Uint8Array {
  const writer = new ByteWriter(64);
  if (table.length === 0) return writer.toBytes();
  writeTable(
    writer,
    [...table].sort((a, b) => compareNames(a.name, b.name)),
  );
  return writer.toBytes();
}

/** What `canonicalArguments` wrote. */
export function argumentsOf(bytes: Uint8Array): FieldTable {
  return bytes.length === 0 ? [] : readTable(new ByteReader(bytes));
}

function compareNames(a: FieldText, b: FieldText): number {
  const [left, right] = [String(a), String(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
