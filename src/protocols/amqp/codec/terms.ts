// Bytes and values as they stand in RabbitMQ's error texts, which are Erlang terms. People search logs for them.
import type { FieldTable, FieldValue } from './field-values.ts';

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

/** A value as it stands alone: text and bytes as they are, all else as a term. */
export function valueAsTerm(field: FieldValue): string {
  if (field.type !== 'longstr' && field.type !== 'binary') return termOf(field);
  return typeof field.value === 'string' ? field.value : bytesAsTerm(field.value);
}

function termOf(field: FieldValue): string {
  switch (field.type) {
    case 'longstr':
    case 'binary':
      return textAsTerm(field.value);
    case 'decimal':
      return `{${field.scale},${field.digits}}`;
    case 'void':
      return 'undefined';
    case 'table':
      return tableAsTerm(field.value);
    case 'array':
      return `[${field.value.map((each) => `{${each.type},${termOf(each)}}`).join(',')}]`;
    default:
      return String(field.value);
  }
}

function textAsTerm(text: string | Uint8Array): string {
  return typeof text === 'string' ? `<<"${text}">>` : bytesAsTerm(text);
}

function tableAsTerm(table: FieldTable): string {
  const fields = table.map(
    ({ name, value }) => `{${textAsTerm(name)},${value.type},${termOf(value)}}`,
  );
  return `[${fields.join(',')}]`;
}
