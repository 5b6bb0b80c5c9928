// Bytes as they stand in RabbitMQ's error texts, which are Erlang terms. People search logs for these texts.

const PRINTABLE_FROM = 0x20;
const PRINTABLE_TO = 0x7e;
const SNIPPET_BYTES = 16;

/** `<<0,60,0,40>>`: every byte as a number. */
export function bytesAsNumbers(bytes: Uint8Array): string {
  return `<<${bytes.join(',')}>>`;
}

/** `<<"abc">>` for printable ASCII, numbers for everything else, so that the text is always valid UTF-8. */
function bytesAsTerm(bytes: Uint8Array): string {
  if (bytes.length === 0) return '<<>>';
  let text = '';
  for (const byte of bytes) {
    if (byte < PRINTABLE_FROM || byte > PRINTABLE_TO) return bytesAsNumbers(bytes);
    const character = String.fromCharCode(byte);
    text += character === '"' || character === '\\' ? `\\${character}` : character;
  }
  return `<<"${text}">>`;
}

/** How a payload is shown: all of it, or its first 16 bytes. */
export function payloadSnippet(payload: Uint8Array): string {
  return payload.length <= SNIPPET_BYTES
    ? `all octets = ${bytesAsTerm(payload)}`
    : `first 16 octets = ${bytesAsTerm(payload.subarray(0, SNIPPET_BYTES))}`;
}
