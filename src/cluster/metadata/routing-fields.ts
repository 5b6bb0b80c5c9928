// Field codecs of exchanges, bindings and queues, for commands and snapshots alike.
import { type ByteReader, BytesError, type ByteWriter } from '../../std/bytes.ts';
import { readList, readOptionalText, writeList, writeOptionalText } from './fields.ts';
import type {
  BindingRecord,
  BindingTarget,
  ComparedArgument,
  ExchangeRecord,
  QueueOwner,
  QueueRules,
} from './routing-types.ts';
import { DURABILITIES } from './types.ts';

const TARGETS = ['queue', 'exchange'] as const satisfies readonly BindingTarget[];

export function writeFlags(out: ByteWriter, flags: readonly boolean[]): void {
  let bits = 0;
  for (const [bit, flag] of flags.entries()) if (flag) bits |= 1 << bit;
  out.u8(bits);
}

/** Refuses bits beyond `count`: a newer version meant something by them. */
export function readFlags(input: ByteReader, count: number): boolean[] {
  const bits = input.u8();
  if (bits >>> count !== 0) throw new BytesError('BYTES_TRUNCATED', 'unknown flags', { bits });
  return Array.from({ length: count }, (_, bit) => (bits & (1 << bit)) !== 0);
}

export function writeExchange(out: ByteWriter, exchange: ExchangeRecord): void {
  out.text(exchange.vhost);
  out.text(exchange.name);
  out.text(exchange.type);
  writeFlags(out, [exchange.durable, exchange.autoDelete, exchange.isInternal]);
  writeOptionalText(out, exchange.alternate);
  out.sized(exchange.arguments);
}

export function readExchange(input: ByteReader): ExchangeRecord {
  const vhost = input.text();
  const name = input.text();
  const type = input.text();
  const [durable, autoDelete, isInternal] = readFlags(input, 3) as [boolean, boolean, boolean];
  const alternate = readOptionalText(input);
  const argumentBytes = input.sized().slice();
  const flags = { durable, autoDelete, isInternal };
  return { vhost, name, type, ...flags, alternate, arguments: argumentBytes };
}

export function writeBinding(out: ByteWriter, binding: BindingRecord): void {
  out.text(binding.vhost);
  out.text(binding.source);
  out.u8(TARGETS.indexOf(binding.targetKind));
  out.text(binding.target);
  out.text(binding.routingKey);
  out.sized(binding.arguments);
  out.sized(binding.headerMatch);
}

export function readBinding(input: ByteReader): BindingRecord {
  const vhost = input.text();
  const source = input.text();
  const code = input.u8();
  const targetKind = TARGETS[code];
  if (targetKind === undefined) {
    throw new BytesError('BYTES_TRUNCATED', 'unknown kind of target', { code });
  }
  const target = input.text();
  const routingKey = input.text();
  const argumentBytes = input.sized().slice();
  const headerMatch = input.sized().slice();
  const ends = { vhost, source, targetKind, target };
  return { ...ends, routingKey, arguments: argumentBytes, headerMatch };
}

export function writeOwner(out: ByteWriter, owner: QueueOwner): void {
  out.varI53(owner.node);
  out.varU53(owner.incarnation);
  out.varU53(owner.shard);
  out.varU53(owner.shardIncarnation);
  out.varU53(owner.connection);
}

export function readOwner(input: ByteReader): QueueOwner {
  const node = input.varI53();
  const incarnation = input.varU53();
  const shard = input.varU53();
  const shardIncarnation = input.varU53();
  return { node, incarnation, shard, shardIncarnation, connection: input.varU53() };
}

export function writeQueueRules(out: ByteWriter, queue: QueueRules): void {
  // Its place counted from 1, in three bits; 0: not named.
  const named = queue.durability === undefined ? 0 : DURABILITIES.indexOf(queue.durability) + 1;
  const bits = [1, 2, 4].map((bit) => (named & bit) !== 0);
  const limit = queue.quorum?.deliveryLimit;
  const quorum = [queue.quorum !== undefined, limit !== undefined];
  writeFlags(out, [queue.durable, queue.autoDelete, queue.owner !== undefined, ...bits, ...quorum]);
  if (queue.owner !== undefined) writeOwner(out, queue.owner);
  if (limit !== undefined) out.varI53(limit);
  out.sized(queue.arguments);
  writeList(out, queue.compared, writeCompared);
}

export function readQueueRules(input: ByteReader): QueueRules {
  const flags = readFlags(input, 8);
  const [durable, autoDelete, isOwned] = flags as [boolean, boolean, boolean, ...boolean[]];
  const named = flags.slice(3, 6).reduce((sum, bit, i) => sum + (bit ? 1 << i : 0), 0);
  const [isQuorum, isLimited] = flags.slice(6);
  const durability = DURABILITIES[named - 1];
  if (named > 0 && durability === undefined) {
    throw new BytesError('BYTES_TRUNCATED', 'unknown durability', { named });
  }
  if (isLimited === true && isQuorum !== true) {
    throw new BytesError('BYTES_TRUNCATED', 'a delivery limit without a quorum');
  }
  const owner = isOwned ? readOwner(input) : undefined;
  const limits = isLimited === true ? { deliveryLimit: input.varI53() } : {};
  const argumentBytes = input.sized().slice();
  const compared = readList(input, readCompared);
  return {
    durable,
    autoDelete,
    owner,
    arguments: argumentBytes,
    compared,
    ...(durability === undefined ? {} : { durability }),
    ...(isQuorum === true ? { quorum: limits } : {}),
  };
}

function writeCompared(out: ByteWriter, argument: ComparedArgument): void {
  out.text(argument.name);
  out.text(argument.value);
  out.text(argument.shown);
}

function readCompared(input: ByteReader): ComparedArgument {
  const name = input.text();
  const value = input.text();
  return { name, value, shown: input.text() };
}
