// The first bytes of a link, both ways of fixed size, so that a thread which accepts for another can
// read exactly the greeting and hand the connection over: the dialer sends nothing more until it is
// answered. Little-endian.
//
//   greeting (152): magic u32 "CBLK", version u16, zero u16, cluster id 40 B and token 64 B (text padded
//   with zeros), from node u32, from incarnation u32, to node u32, from thread u8, to thread u8, zero
//   u16, protocols hash u32, epoch u32, zero u32 x 3
//   answer (224): magic u32, version u16, status u8 (0 = welcome), zero u8, incarnation u32, credit u32,
//   text length u16, zero u16, text
//
// The token keeps strangers and misdirected nodes out; it is no substitute for a private network.
import { readU16le, readU32le, writeU16le, writeU32le } from '../../std/byte-ops.ts';
import { encodeUtf8, readUtf8, writeUtf8 } from '../../std/utf8.ts';

export const GREETING_BYTES = 152;
export const ANSWER_BYTES = 224;
const LINK_VERSION = 1;
/** "CBLK" as it lies in memory. */
const MAGIC = 0x4b4c4243;
const CLUSTER_AT = 8;
const CLUSTER_BYTES_MAX = 40;
const TOKEN_AT = CLUSTER_AT + CLUSTER_BYTES_MAX;
const TOKEN_BYTES_MAX = 64;
const NUMBERS_AT = TOKEN_AT + TOKEN_BYTES_MAX;
const TEXT_AT = 20;
const TEXT_BYTES_MAX = ANSWER_BYTES - TEXT_AT;

export interface Greeting {
  readonly clusterId: string;
  readonly token: string;
  readonly fromNode: number;
  readonly fromIncarnation: number;
  readonly fromThread: number;
  readonly toNode: number;
  readonly toThread: number;
  readonly protocolsHash: number;
  readonly epoch: number;
}

export type Answer =
  | { readonly kind: 'welcome'; readonly incarnation: number; readonly creditBytes: number }
  | { readonly kind: 'refused'; readonly reason: string };

export type Parsed<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'bad'; readonly reason: string };

/** @throws RangeError when cluster id or token are longer than their fields. */
export function encodeGreeting(greeting: Greeting): Uint8Array {
  const out = new Uint8Array(GREETING_BYTES);
  writeU32le(out, 0, MAGIC);
  writeU16le(out, 4, LINK_VERSION);
  writeField(out, CLUSTER_AT, CLUSTER_BYTES_MAX, greeting.clusterId, 'cluster id');
  writeField(out, TOKEN_AT, TOKEN_BYTES_MAX, greeting.token, 'token');
  writeU32le(out, NUMBERS_AT, greeting.fromNode);
  writeU32le(out, NUMBERS_AT + 4, greeting.fromIncarnation);
  writeU32le(out, NUMBERS_AT + 8, greeting.toNode);
  out[NUMBERS_AT + 12] = greeting.fromThread;
  out[NUMBERS_AT + 13] = greeting.toThread;
  writeU32le(out, NUMBERS_AT + 16, greeting.protocolsHash);
  writeU32le(out, NUMBERS_AT + 20, greeting.epoch);
  return out;
}

export function decodeGreeting(bytes: Uint8Array): Parsed<Greeting> {
  if (bytes.length !== GREETING_BYTES) return bad(`greeting of ${bytes.length} bytes`);
  const wrong = checkStart(bytes);
  if (wrong !== undefined) return bad(wrong);
  try {
    return {
      kind: 'ok',
      value: {
        clusterId: readField(bytes, CLUSTER_AT, CLUSTER_BYTES_MAX),
        token: readField(bytes, TOKEN_AT, TOKEN_BYTES_MAX),
        fromNode: readU32le(bytes, NUMBERS_AT),
        fromIncarnation: readU32le(bytes, NUMBERS_AT + 4),
        toNode: readU32le(bytes, NUMBERS_AT + 8),
        fromThread: bytes[NUMBERS_AT + 12]!,
        toThread: bytes[NUMBERS_AT + 13]!,
        protocolsHash: readU32le(bytes, NUMBERS_AT + 16),
        epoch: readU32le(bytes, NUMBERS_AT + 20),
      },
    };
  } catch {
    return bad('text in the greeting is not UTF-8');
  }
}

/** True if the first bytes may still become a greeting: strangers are told apart at once. */
export function mayBeGreeting(bytes: Uint8Array): boolean {
  for (let i = 0; i < Math.min(4, bytes.length); i += 1) {
    if (bytes[i] !== ((MAGIC >>> (8 * i)) & 0xff)) return false;
  }
  return true;
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const out = new Uint8Array(ANSWER_BYTES);
  writeU32le(out, 0, MAGIC);
  writeU16le(out, 4, LINK_VERSION);
  if (answer.kind === 'welcome') {
    writeU32le(out, 8, answer.incarnation);
    writeU32le(out, 12, answer.creditBytes);
    return out;
  }
  out[6] = 1;
  const text = encodeUtf8(answer.reason).subarray(0, TEXT_BYTES_MAX);
  writeU16le(out, 16, text.length);
  out.set(text, TEXT_AT);
  return out;
}

export function decodeAnswer(bytes: Uint8Array): Parsed<Answer> {
  const wrong = checkStart(bytes);
  if (wrong !== undefined) return bad(wrong);
  if (bytes[6] === 0) {
    const incarnation = readU32le(bytes, 8);
    return {
      kind: 'ok',
      value: { kind: 'welcome', incarnation, creditBytes: readU32le(bytes, 12) },
    };
  }
  const length = Math.min(readU16le(bytes, 16), TEXT_BYTES_MAX);
  try {
    const reason = readUtf8(bytes, TEXT_AT, TEXT_AT + length);
    return { kind: 'ok', value: { kind: 'refused', reason } };
  } catch {
    return bad('text in the answer is not UTF-8');
  }
}

function checkStart(bytes: Uint8Array): string | undefined {
  if (readU32le(bytes, 0) !== MAGIC) return 'not a link of this software';
  const version = readU16le(bytes, 4);
  if (version === LINK_VERSION) return undefined;
  return `link version ${version} there, ${LINK_VERSION} here`;
}

function writeField(out: Uint8Array, at: number, max: number, text: string, name: string): void {
  if (encodeUtf8(text).length > max) throw new RangeError(`the ${name} has more than ${max} bytes`);
  writeUtf8(text, out, at);
}

function readField(bytes: Uint8Array, at: number, max: number): string {
  let end = at;
  while (end < at + max && bytes[end] !== 0) end += 1;
  return readUtf8(bytes, at, end);
}

function bad(reason: string): { readonly kind: 'bad'; readonly reason: string } {
  return { kind: 'bad', reason };
}
