// Exchanges and bindings of the metadata image, with the look-ups that apply and routing tables need.
// Every change costs the change, whatever else is there. Invariant: bindings iterate in the order in
// which they were made, which a snapshot keeps; exchanges leave sorted.
import { toHex } from '../../std/bytes.ts';
import {
  type BindingRecord,
  type BindingTarget,
  builtInExchange,
  type ExchangeRecord,
} from './routing-types.ts';

type Bindings = Map<string, BindingRecord>;

const NONE: ReadonlyMap<string, BindingRecord> = new Map();

function exchangeKey(vhost: string, name: string): string {
  return `${vhost}\u0000${name}`;
}

function targetKey(vhost: string, kind: BindingTarget, name: string): string {
  return `${vhost}\u0000${kind}\u0000${name}`;
}

/** Names have no control characters and hex has none; the routing key, which may, comes last. */
function bindingKey(binding: BindingRecord): string {
  const { vhost, source, targetKind, target, routingKey } = binding;
  const bytes = `${toHex(binding.arguments)}\u0000${toHex(binding.headerMatch)}`;
  return `${vhost}\u0000${source}\u0000${targetKind}\u0000${target}\u0000${bytes}\u0000${routingKey}`;
}

export class RoutingImage {
  readonly #exchanges = new Map<string, ExchangeRecord>();
  readonly #bindings: Bindings = new Map();
  // Derived.
  readonly #bySource = new Map<string, Bindings>();
  readonly #byTarget = new Map<string, Bindings>();
  #sorted: readonly ExchangeRecord[] | undefined;

  // ---- Questions -------------------------------------------------------------------------------

  /** Stored or built in. */
  exchange(vhost: string, name: string): ExchangeRecord | undefined {
    return this.#exchanges.get(exchangeKey(vhost, name)) ?? builtInExchange(vhost, name);
  }

  /** Stored ones, in order of vhost, then name. */
  exchanges(): readonly ExchangeRecord[] {
    this.#sorted ??= [...this.#exchanges]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, exchange]) => exchange);
    return this.#sorted;
  }

  has(binding: BindingRecord): boolean {
    return this.#bindings.has(bindingKey(binding));
  }

  get bindingCount(): number {
    return this.#bindings.size;
  }

  /** All, in the order in which they were made. */
  bindings(): Iterable<BindingRecord> {
    return this.#bindings.values();
  }

  countFrom(vhost: string, source: string): number {
    return this.#bySource.get(exchangeKey(vhost, source))?.size ?? 0;
  }

  /** In the order in which they were made. */
  bindingsFrom(vhost: string, source: string): readonly BindingRecord[] {
    return [...(this.#bySource.get(exchangeKey(vhost, source)) ?? NONE).values()];
  }

  /** In the order in which they were made. */
  bindingsTo(vhost: string, kind: BindingTarget, name: string): readonly BindingRecord[] {
    return [...(this.#byTarget.get(targetKey(vhost, kind, name)) ?? NONE).values()];
  }

  // ---- Changes: for apply and restore only -----------------------------------------------------

  putExchange(exchange: ExchangeRecord): void {
    this.#exchanges.set(exchangeKey(exchange.vhost, exchange.name), exchange);
    this.#sorted = undefined;
  }

  removeExchange(exchange: ExchangeRecord): void {
    this.#exchanges.delete(exchangeKey(exchange.vhost, exchange.name));
    this.#sorted = undefined;
  }

  putBinding(binding: BindingRecord): void {
    const key = bindingKey(binding);
    const { vhost, source, targetKind, target } = binding;
    this.#bindings.set(key, binding);
    member(this.#bySource, exchangeKey(vhost, source)).set(key, binding);
    member(this.#byTarget, targetKey(vhost, targetKind, target)).set(key, binding);
  }

  removeBinding(binding: BindingRecord): void {
    const key = bindingKey(binding);
    const { vhost, source, targetKind, target } = binding;
    this.#bindings.delete(key);
    leave(this.#bySource, exchangeKey(vhost, source), key);
    leave(this.#byTarget, targetKey(vhost, targetKind, target), key);
  }

  clear(): void {
    for (const table of [this.#exchanges, this.#bindings, this.#bySource, this.#byTarget]) {
      table.clear();
    }
    this.#sorted = undefined;
  }
}

function member(table: Map<string, Bindings>, key: string): Bindings {
  let members = table.get(key);
  if (members === undefined) {
    members = new Map();
    table.set(key, members);
  }
  return members;
}

function leave(table: Map<string, Bindings>, at: string, key: string): void {
  const members = table.get(at);
  members?.delete(key);
  if (members?.size === 0) table.delete(at);
}
