// Metadata with a routing table that follows it, and short words for messages.

import {
  encodeHeaderMatch,
  HeaderForm,
  RouteInput,
  RoutingTable,
} from '../../../src/broker/ports.ts';
import { encodeCommand, type MetadataCommand } from '../../../src/cluster/metadata/index.ts';
import { MetadataReplica } from '../../../src/cluster/metadata-shell/metadata-replica.ts';
import { concatBytes, encodeUtf8 } from '../../../src/std/bytes.ts';
import { registration } from '../../cluster/metadata/world.ts';
import type { Headers, Message, Wanted } from './naive.ts';

export function writeHeaders(form: HeaderForm, headers: Headers): void {
  form.reset();
  for (const [name, value] of headers) {
    const bytes = encodeUtf8(name);
    form.name(bytes, 0, bytes.length);
    if (value.kind === 'nothing') form.nothing();
    else if (value.kind === 'bool') form.bool(value.value);
    else if (value.kind === 'number') form.number(value.value);
    else {
      const text = encodeUtf8(value.value);
      form.text(text, 0, text.length);
    }
  }
}

export function matchBytes({ mode, headers }: Wanted): Uint8Array {
  const form = new HeaderForm();
  writeHeaders(form, headers);
  return encodeHeaderMatch(mode, form);
}

/** Routes one message; the names of the queues, sorted. Keys lie at odd places of a larger chunk. */
export function routed(table: RoutingTable, message: Message): string[] {
  const name = encodeUtf8(message.exchange);
  const exchange = table.exchangeAt(name, 0, name.length);
  if (exchange < 0) return [];
  const input = new RouteInput();
  const chunk = encodeUtf8(`?${message.keys.join('?')}?`);
  let at = 1;
  input.setKey(chunk, at, at);
  input.keyCount = 0;
  for (const key of message.keys) {
    const size = encodeUtf8(key).length;
    input.addKey(at, at + size);
    at += size + 1;
  }
  const form = new HeaderForm();
  writeHeaders(form, message.headers);
  // Behind something else, as those of the second message of a turn are.
  const headers = concatBytes([new Uint8Array(3), form.bytes.subarray(0, form.size)]);
  input.setHeaders(headers, 3, headers.length);
  const count = table.route(exchange, input);
  const names = [...table.targets.subarray(0, count)].map((index) => table.queueName(index));
  return names.sort();
}

export function to(exchange: string, ...keys: string[]): Message {
  return { exchange, keys, headers: [] };
}

export class RoutedNode {
  readonly replica = new MetadataReplica(1);
  readonly table: RoutingTable;
  index = 0;

  constructor() {
    const { view } = this.replica;
    this.table = new RoutingTable(view);
    view.onRoutes((changes) => {
      if (changes === undefined) this.table.reset(view);
      else for (const change of changes) this.table.apply(change);
    });
    this.try(registration(1));
    this.try({ kind: 'unfence-node', node: 1, incarnation: 101 });
  }

  /** The code of the refusal, or undefined. */
  try(command: MetadataCommand): string | undefined {
    this.index += 1;
    const refused = this.replica.apply(encodeCommand(command), this.index);
    this.replica.publish();
    return refused?.code;
  }

  do(...commands: readonly MetadataCommand[]): void {
    for (const command of commands) {
      const code = this.try(command);
      if (code !== undefined) throw new Error(`${command.kind}: ${code}`);
    }
  }

  routed(message: Message): string[] {
    return routed(this.table, message);
  }
}
