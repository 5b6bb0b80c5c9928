import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferPool } from '../../src/std/buffer-pool.ts';
import {
  ByteReader,
  BytesError,
  ByteWriter,
  concatBytes,
  decodeUtf8,
  encodeUtf8,
  equalBytes,
  readI64Lossy,
  readUtf8,
  toHex,
  utf8Size,
  writeUtf8,
} from '../../src/std/bytes.ts';
import { fromHex } from '../setup/hex.ts';
import { anyCharacter } from '../setup/texts.ts';

const safe = fc.maxSafeInteger();
const safeNat = fc.maxSafeNat();

describe('ByteWriter and ByteReader', () => {
  it('read back every kind of field they wrote, through growth', () => {
    const fields = fc.record({
      u8: fc.nat(255),
      i16: fc.integer({ min: -32768, max: 32767 }),
      u32: fc.nat(0xffffffff),
      i32: fc.integer(),
      u64: safeNat,
      i64: safe,
      f64: fc.double(),
      u53: safeNat,
      z53: safe,
      text: fc.string({ unit: anyCharacter }),
      raw: fc.uint8Array(),
    });
    fc.assert(
      fc.property(fields, (f) => {
        const w = new ByteWriter(1);
        w.u8(f.u8);
        w.i16(f.i16);
        w.u16(f.i16 & 0xffff);
        w.u32(f.u32);
        w.i32(f.i32);
        w.u64(f.u64);
        w.i64(f.i64);
        w.f64(f.f64);
        w.u16le(f.i16 & 0xffff);
        w.u32le(f.u32);
        w.u64le(f.u64);
        w.i64le(f.i64);
        w.varU53(f.u53);
        w.varI53(f.z53);
        w.text(f.text);
        w.sized(f.raw);
        const r = new ByteReader(w.toBytes());
        expect([r.u8(), r.i16(), r.u16(), r.u32(), r.i32(), r.u64()]).toEqual([
          f.u8,
          f.i16,
          f.i16 & 0xffff,
          f.u32,
          f.i32,
          f.u64,
        ]);
        expect([r.i64(), r.f64(), r.u16le(), r.u32le(), r.u64le(), r.i64le()]).toEqual([
          f.i64,
          f.f64,
          f.i16 & 0xffff,
          f.u32,
          f.u64,
          f.i64,
        ]);
        expect([r.varU53(), r.varI53(), r.text()]).toEqual([f.u53, f.z53, f.text]);
        expect([...r.sized()]).toEqual([...f.raw]);
        expect(r.remaining).toBe(0);
      }),
    );
  });

  it('lay 64-bit fields out as DataView does, in both byte orders', () => {
    fc.assert(
      fc.property(safe, (value) => {
        const w = new ByteWriter(16);
        w.i64(value);
        w.i64le(value);
        const view = new DataView(w.toBytes().buffer);
        expect(view.getBigInt64(0)).toBe(BigInt(value));
        expect(view.getBigInt64(8, true)).toBe(BigInt(value));
      }),
    );
  });

  it('refuse 64-bit integers outside the safe range, in both directions', () => {
    const w = new ByteWriter(8);
    for (const bad of [2 ** 53, -1, 0.5, Number.NaN]) expect(() => w.u64(bad)).toThrow(BytesError);
    expect(() => w.i64(-(2 ** 53))).toThrow(BytesError);
    const r = new ByteReader(fromHex('0020000000000000'));
    expect(() => r.u64()).toThrow(BytesError);
    r.reset(fromHex('7fffffffffffffff'));
    expect(() => r.i64()).toThrow(BytesError);
    expect(readI64Lossy(fromHex('7fffffffffffffff'), 0)).toBe(2 ** 63);
  });

  it('never read past the end: every cut gives a BytesError', () => {
    const w = new ByteWriter();
    w.u32(7);
    w.text('grüße');
    w.varI53(-(2 ** 50));
    w.f64(1.5);
    const whole = w.toBytes();
    for (let cut = 0; cut < whole.length; cut += 1) {
      const r = new ByteReader(whole, 0, cut);
      expect(() => {
        r.u32();
        r.text();
        r.varI53();
        r.f64();
      }).toThrow(BytesError);
    }
  });

  it('copies what is copied, also out of a Buffer', () => {
    for (const bytes of [Uint8Array.of(1, 2, 3), Buffer.of(1, 2, 3)]) {
      const copied = new ByteReader(bytes, 1).copy(2);
      bytes.fill(0);
      expect(copied).toEqual(Uint8Array.of(2, 3));
    }
  });

  it('a negative size is refused', () => {
    expect(() => new ByteReader(new Uint8Array(8)).view(-1)).toThrow(BytesError);
  });

  it('keep every byte when a single byte makes the array grow', () => {
    const w = new ByteWriter(1);
    for (let i = 0; i < 300; i += 1) w.u8(i + 1);
    expect([...w.finish()]).toEqual(Array.from({ length: 300 }, (_, i) => (i + 1) & 0xff));
  });

  it('writes the same into memory of a pool, and gives all of it back', () => {
    const parts = fc.array(fc.oneof(fc.nat(300), fc.nat(60_000)), { maxLength: 30 });
    const property = fc.property(parts, fc.nat(3_000_000), (sizes, expected) => {
      const pool = new BufferPool();
      for (const size of [20_000, 200_000]) pool.give(new Uint8Array(size).fill(0xdd));
      const [plain, pooled] = [new ByteWriter(8), new ByteWriter(8, pool)];
      for (let round = 0; round < 2; round += 1) {
        const before = pool.made;
        pooled.expect(expected);
        expect(pool.made).toBe(before);
        sizes.forEach((size, i) => {
          for (const writer of [plain, pooled]) writer.sized(new Uint8Array(size).fill(i));
        });
        expect(equalBytes(pooled.finish(), plain.finish())).toBe(true);
        plain.reset();
        pooled.release();
        expect([pooled.size, pooled.bytes.length < 16 * 1024]).toEqual([0, true]);
        // Nothing is lost: the two arrays of before, and those that were made.
        const idle: number[] = [];
        for (let size = 2 ** 21; size >= 2 ** 14; size /= 2) {
          for (let each = pool.takeIdle(size); each !== undefined; each = pool.takeIdle(size))
            idle.push(each.length);
        }
        expect(idle.length).toBe(2 + pool.made);
        for (const size of idle) pool.give(new Uint8Array(size));
      }
    });
    fc.assert(property, { numRuns: 100 });
  });

  it('patchU32 overwrites a length written before', () => {
    const w = new ByteWriter();
    const at = w.reserve(4);
    w.utf8('abc');
    w.patchU32(at, w.size - 4);
    expect(toHex(w.finish())).toBe('00000003616263');
  });
});

describe('UTF-8', () => {
  it('agrees with the built-in encoder, lone surrogates included', () => {
    const anyText = fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string({ unit: anyCharacter })), (text) => {
        const expected = encodeUtf8(text);
        const out = new Uint8Array(utf8Size(text));
        expect(writeUtf8(text, out, 0)).toBe(out.length);
        expect(equalBytes(out, expected)).toBe(true);
        expect(decodeUtf8(out)).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(out));
      }),
    );
  });

  it('refuses bad UTF-8 instead of guessing', () => {
    for (const hex of ['ff', 'c3', 'eda080', '61c328', 'f8888080']) {
      expect(() => decodeUtf8(fromHex(hex))).toThrow(BytesError);
    }
  });

  it('reads text that lies in shared memory', () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(64));
    const end = writeUtf8('a long text with ünicode in shared memory', bytes, 0);
    expect(readUtf8(bytes, 0, end)).toBe('a long text with ünicode in shared memory');
  });
});

describe('helpers', () => {
  it('equalBytes is equality of hex texts', () => {
    const few = fc.uint8Array({ maxLength: 3, max: 2 });
    fc.assert(
      fc.property(few, few, (a, b) => {
        expect(equalBytes(a, b)).toBe(toHex(a) === toHex(b));
      }),
    );
  });

  it('hex and concat round trip', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (parts) => {
        expect(toHex(concatBytes(parts))).toBe(parts.map(toHex).join(''));
        expect(equalBytes(fromHex(toHex(concatBytes(parts))), concatBytes(parts))).toBe(true);
      }),
    );
  });
});
