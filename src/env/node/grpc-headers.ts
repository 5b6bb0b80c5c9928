// The headers of gRPC (grpc/grpc, doc/PROTOCOL-HTTP2.md): timeouts, status texts, content types.

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: { readonly [unit: string]: number } = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** Milliseconds of a grpc-timeout; Infinity without one; undefined if it is not a timeout. */
export function timeoutMsOf(header: string | undefined): number | undefined {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  const [, digits, unit] = TIMEOUT.exec(header) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return Number(digits) * UNIT_MS[unit]!;
}

export function isGrpcContent(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc([+;]|$)/.test(contentType);
}

const TEXT_BYTES_MAX = 1024;

/** A grpc-message: UTF-8 with everything but printable ASCII, and the percent sign, as %XX. Cut to 1 KiB. */
export function percentEncoded(text: string): string {
  const bytes = Buffer.from(text);
  let end = Math.min(bytes.length, TEXT_BYTES_MAX);
  // Never in the middle of a character.
  while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  let encoded = '';
  for (const byte of bytes.subarray(0, end)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
