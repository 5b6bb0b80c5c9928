// MD5 of the system's library: many times as fast as JavaScript on large bodies, which would hold up the loop.
import { createHash } from 'node:crypto';

/** The digest in upper-case hex; undefined where the library refuses MD5 (FIPS). */
export function createMd5Hex(): ((bytes: Uint8Array) => string) | undefined {
  const md5Hex = (bytes: Uint8Array): string =>
    createHash('md5').update(bytes).digest('hex').toUpperCase();
  try {
    md5Hex(new Uint8Array(0));
    return md5Hex;
  } catch {
    return undefined;
  }
}
