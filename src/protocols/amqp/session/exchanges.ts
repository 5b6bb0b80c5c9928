// exchange.declare, delete, bind and unbind.
import type { Difference, MetadataResult } from '../../../broker/ports.ts';
import { type FieldValue, type MethodArgs, type Refusal, refusals } from '../codec/index.ts';
import { alternateOf, canonicalArguments } from './arguments.ts';
import type { Channel } from './channel.ts';
import { cleanName, isReserved } from './names.ts';
import { refuseResult } from './outcomes.ts';
import { bindTo, refuseSource } from './queues.ts';

const exchangeNamed = ({ vhost }: Channel, name: string) =>
  ({ kind: 'exchange', name, vhost }) as const;

export function declareExchange(
  channel: Channel,
  args: MethodArgs<'exchange.declare'>,
): Refusal | undefined {
  const name = cleanName(args.exchange);
  if (name === '') return refusals.defaultExchange();
  const reply = (): undefined => {
    if (!args.noWait) channel.reply('exchange.declare-ok', {});
  };
  const isKnown = channel.names.exchange(name) !== undefined;
  if (args.passive) {
    const unseen = channel.rights.refuseLook('exchange', name);
    if (unseen !== undefined) return unseen;
    return isKnown ? reply() : refusals.noExchange(name, channel.vhost);
  }
  const refusal = channel.rights.refuse('configure', 'exchange', name);
  if (refusal !== undefined) return refusal;
  if (!isKnown && isReserved(name)) return refusals.reservedName('exchange', name);
  const alternate = alternateOf(args.arguments, exchangeNamed(channel, name));
  if ('refusal' in alternate) return alternate.refusal;
  if (!isKnown && alternate.name !== undefined) {
    const unfit =
      channel.rights.refuse('read', 'exchange', name) ??
      channel.rights.refuse('write', 'exchange', alternate.name);
    if (unfit !== undefined) return unfit;
  }
  const exchange = {
    name,
    type: args.type,
    durable: args.durable,
    autoDelete: args.autoDelete,
    isInternal: args.internal,
    alternate: alternate.name,
    arguments: canonicalArguments(args.arguments),
  };
  channel.ask({ kind: 'declare-exchange', exchange }, (result) =>
    result.kind === 'ok' ? reply() : refuseDeclare(channel, name, args.type, result),
  );
  return undefined;
}

function refuseDeclare(
  channel: Channel,
  name: string,
  type: string,
  result: Exclude<MetadataResult, { kind: 'ok' }>,
): Refusal {
  if (result.kind === 'refused') {
    if (result.code === 'unknown-exchange-type') return refusals.unknownExchangeType(type);
    if (result.difference !== undefined) return refuseDifference(channel, name, result.difference);
  }
  return refuseResult(result, exchangeNamed(channel, name));
}

function refuseDifference(
  channel: Channel,
  name: string,
  { property, received, current }: Difference,
): Refusal {
  const what = exchangeNamed(channel, name);
  if (property === 'alternate') {
    const value = (text: string | undefined): FieldValue | undefined =>
      text === undefined ? undefined : { type: 'longstr', value: text };
    return refusals.inequivalentArgument(
      'alternate-exchange',
      what,
      value(received),
      value(current),
    );
  }
  const word = property === 'autoDelete' ? 'auto_delete' : property;
  return refusals.inequivalentProperty(word, what, String(received), String(current));
}

export function deleteExchange(
  channel: Channel,
  args: MethodArgs<'exchange.delete'>,
): Refusal | undefined {
  const name = cleanName(args.exchange);
  if (name === '') return refusals.defaultExchange();
  const refusal = channel.rights.refuse('configure', 'exchange', name);
  if (refusal !== undefined) return refusal;
  channel.ask({ kind: 'delete-exchange', name, ifUnused: args.ifUnused }, (result) => {
    const code = result.kind === 'refused' ? result.code : undefined;
    if (code === 'built-in-exchange') return refusals.systemExchange(name, channel.vhost);
    if (code === 'exchange-in-use') return refusals.inUse(exchangeNamed(channel, name));
    if (result.kind !== 'ok' && code !== 'unknown-exchange') {
      return refuseResult(result, exchangeNamed(channel, name));
    }
    if (!args.noWait) channel.reply('exchange.delete-ok', {});
    return undefined;
  });
  return undefined;
}

export function bindExchange(
  channel: Channel,
  args: MethodArgs<'exchange.bind'>,
): Refusal | undefined {
  return changeBinding(channel, 'bind', args);
}

export function unbindExchange(
  channel: Channel,
  args: MethodArgs<'exchange.unbind'>,
): Refusal | undefined {
  return changeBinding(channel, 'unbind', args);
}

function changeBinding(
  channel: Channel,
  kind: 'bind' | 'unbind',
  args: MethodArgs<'exchange.bind'>,
): Refusal | undefined {
  const target = cleanName(args.destination);
  if (target === '') return refusals.defaultExchange();
  const refusal =
    channel.rights.refuse('write', 'exchange', target) ?? refuseSource(channel, args.source);
  if (refusal !== undefined) return refusal;
  const done = (): void => {
    if (!args.noWait)
      channel.reply(kind === 'bind' ? 'exchange.bind-ok' : 'exchange.unbind-ok', {});
  };
  if (channel.names.exchange(target) === undefined) {
    if (kind === 'bind') return refusals.noExchange(target, channel.vhost);
    done();
    return undefined;
  }
  const { source, routingKey, arguments: table } = args;
  return bindTo(channel, kind, { source, targetKind: 'exchange', target, routingKey, table }, done);
}
