// What does it cost to find the queues of a message, by type of exchange and number of bindings? Every
// binding has a queue of its own. Direct, topic and headers find one of them, and a message is counted;
// fanout finds all, and a copy is counted. Keys are read from a chunk, as a session would. A line per case;
// the last says whether a copy by fanout costs no more than a message by direct.
import { encodeHeaderMatch, HeaderForm, RouteInput, RoutingTable } from '../dist/broker/ports.js';
import type { BindingView, ExchangeView } from '../dist/cluster/ports.js';
import { concatBytes, encodeUtf8 } from '../dist/std/bytes.js';
import { run, timed } from './lib/harness.ts';

const NO_BYTES = new Uint8Array(0);
const ROUND_COPIES = 1_000_000;

type Type = 'direct' | 'fanout' | 'topic' | 'headers';

/** The queue that message `i` is for, of `count`: all of them, in no order. */
const queueOf = (i: number, count: number) => (i * 7919) % count;

function headersOf(form: HeaderForm, i: number): void {
  form.reset();
  form.name(encodeUtf8('tenant'), 0, 6);
  form.number(i);
  form.name(encodeUtf8('kind'), 0, 4);
  const kind = encodeUtf8(`kind-${i % 10}`);
  form.text(kind, 0, kind.length);
}

function bindingOf(type: Type, i: number): BindingView {
  const form = new HeaderForm();
  headersOf(form, i);
  return {
    source: 'bench',
    targetKind: 'queue',
    target: `queue.${i}`,
    routingKey: type === 'topic' ? `events.region-${i}.*.created.#` : `events.region-${i}`,
    arguments: NO_BYTES,
    headerMatch: type === 'headers' ? encodeHeaderMatch('all', form) : NO_BYTES,
  };
}

function tableOf(type: Type, count: number): RoutingTable {
  const flags = { durable: true, autoDelete: false, isInternal: false };
  const exchange: ExchangeView = {
    name: 'bench',
    type,
    ...flags,
    alternate: undefined,
    arguments: NO_BYTES,
  };
  const table = new RoutingTable({
    exchanges: () => [],
    destinations: () => [],
    bindingsFrom: () => [],
  });
  table.apply({ kind: 'exchange-created', exchange });
  for (let i = 0; i < count; i += 1) {
    table.apply({ kind: 'queue-created', name: `queue.${i}` });
    table.apply({ kind: 'binding-created', binding: bindingOf(type, i) });
  }
  return table;
}

/** Keys and headers of `count` messages, one behind the other, written before anything is timed. */
class Chunk {
  readonly bytes: Uint8Array;
  /** Start and end of the key, then of the headers, of each message. */
  readonly positions: Int32Array;

  constructor(type: Type, count: number) {
    const suffix = type === 'topic' ? '.order.created.eu.west' : '';
    const parts: Uint8Array[] = [];
    const form = new HeaderForm();
    let at = 0;
    const put = (part: Uint8Array, place: number) => {
      parts.push(part);
      this.positions[place] = at;
      at += part.length;
      this.positions[place + 1] = at;
    };
    this.positions = new Int32Array(4 * count);
    for (let message = 0; message < count; message += 1) {
      const i = queueOf(message, count);
      put(encodeUtf8(`events.region-${i}${suffix}`), 4 * message);
      form.reset();
      if (type === 'headers') headersOf(form, i);
      put(form.bytes.slice(0, form.size), 4 * message + 2);
    }
    this.bytes = concatBytes(parts);
  }

  /** The message at `row`, as a session's tape would name it. */
  fill(input: RouteInput, row: number): void {
    const { bytes, positions } = this;
    input.setKey(bytes, positions[4 * row]!, positions[4 * row + 1]!);
    input.setHeaders(bytes, positions[4 * row + 2]!, positions[4 * row + 3]!);
  }
}

async function measure(type: Type, count: number, floor: number): Promise<number> {
  const table = tableOf(type, count);
  const chunk = new Chunk(type, count);
  const input = new RouteInput();
  const name = encodeUtf8('bench');
  const perMessage = type === 'fanout' ? count : 1;
  const rounds = Math.ceil(ROUND_COPIES / perMessage);
  return run({
    name: `exchange-route ${type} ${count}`,
    unit: type === 'fanout' ? 'copies' : 'msg',
    floor,
    round: async () => {
      let copies = 0;
      const ms = await timed(() => {
        for (let i = 0; i < rounds; i += 1) {
          const exchange = table.exchangeAt(name, 0, name.length);
          chunk.fill(input, i % count);
          copies += table.route(exchange, input);
        }
      });
      if (copies !== rounds * perMessage) throw new Error(`${copies} copies were routed`);
      const last = `queue.${queueOf((rounds - 1) % count, count)}`;
      if (type !== 'fanout' && table.queueName(table.targets[0]!) !== last) {
        throw new Error(`the last message did not go to ${last}`);
      }
      return { count: copies, ms };
    },
  });
}

const FLOORS: readonly (readonly [Type, readonly [number, number, number]])[] = [
  ['direct', [4_000_000, 4_000_000, 1_500_000]],
  ['fanout', [5_000_000, 20_000_000, 20_000_000]],
  ['topic', [1_200_000, 1_200_000, 300_000]],
  ['headers', [1_500_000, 1_000_000, 300_000]],
];
const rates = new Map<string, number>();
for (const [type, floors] of FLOORS) {
  for (const [i, count] of [1, 100, 10_000].entries()) {
    rates.set(`${type} ${count}`, await measure(type, count, floors[i]!));
  }
}
for (const count of [1, 100, 10_000]) {
  const [direct, fanout] = [rates.get(`direct ${count}`)!, rates.get(`fanout ${count}`)!];
  if (fanout >= direct * 0.9) continue;
  process.stdout.write(`exchange-route: a copy by fanout of ${count} costs more than by direct\n`);
  process.exitCode = 1;
}
