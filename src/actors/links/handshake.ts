// The first bytes of a link. The dialer proves that it knows the token before it is told anything, and then hears a
// proof in return; the token itself never travels. Everything is of a fixed size or says its length first, and the
// dialer sends nothing that it was not asked for, so that a thread which accepts for another can read exactly the
// handshake and hand the connection over. Little-endian; the first eight bytes are the same in every version.
//
//   greeting (152): magic u32 "CBLK", version u16, zero u16, cluster id 40 B (padded with zeros), from node u32, from
//   incarnation u32, to node u32, from thread u8, to thread u8, lane u8, zero u8, protocols hash u32, epoch u32,
//   nonce 32 B, port u16 and host 46 B (padded with zeros) where the dialer is dialled; no port: not said, no host:
//   where it dials from. Without a cluster id it is an introduction (introduction.ts): to node and thread mean nothing
//   answer (512): magic u32, version u16, status u8, why it is refused u8, incarnation u32, credit u32, text length
//   u16, zero u16, proof or nonce 32 B, text
//   proof (32): HMAC-SHA-256 of role, greeting and the acceptor's nonce under the token
//   proof of a refusal as twice (32): HMAC-SHA-256 of "twice" and the acceptor's proof under the token
//
//   dialer                acceptor
//   greeting        ->
//                   <-    challenge: nonce                 (or refused: text, and the end)
//   proof           ->
//                   <-    protocols wanted                 (only if the hashes differ)
//   protocols       ->
//                   <-    welcome: proof, incarnation, credit   (or refused; or, for an introduction, proof only)
//
// Who reads along learns what it needs to guess at weak tokens, and reads what follows: this keeps strangers and
// misdirected nodes out, and is no substitute for a private network.
import type { Address } from '../../env/environment.ts';
import { readU16le, readU32le, writeU16le, writeU32le } from '../../std/byte-ops.ts';
import { hmacSha256, SHA256_BYTES } from '../../std/sha256.ts';
import { encodeUtf8, readUtf8, writeUtf8 } from '../../std/utf8.ts';

export const GREETING_BYTES = 152;
export const ANSWER_BYTES = 512;
export const PROOF_BYTES = SHA256_BYTES;
export const NONCE_BYTES = 32;
const LINK_VERSION = 2;
/** "CBLK" as it lies in memory. */
const MAGIC = 0x4b4c4243;
const CLUSTER_AT = 8;
const CLUSTER_BYTES_MAX = 40;
const NUMBERS_AT = CLUSTER_AT + CLUSTER_BYTES_MAX;
const GREETING_NONCE_AT = NUMBERS_AT + 24;
const LISTENS_AT = GREETING_NONCE_AT + NONCE_BYTES;
const HOST_BYTES_MAX = GREETING_BYTES - LISTENS_AT - 2;
const WHY_AT = 7;
const PROOF_AT = 20;
const TEXT_AT = PROOF_AT + PROOF_BYTES;
const TEXT_BYTES_MAX = ANSWER_BYTES - TEXT_AT;
/** Where the version ends. */
const START_BYTES = 6;

/** Messages and signals, and the bulk of streams: one never waits for the other. */
export type Lane = 0 | 1;
export const LANES: readonly Lane[] = [0, 1];

export interface Greeting {
  readonly clusterId: string;
  readonly fromNode: number;
  readonly fromIncarnation: number;
  readonly fromThread: number;
  readonly toNode: number;
  readonly toThread: number;
  readonly lane: Lane;
  readonly protocolsHash: number;
  readonly epoch: number;
  /** Drawn anew for every connection: what was seen on one proves nothing on another. */
  readonly nonce: Uint8Array;
  /** Where the dialer's node is dialled. An empty host: where it dials from. */
  readonly listensAt?: Address | undefined;
}

const STATUSES = ['welcome', 'refused', 'challenge', 'protocols-wanted', 'introduce'] as const;

/**
 * Why somebody is refused, where programs must know. `twice`: another life of the dialing node has a link there, and
 * answers on it.
 */
export type RefusedFor = 'other' | 'twice' | 'token' | 'protocols';
const REASONS: readonly RefusedFor[] = ['other', 'twice', 'token', 'protocols'];

export type Answer =
  | {
      readonly kind: 'welcome';
      readonly incarnation: number;
      readonly creditBytes: number;
      readonly proof: Uint8Array;
    }
  | {
      readonly kind: 'refused';
      readonly reason: string;
      /** Another life of the dialing node has a link here, and answers on it: what shows that a peer says so. */
      readonly twiceProof: Uint8Array | undefined;
      /** Left out: `twice` with a proof of it, else `other`. */
      readonly why?: RefusedFor;
    }
  /** The proof is taken: what does the dialer want to say of itself? */
  | { readonly kind: 'introduce'; readonly proof: Uint8Array }
  | { readonly kind: 'challenge'; readonly nonce: Uint8Array }
  | { readonly kind: 'protocols-wanted' };

export type Parsed<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'bad'; readonly reason: string };

/** @throws RangeError when the cluster id is longer than its field. */
export function encodeGreeting(greeting: Greeting): Uint8Array {
  const out = new Uint8Array(GREETING_BYTES);
  writeStart(out);
  if (encodeUtf8(greeting.clusterId).length > CLUSTER_BYTES_MAX) {
    throw new RangeError(`the cluster id has more than ${CLUSTER_BYTES_MAX} bytes`);
  }
  writeUtf8(greeting.clusterId, out, CLUSTER_AT);
  writeU32le(out, NUMBERS_AT, greeting.fromNode);
  writeU32le(out, NUMBERS_AT + 4, greeting.fromIncarnation);
  writeU32le(out, NUMBERS_AT + 8, greeting.toNode);
  out[NUMBERS_AT + 12] = greeting.fromThread;
  out[NUMBERS_AT + 13] = greeting.toThread;
  out[NUMBERS_AT + 14] = greeting.lane;
  writeU32le(out, NUMBERS_AT + 16, greeting.protocolsHash);
  writeU32le(out, NUMBERS_AT + 20, greeting.epoch);
  out.set(greeting.nonce, GREETING_NONCE_AT);
  const { listensAt } = greeting;
  if (listensAt !== undefined) {
    writeU16le(out, LISTENS_AT, listensAt.port);
    // A longer name is left out: where it dials from is a better guess than half a name.
    if (encodeUtf8(listensAt.host).length <= HOST_BYTES_MAX) {
      writeUtf8(listensAt.host, out, LISTENS_AT + 2);
    }
  }
  return out;
}

/** Text in a field that is padded with zeros. */
function readPadded(bytes: Uint8Array, start: number, fieldEnd: number): string {
  let end = start;
  while (end < fieldEnd && bytes[end] !== 0) end += 1;
  return readUtf8(bytes, start, end);
}

export function decodeGreeting(bytes: Uint8Array): Parsed<Greeting> {
  if (bytes.length !== GREETING_BYTES) return bad(`greeting of ${bytes.length} bytes`);
  const wrong = whyNoStart(bytes);
  if (wrong !== undefined) return bad(wrong);
  const lane = bytes[NUMBERS_AT + 14]!;
  if (lane > 1) return bad(`there is no lane ${lane}`);
  const port = readU16le(bytes, LISTENS_AT);
  try {
    const host = readPadded(bytes, LISTENS_AT + 2, GREETING_BYTES);
    return {
      kind: 'ok',
      value: {
        clusterId: readPadded(bytes, CLUSTER_AT, NUMBERS_AT),
        fromNode: readU32le(bytes, NUMBERS_AT),
        fromIncarnation: readU32le(bytes, NUMBERS_AT + 4),
        toNode: readU32le(bytes, NUMBERS_AT + 8),
        fromThread: bytes[NUMBERS_AT + 12]!,
        toThread: bytes[NUMBERS_AT + 13]!,
        lane: lane as Lane,
        protocolsHash: readU32le(bytes, NUMBERS_AT + 16),
        epoch: readU32le(bytes, NUMBERS_AT + 20),
        nonce: bytes.slice(GREETING_NONCE_AT, GREETING_NONCE_AT + NONCE_BYTES),
        listensAt: port === 0 ? undefined : { host, port },
      },
    };
  } catch {
    return bad('text in the greeting is not UTF-8');
  }
}

/** These first bytes are of this software, in whatever version. */
export function isOfLinks(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && readU32le(bytes, 0) === MAGIC;
}

/** Why these first bytes cannot become a greeting or an answer: strangers and other versions are told at once. */
export function whyNoStart(bytes: Uint8Array): string | undefined {
  for (let i = 0; i < Math.min(4, bytes.length); i += 1) {
    if (bytes[i] !== ((MAGIC >>> (8 * i)) & 0xff)) return 'this is no link of this software';
  }
  if (bytes.length < START_BYTES) return undefined;
  const version = readU16le(bytes, 4);
  if (version === LINK_VERSION) return undefined;
  return `link version ${version} there, ${LINK_VERSION} here`;
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const out = new Uint8Array(ANSWER_BYTES);
  writeStart(out);
  out[6] = STATUSES.indexOf(answer.kind);
  if (answer.kind === 'welcome') {
    writeU32le(out, 8, answer.incarnation);
    writeU32le(out, 12, answer.creditBytes);
    out.set(answer.proof, PROOF_AT);
  } else if (answer.kind === 'challenge') out.set(answer.nonce, PROOF_AT);
  else if (answer.kind === 'introduce') out.set(answer.proof, PROOF_AT);
  else if (answer.kind === 'refused') {
    const text = encodeUtf8(cutText(answer.reason));
    const { twiceProof, why = twiceProof === undefined ? 'other' : 'twice' } = answer;
    out[WHY_AT] = REASONS.indexOf(why);
    if (twiceProof !== undefined) out.set(twiceProof, PROOF_AT);
    writeU16le(out, 16, text.length);
    out.set(text, TEXT_AT);
  }
  return out;
}

export function decodeAnswer(bytes: Uint8Array): Parsed<Answer> {
  const wrong = whyNoStart(bytes);
  if (wrong !== undefined) return bad(wrong);
  const kind = STATUSES[bytes[6]!];
  const field = bytes.slice(PROOF_AT, PROOF_AT + PROOF_BYTES);
  switch (kind) {
    case 'welcome': {
      const incarnation = readU32le(bytes, 8);
      const creditBytes = readU32le(bytes, 12);
      return { kind: 'ok', value: { kind, incarnation, creditBytes, proof: field } };
    }
    case 'challenge':
      return { kind: 'ok', value: { kind, nonce: field } };
    case 'introduce':
      return { kind: 'ok', value: { kind, proof: field } };
    case 'protocols-wanted':
      return { kind: 'ok', value: { kind } };
    case 'refused': {
      const length = Math.min(readU16le(bytes, 16), TEXT_BYTES_MAX);
      try {
        const reason = readUtf8(bytes, TEXT_AT, TEXT_AT + length);
        const why = REASONS[bytes[WHY_AT]!] ?? 'other';
        const twiceProof = why === 'twice' ? field : undefined;
        return { kind: 'ok', value: { kind, reason, twiceProof, why } };
      } catch {
        return bad('text in the answer is not UTF-8');
      }
    }
    default:
      return bad(`answer of status ${bytes[6]}`);
  }
}

/** What shows that `role` knows the token, on this connection only. */
export function proofOf(
  role: 'dialer' | 'acceptor',
  token: Uint8Array,
  greeting: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  return hmacSha256(token, encodeUtf8(`callboard link ${role}`), greeting, nonce);
}

/**
 * What shows that who refuses a node as running twice knows the token: such a refusal ends a node. It is no proof of a
 * welcome, so that a welcome is never taken for it.
 */
export function twiceProofOf(token: Uint8Array, acceptorProof: Uint8Array): Uint8Array {
  return hmacSha256(token, encodeUtf8('callboard link twice'), acceptorProof);
}

function writeStart(out: Uint8Array): void {
  writeU32le(out, 0, MAGIC);
  writeU16le(out, 4, LINK_VERSION);
}

/** A character of UTF-16 has at most three bytes: only long texts are looked at again. */
function cutText(text: string): string {
  let cut = text.slice(0, TEXT_BYTES_MAX);
  while (encodeUtf8(cut).length > TEXT_BYTES_MAX) cut = cut.slice(0, -1);
  return cut;
}

function bad(reason: string): { readonly kind: 'bad'; readonly reason: string } {
  return { kind: 'bad', reason };
}
