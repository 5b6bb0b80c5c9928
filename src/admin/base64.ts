// Bytes as text and back (RFC 4648, section 4).

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const have = Math.min(3, bytes.length - at);
    const word = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let digit = 0; digit < 4; digit += 1) {
      text += digit <= have ? BASE64[(word >> (18 - 6 * digit)) & 63] : '=';
    }
  }
  return text;
}

/** Undefined: it is none. */
export function bytesOfBase64(text: string): Uint8Array | undefined {
  const digits = text.replace(/={1,2}$/, '');
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*$/.test(digits)) return undefined;
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let word = 0;
  let at = 0;
  for (let i = 0; i < digits.length; i += 1) {
    word = ((word << 6) | BASE64.indexOf(digits[i]!)) & 0xff_ffff;
    const bits = (i + 1) * 6 - at * 8;
    if (bits < 8) continue;
    bytes[at] = (word >> (bits - 8)) & 0xff;
    at += 1;
  }
  return bytes;
}
