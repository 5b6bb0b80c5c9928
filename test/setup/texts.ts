import fc from 'fast-check';

const SURROGATES = 0x800;

/**
 * Any character there is, to make texts of: `fc.string({ unit: anyCharacter })`. fast-check's own `binary` is the
 * same, and takes a second of CPU to build, in each file that asks for it.
 */
export const anyCharacter: fc.Arbitrary<string> = fc
  .nat({ max: 0x10_ffff - SURROGATES })
  .map((n) => String.fromCodePoint(n < 0xd800 ? n : n + SURROGATES));
