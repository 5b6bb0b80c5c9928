// Small codecs for the tests of the runtime.
import type { Codec } from '../../src/actors/index.ts';

export const none: Codec<undefined> = {
  size: () => 0,
  encode: (_value, _out, at) => at,
  decode: () => undefined,
};

export const u32: Codec<number> = {
  size: () => 4,
  encode(value, out, at) {
    new DataView(out.buffer, out.byteOffset).setUint32(at, value, true);
    return at + 4;
  },
  decode: (bytes, at) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true),
};

export const bytes: Codec<Uint8Array> = {
  size: (value) => value.length,
  encode(value, out, at) {
    out.set(value, at);
    return at + value.length;
  },
  decode: (all, at, end) => all.subarray(at, end),
};

export interface Item {
  readonly id: number;
  readonly body: Uint8Array;
}

export const item: Codec<Item> = {
  size: (value) => 4 + value.body.length,
  encode(value, out, at) {
    return bytes.encode(value.body, out, u32.encode(value.id, out, at));
  },
  decode: (all, at, end) => ({ id: u32.decode(all, at, end), body: all.subarray(at + 4, end) }),
};
