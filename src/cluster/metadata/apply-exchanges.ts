// Exchanges and bindings. Declarations are idempotent; what is there and differs is refused with the
// first difference. A deleted end takes its bindings along, and a source that loses its last binding
// goes too if it was declared so, which may go on from exchange to exchange.
import { type Applying, differs, OK, refused, vhostFault } from './applying.ts';
import type { Outcome } from './commands.ts';
import { isValidName } from './names.ts';
import type {
  BindCommand,
  DeclareExchangeCommand,
  DeleteExchangeCommand,
  Difference,
  UnbindCommand,
} from './routing-commands.ts';
import {
  type BindingRecord,
  type BindingTarget,
  BUILT_IN_EXCHANGES,
  builtInExchange,
  DEFAULT_EXCHANGE,
  type ExchangeRecord,
} from './routing-types.ts';

export function declareExchange(applying: Applying, command: DeclareExchangeCommand): Outcome {
  const { kind: _, ...wanted } = command;
  const fault = vhostFault(applying.image, wanted.vhost);
  if (fault !== undefined) return fault;
  if (wanted.name === DEFAULT_EXCHANGE) return refused('default-exchange', 'it is always there');
  if (!isValidName(wanted.name)) return refused('invalid-name', 'an exchange name');
  if (!isValidName(wanted.type)) return refused('invalid-name', 'an exchange type');
  const known = applying.image.routing.exchange(wanted.vhost, wanted.name);
  if (known !== undefined) {
    const difference = exchangeDifference(known, wanted);
    return difference === undefined ? OK : differs(wanted.name, difference);
  }
  applying.image.routing.putExchange(wanted);
  applying.changes.push({ kind: 'exchange-created', exchange: wanted });
  return OK;
}

function exchangeDifference(known: ExchangeRecord, wanted: ExchangeRecord): Difference | undefined {
  const fields: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ['type', wanted.type, known.type],
    ['durable', String(wanted.durable), String(known.durable)],
    ['autoDelete', String(wanted.autoDelete), String(known.autoDelete)],
    ['internal', String(wanted.isInternal), String(known.isInternal)],
    ['alternate', wanted.alternate, known.alternate],
  ];
  const found = fields.find(([, received, current]) => received !== current);
  if (found === undefined) return undefined;
  const [property, received, current] = found;
  return { property, received, current };
}

export function deleteExchange(applying: Applying, command: DeleteExchangeCommand): Outcome {
  const { routing } = applying.image;
  const { vhost, name } = command;
  if (name === DEFAULT_EXCHANGE) return refused('default-exchange', 'it cannot be deleted');
  if (builtInExchange(vhost, name) !== undefined) return refused('built-in-exchange', name);
  const exchange = routing.exchange(vhost, name);
  if (exchange === undefined) return refused('unknown-exchange', name);
  if (command.ifUnused && routing.countFrom(vhost, name) > 0) {
    return refused('exchange-in-use', name);
  }
  dropExchanges(applying, [exchange]);
  return OK;
}

export function bind(applying: Applying, command: BindCommand): Outcome {
  const { kind: _, ...binding } = command;
  const { image } = applying;
  const { vhost, source, target, targetKind } = binding;
  const fault = vhostFault(image, vhost);
  if (fault !== undefined) return fault;
  if (isDefaultEnd(binding)) return refused('default-exchange', 'it cannot be bound');
  if (image.routing.exchange(vhost, source) === undefined) {
    return refused('unknown-exchange', source);
  }
  if (targetKind === 'exchange') {
    if (image.routing.exchange(vhost, target) === undefined) {
      return refused('unknown-exchange', target);
    }
  } else if (image.destination(vhost, target)?.isInternal !== false) {
    return refused('unknown-destination', target);
  }
  if (image.routing.has(binding)) return OK;
  image.routing.putBinding(binding);
  applying.changes.push({ kind: 'binding-created', binding });
  return OK;
}

export function unbind(applying: Applying, command: UnbindCommand): Outcome {
  const { kind: _, ...binding } = command;
  if (isDefaultEnd(binding)) return refused('default-exchange', 'it cannot be unbound');
  if (applying.image.routing.has(binding)) dropBindings(applying, [binding]);
  return OK;
}

function isDefaultEnd({ source, targetKind, target }: BindingRecord): boolean {
  return source === DEFAULT_EXCHANGE || (targetKind === 'exchange' && target === DEFAULT_EXCHANGE);
}

/** A destination is about to go. */
export function dropBindingsTo(
  applying: Applying,
  vhost: string,
  kind: BindingTarget,
  name: string,
): void {
  dropBindings(applying, applying.image.routing.bindingsTo(vhost, kind, name));
}

/** No node has lived on: what was promised to last no longer than one is gone. */
export function dropTransientExchanges(applying: Applying): void {
  dropExchanges(
    applying,
    applying.image.routing.exchanges().filter((exchange) => !exchange.durable),
  );
}

/** The vhost is about to go, and its destinations have gone: bindings between exchanges, and the exchanges. */
export function dropVhostRouting(applying: Applying, vhost: string): void {
  const { routing } = applying.image;
  dropExchanges(
    applying,
    routing.exchanges().filter((exchange) => exchange.vhost === vhost),
  );
  for (const name of BUILT_IN_EXCHANGES) dropBindings(applying, routing.bindingsFrom(vhost, name));
}

function dropBindings(applying: Applying, bindings: readonly BindingRecord[]): void {
  dropExchanges(applying, dropRecords(applying, bindings));
}

/** Takes the bindings away and answers the sources that go with them. */
function dropRecords(applying: Applying, bindings: readonly BindingRecord[]): ExchangeRecord[] {
  const { routing } = applying.image;
  const ended: ExchangeRecord[] = [];
  for (const binding of bindings) {
    routing.removeBinding(binding);
    applying.changes.push({ kind: 'binding-deleted', binding });
    const { vhost, source } = binding;
    const exchange = routing.exchange(vhost, source);
    if (exchange?.autoDelete === true && routing.countFrom(vhost, source) === 0) {
      ended.push(exchange);
    }
  }
  return ended;
}

/** A list instead of recursion: a chain may be as long as there are exchanges. */
function dropExchanges(applying: Applying, exchanges: readonly ExchangeRecord[]): void {
  const { routing } = applying.image;
  const waiting = [...exchanges];
  for (let i = 0; i < waiting.length; i += 1) {
    const exchange = waiting[i]!;
    const { vhost, name } = exchange;
    // Twice in the list: the end of its bindings was the end of it already.
    if (routing.exchange(vhost, name) !== exchange) continue;
    const from = routing.bindingsFrom(vhost, name);
    for (const ended of dropRecords(applying, from)) if (ended !== exchange) waiting.push(ended);
    waiting.push(...dropRecords(applying, routing.bindingsTo(vhost, 'exchange', name)));
    routing.removeExchange(exchange);
    applying.changes.push({ kind: 'exchange-deleted', vhost, name });
  }
}
