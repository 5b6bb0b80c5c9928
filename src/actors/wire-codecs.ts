// Codecs of the runtime's own messages: failures, ends, spawns and look-ups. Rare messages: written for
// plainness. Texts are u32 length + UTF-8.

import { readU32le, writeU32le } from '../std/byte-ops.ts';
import { messageOf } from '../std/errors.ts';
import { readUtf8, utf8Size, writeUtf8 } from '../std/utf8.ts';
import type { EndCause } from './actor.ts';
import { ActorError, errorCode } from './errors.ts';
import type { Codec } from './protocol.ts';
import type { RefId } from './ref.ts';
import { REF_ID_BYTES, readRefId, writeRefId } from './ref.ts';
import { END_CAUSES } from './watch.ts';

const LENGTH_BYTES = 4;

export const nothing: Codec<undefined> = {
  size: () => 0,
  encode: (_value, _out, at) => at,
  decode: () => undefined,
};

/** An error as code and message: rebuilt by code, never by class. */
export const failureCodec: Codec<unknown> = {
  size: (error) => textSize(errorCode(error)) + textSize(messageOf(error)),
  encode: (error, out, at) =>
    writeText(messageOf(error), out, writeText(errorCode(error), out, at)),
  decode(bytes, at, end) {
    const reader = new Reader(bytes, at, end);
    const code = reader.text();
    return new ActorError(code, reader.text());
  },
};

export const endCauseCodec: Codec<EndCause> = {
  size: () => 1,
  encode(cause, out, at) {
    out[at] = END_CAUSES.indexOf(cause);
    return at + 1;
  },
  decode(bytes, at, end) {
    const cause = at < end ? END_CAUSES[bytes[at]!] : undefined;
    if (cause === undefined) throw new RangeError('unknown cause of an end');
    return cause;
  },
};

export interface SpawnRequest {
  readonly slot: number;
  readonly generation: number;
  readonly parent: RefId;
  readonly name: string;
  /** Name in the manifest. */
  readonly actor: string;
  readonly args: Uint8Array;
}

export const spawnRequestCodec: Codec<SpawnRequest> = {
  size: (r) =>
    8 + REF_ID_BYTES + textSize(r.name) + textSize(r.actor) + LENGTH_BYTES + r.args.length,
  encode(r, out, at) {
    writeU32le(out, at, r.slot);
    writeU32le(out, at + 4, r.generation);
    at = writeRefId(r.parent, out, at + 8);
    at = writeText(r.actor, out, writeText(r.name, out, at));
    writeU32le(out, at, r.args.length);
    out.set(r.args, at + LENGTH_BYTES);
    return at + LENGTH_BYTES + r.args.length;
  },
  decode(bytes, at, end) {
    const reader = new Reader(bytes, at, end);
    const slot = reader.word();
    const generation = reader.word();
    const parent = reader.refId();
    const name = reader.text();
    return { slot, generation, parent, name, actor: reader.text(), args: reader.bytes() };
  },
};

export interface FindRequest {
  readonly protocol: string;
  readonly name: string;
}

export const findRequestCodec: Codec<FindRequest> = {
  size: (r) => textSize(r.protocol) + textSize(r.name),
  encode: (r, out, at) => writeText(r.name, out, writeText(r.protocol, out, at)),
  decode(bytes, at, end) {
    const reader = new Reader(bytes, at, end);
    return { protocol: reader.text(), name: reader.text() };
  },
};

export const maybeRefCodec: Codec<RefId | undefined> = {
  size: (id) => (id === undefined ? 0 : REF_ID_BYTES),
  encode: (id, out, at) => (id === undefined ? at : writeRefId(id, out, at)),
  decode: (bytes, at, end) => (end - at < REF_ID_BYTES ? undefined : readRefId(bytes, at)),
};

export const textCodec: Codec<string> = {
  size: textSize,
  encode: writeText,
  decode: (bytes, at, end) => new Reader(bytes, at, end).text(),
};

function textSize(text: string): number {
  return LENGTH_BYTES + utf8Size(text);
}

function writeText(text: string, out: Uint8Array, at: number): number {
  const end = writeUtf8(text, out, at + LENGTH_BYTES);
  writeU32le(out, at, end - at - LENGTH_BYTES);
  return end;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  word(): number {
    return readU32le(this.#bytes, this.#take(4));
  }

  refId(): RefId {
    return readRefId(this.#bytes, this.#take(REF_ID_BYTES));
  }

  text(): string {
    const length = this.word();
    const at = this.#take(length);
    return readUtf8(this.#bytes, at, at + length);
  }

  bytes(): Uint8Array {
    const length = this.word();
    const at = this.#take(length);
    return this.#bytes.slice(at, at + length);
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) throw new RangeError('the message is shorter than it says');
    this.#at = at + count;
    return at;
  }
}
