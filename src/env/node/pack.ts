// Packing what was unpacked from a batch again, with the codecs of `unpack.ts`: those of this Node's zlib.
import zlib from 'node:zlib';

type Deflate = (bytes: Uint8Array) => Uint8Array;

/** By codec name, as `Unpack`; undefined: this machine cannot. */
export function createPack(): (codec: string, bytes: Uint8Array) => Uint8Array | undefined {
  const known = new Map<string, Deflate>([['gzip', (bytes) => zlib.gzipSync(bytes)]]);
  const { zstdCompressSync } = zlib as { readonly zstdCompressSync?: Deflate };
  if (zstdCompressSync !== undefined) known.set('zstd', zstdCompressSync);
  return (codec, bytes) => known.get(codec)?.(bytes);
}
