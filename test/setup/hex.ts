/** The bytes of a hex text; throws if it is none. */
export function fromHex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new Error(`not a hex text: ${text}`);
  return Uint8Array.from(Buffer.from(text, 'hex'));
}
