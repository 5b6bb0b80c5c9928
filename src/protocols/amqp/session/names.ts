// Names that clients give to queues and exchanges, and those that the server gives.
const RESERVED = 'amq.';
/** Bytes of a name that the server makes up; 22 characters as base64 without padding. */
const RANDOM_BYTES = 16;
const BASE64_URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** As RabbitMQ does at every use of a name: line ends are no part of it. */
export function cleanName(name: string): string {
  return /[\r\n]/.test(name) ? name.replace(/[\r\n]/g, '') : name;
}

export function isReserved(name: string): boolean {
  return name.startsWith(RESERVED);
}

/** `prefix` and 22 characters that nobody guesses. `random`: uniform in [0, 2^32). */
export function madeUpName(prefix: string, random: () => number): string {
  const bytes: number[] = [];
  for (let i = 0; i < RANDOM_BYTES / 4; i += 1) {
    const word = random();
    bytes.push(word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff);
  }
  let text = prefix;
  for (let at = 0; at < RANDOM_BYTES; at += 3) {
    const group = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const characters = Math.min(4, RANDOM_BYTES - at + 1);
    for (let i = 0; i < characters; i += 1) text += BASE64_URL[(group >>> (18 - 6 * i)) & 0x3f];
  }
  return text;
}
