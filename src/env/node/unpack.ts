// Unpacking what clients have compressed, as far as this Node's zlib goes: gzip everywhere, zstd from
// Node 22.15 on. Snappy and LZ4 are not in it. Sizes are bounded: a small batch may claim to be a large one.
import zlib from 'node:zlib';
import type { Unpack } from '../environment.ts';

type Inflate = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** By codec name, what this Node can do. */
function inflaters(): ReadonlyMap<string, Inflate> {
  const found = new Map<string, Inflate>([['gzip', zlib.gunzipSync]]);
  const { zstdDecompressSync } = zlib as { readonly zstdDecompressSync?: Inflate };
  if (zstdDecompressSync !== undefined) found.set('zstd', zstdDecompressSync);
  return found;
}

export function createUnpack(): Unpack {
  const known = inflaters();
  return (codec, bytes, bytesMax) => known.get(codec)?.(bytes, { maxOutputLength: bytesMax });
}
