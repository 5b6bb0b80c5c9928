// Routing the obvious way, over lists of bindings and JavaScript values: what the tables are compared with.
// Shares no code with them.
import type { BindingView, ExchangeView } from '../../../src/broker/ports.ts';

/** A header value as a client would say it. */
export type Value =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string };

export type Headers = readonly (readonly [string, Value])[];

export interface Wanted {
  readonly mode: 'all' | 'any' | 'all-with-x' | 'any-with-x';
  readonly headers: Headers;
}

export function topicMatches(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === '#') {
    return words.concat('end').some((_, skipped) => topicMatches(rest, words.slice(skipped)));
  }
  if (words.length === 0) return false;
  return (first === '*' || first === words[0]) && topicMatches(rest, words.slice(1));
}

export function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.');
}

function isEqual(a: Value, b: Value): boolean {
  if (a.kind !== b.kind) return false;
  return a.kind === 'nothing' || b.kind === 'nothing' || a.value === b.value;
}

export function headersMatch({ mode, headers }: Wanted, message: Headers): boolean {
  const isWithX = mode.endsWith('with-x');
  const counted = headers.filter(
    ([name]) => name !== 'x-match' && (isWithX || !name.startsWith('x-')),
  );
  const isMet = ([name, value]: readonly [string, Value]) =>
    message.some(
      ([present, is]) => present === name && (value.kind === 'nothing' || isEqual(value, is)),
    );
  return mode.startsWith('all') ? counted.every(isMet) : counted.some(isMet);
}

export interface Message {
  readonly exchange: string;
  readonly keys: readonly string[];
  readonly headers: Headers;
}

export interface Model {
  readonly exchanges: readonly ExchangeView[];
  readonly queues: readonly string[];
  bindingsFrom(exchange: string): readonly BindingView[];
  wantedOf(binding: BindingView): Wanted;
}

/** Names of the queues, sorted. */
export function routeNaively(model: Model, message: Message): string[] {
  const found = new Set<string>();
  const seen = new Set<string>();
  const waiting = [message.exchange];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const exchange = model.exchanges.find((each) => each.name === name);
    if (exchange === undefined || seen.has(name)) continue;
    seen.add(name);
    if (name === '') {
      for (const key of message.keys) if (model.queues.includes(key)) found.add(key);
      continue;
    }
    const matched = model
      .bindingsFrom(name)
      .filter((binding) => matches(model, exchange, binding, message));
    for (const { targetKind, target } of matched) {
      if (targetKind === 'queue') found.add(target);
      else waiting.push(target);
    }
    if (matched.length === 0 && exchange.alternate !== undefined) waiting.push(exchange.alternate);
  }
  return [...found].sort();
}

function matches(
  model: Model,
  { type }: ExchangeView,
  binding: BindingView,
  message: Message,
): boolean {
  const { routingKey } = binding;
  switch (type) {
    case 'direct':
      return message.keys.includes(routingKey);
    case 'fanout':
      return true;
    case 'topic':
      return message.keys.some((key) => topicMatches(wordsOf(routingKey), wordsOf(key)));
    default:
      return headersMatch(model.wantedOf(binding), message.headers);
  }
}
