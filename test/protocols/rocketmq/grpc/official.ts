// The message classes that rocketmq-client-nodejs generates from the official schema, as a second opinion on
// ours. They are CommonJS without types of their own, so they are reached by name.
import { createRequire } from 'node:module';
import type { Message, Rows } from '../../../../src/protocols/rocketmq/grpc/proto/index.ts';

export interface OfficialMessage {
  serializeBinary(): Uint8Array;
  toObject(): { [field: string]: unknown };
  [method: string]: (...values: unknown[]) => unknown;
}

interface OfficialClass {
  new (): OfficialMessage;
  deserializeBinary(bytes: Uint8Array): OfficialMessage;
}

type OfficialFile = {
  readonly [name: string]: OfficialClass | { readonly [name: string]: number };
};

const require = createRequire(import.meta.url);
const PROTO = 'rocketmq-client-nodejs/proto/apache/rocketmq/v2';
export const definition: OfficialFile = require(`${PROTO}/definition_pb`);
const service: OfficialFile = require(`${PROTO}/service_pb`);
const wellKnown: OfficialFile = {
  ...require('google-protobuf/google/protobuf/duration_pb'),
  ...require('google-protobuf/google/protobuf/timestamp_pb'),
};

/** Fields of the schema that the client's version of it does not have yet. */
export const NEWER_THAN_CLIENT: ReadonlySet<string> = new Set(['Settings.clientProperties']);

export function officialClass(name: string): OfficialClass {
  const found = definition[name] ?? service[name] ?? wellKnown[name];
  if (typeof found !== 'function') throw new Error(`the client has no message ${name}`);
  return found;
}

export function capitalised(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}

/** The official object with the same content as a value of ours. */
export function officialOf(of: Message<Rows>, value: { readonly [field: string]: unknown }) {
  const official = new (officialClass(of.name))();
  for (const [name, row] of Object.entries(of.rows)) {
    const given = value[name];
    if (given === undefined) continue;
    const method = capitalised(name);
    const { type } = row;
    if (type.kind === 'map') {
      const map = official[`get${method}Map`]!() as Map<string, string>;
      for (const [key, each] of given as Map<string, string>) map.set(key, each);
      continue;
    }
    const convert = (item: unknown): unknown =>
      type.kind === 'message' ? officialOf(type.message, item as { [f: string]: unknown }) : item;
    if (row.occurrence === 'repeated') {
      official[`set${method}List`]!((given as unknown[]).map(convert));
    } else {
      official[`set${method}`]!(convert(given));
    }
  }
  return official;
}

/** Every message of the calls, those inside others included. */
export function tablesOf(calls: readonly { request: Message<Rows>; response: Message<Rows> }[]) {
  const found = new Map<string, Message<Rows>>();
  const visit = (table: Message<Rows>): void => {
    if (found.has(table.name)) return;
    found.set(table.name, table);
    for (const { type } of Object.values(table.rows)) {
      if (type.kind === 'message') visit(type.message);
    }
  };
  for (const { request, response } of calls) {
    visit(request);
    visit(response);
  }
  return [...found.values()];
}
