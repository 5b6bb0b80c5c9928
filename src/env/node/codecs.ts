// What work on batches needs of a machine, for threads that have no Environment of their own.
import type { Unpack } from '../environment.ts';
import { createCrc32c, loadNativeCrc32c } from './crc.ts';
import { isNativeWanted } from './native-wish.ts';
import { createPack } from './pack.ts';
import { createUnpack } from './unpack.ts';

export interface NodeCodecs {
  readonly crc32c: ReturnType<typeof createCrc32c>;
  readonly unpack: Unpack;
  readonly pack: ReturnType<typeof createPack>;
}

/** `isNativeEnabled`: as of an Environment. */
export function createNodeCodecs(
  options: { readonly isNativeEnabled?: boolean | undefined } = {},
): NodeCodecs {
  const isNative = isNativeWanted(options.isNativeEnabled);
  const crc32c = createCrc32c(isNative ? loadNativeCrc32c() : undefined);
  return { crc32c, unpack: createUnpack(), pack: createPack() };
}
