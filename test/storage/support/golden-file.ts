// A binary file as text that can be reviewed: sixteen bytes a line, as `hexdump -C` has them. Lines of zeros
// are left out, and the first line says how long the file is.
import { readFileSync, writeFileSync } from 'node:fs';

const LINE_BYTES = 16;
const FOLDER = new URL('../golden/', import.meta.url);

export function encodeGolden(bytes: Uint8Array): string {
  const lines = [`${bytes.length} bytes`];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    if (bytes.subarray(at, at + LINE_BYTES).every((byte) => byte === 0)) continue;
    const line = [...bytes.subarray(at, at + LINE_BYTES)];
    const hex = line.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = line.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.'));
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  |${text.join('')}|`);
  }
  return `${lines.join('\n')}\n`;
}

export function decodeGolden(text: string): Uint8Array {
  const [head, ...lines] = text.trimEnd().split('\n');
  const bytes = new Uint8Array(Number.parseInt(head!, 10));
  for (const line of lines) {
    const at = Number.parseInt(line.slice(0, 8), 16);
    const hex = line.slice(10, 57).trim().split(' ');
    bytes.set(
      hex.map((byte) => Number.parseInt(byte, 16)),
      at,
    );
  }
  return bytes;
}

/** The text of a golden file, after it was made anew if UPDATE=1 says so. */
export function goldenText(name: string, now: string): string {
  const url = new URL(name, FOLDER);
  if (process.env['UPDATE'] === '1') writeFileSync(url, now);
  return readFileSync(url, 'utf8');
}

export function goldenBytes(name: string): Uint8Array {
  return decodeGolden(readFileSync(new URL(name, FOLDER), 'utf8'));
}
