// CRC-32C: the native function for all but small inputs, plain JavaScript for those and wherever no
// binary loads. Below the crossover the call into native code costs more than the tables.
import { createRequire } from 'node:module';
import { type Crc32c, crc32c as crc32cOfTables } from '../../std/crc32c.ts';

/** Measured crossover between 192 and 256 bytes. */
const NATIVE_FROM_BYTES = 200;

type NativeCrc32c = (bytes: Uint8Array, initial?: number) => number;

/** The native function, or undefined where its package is missing or answers wrongly. */
export function loadNativeCrc32c(): NativeCrc32c | undefined {
  try {
    const loaded: unknown = createRequire(import.meta.url)('@node-rs/crc32');
    const native = (loaded as { readonly crc32c?: NativeCrc32c }).crc32c;
    if (typeof native !== 'function') return undefined;
    const probe = new TextEncoder().encode('123456789');
    const isRight =
      native(probe, 0) === 0xe3069283 &&
      native(probe.subarray(4), native(probe.subarray(0, 4), 0)) === 0xe3069283;
    return isRight ? native : undefined;
  } catch {
    return undefined;
  }
}

export function createCrc32c(native: NativeCrc32c | undefined): Crc32c {
  if (native === undefined) return crc32cOfTables;
  return (bytes, start, end, seed = 0) =>
    end - start < NATIVE_FROM_BYTES
      ? crc32cOfTables(bytes, start, end, seed)
      : native(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start), seed);
}
