// exchange.declare, delete, bind and unbind.
import type { Difference, MetadataResult } from '../../../broker/ports.ts';
import { type FieldValue, type MethodArgs, type Refusal, refusals } from '../codec/index.ts';
import { alternateOf, canonicalArguments } from './arguments.ts';
import type { Channel } from './channel.ts';
import { cleanName, isReserved, VHOST } from './names.ts';
import { refuseResult } from './outcomes.ts';
import { bindTo } from './queues.ts';

const exchangeNamed = (name: string) => ({ kind: 'exchange', name, vhost: VHOST }) as const;

export function declareExchange(
  channel: Channel,
  args: MethodArgs<'exchange.declare'>,
): Refusal | undefined {
  const name = cleanName(args.exchange);
  if (name === '') return refusals.defaultExchange();
  const reply = (): undefined => {
    if (!args.noWait) channel.reply('exchange.declare-ok', {});
  };
  const isKnown = channel.host.ports.view.exchange(name) !== undefined;
  if (args.passive) return isKnown ? reply() : refusals.noExchange(name, VHOST);
  if (!isKnown && isReserved(name)) return refusals.reservedName('exchange', name);
  const alternate = alternateOf(args.arguments, exchangeNamed(name));
  if ('refusal' in alternate) return alternate.refusal;
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
    result.kind === 'ok' ? reply() : refuseDeclare(name, args.type, result),
  );
  return undefined;
}

function refuseDeclare(
  name: string,
  type: string,
  result: Exclude<MetadataResult, { kind: 'ok' }>,
): Refusal {
  if (result.kind === 'refused') {
    if (result.code === 'unknown-exchange-type') return refusals.unknownExchangeType(type);
    if (result.difference !== undefined) return refuseDifference(name, result.difference);
  }
  return refuseResult(result, exchangeNamed(name));
}

function refuseDifference(name: string, { property, received, current }: Difference): Refusal {
  const what = exchangeNamed(name);
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
  channel.ask({ kind: 'delete-exchange', name, ifUnused: args.ifUnused }, (result) => {
    const code = result.kind === 'refused' ? result.code : undefined;
    if (code === 'built-in-exchange') return refusals.systemExchange(name, VHOST);
    if (code === 'exchange-in-use') return refusals.inUse(exchangeNamed(name));
    if (result.kind !== 'ok' && code !== 'unknown-exchange') {
      return refuseResult(result, exchangeNamed(name));
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
  const done = (): void => {
    if (!args.noWait)
      channel.reply(kind === 'bind' ? 'exchange.bind-ok' : 'exchange.unbind-ok', {});
  };
  if (channel.host.ports.view.exchange(target) === undefined) {
    if (kind === 'bind') return refusals.noExchange(target, VHOST);
    done();
    return undefined;
  }
  const { source, routingKey, arguments: table } = args;
  return bindTo(channel, kind, { source, targetKind: 'exchange', target, routingKey, table }, done);
}
