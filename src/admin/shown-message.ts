// A record as the API and the command line show it: text where bytes are text.
import type { ReadRecord } from '../broker/ports.ts';
import { textOf } from './answers.ts';
import type { ApiHeader, ApiMessage } from './api-types.ts';
import { base64 } from './base64.ts';

function shown(bytes: Uint8Array | null): { text: string | null; base64?: string } {
  if (bytes === null) return { text: null };
  const text = textOf(bytes);
  return text === undefined ? { text: null, base64: base64(bytes) } : { text };
}

/** A record as the API and the command line show it. */
export function messageOf(record: ReadRecord): ApiMessage {
  const key = shown(record.key);
  const value = shown(record.value);
  const headers: ApiHeader[] = record.headers.map((header) => ({
    name: header.name,
    value: header.value === null ? null : (textOf(header.value) ?? base64(header.value)),
  }));
  return {
    partition: record.partition,
    offset: record.offset,
    timestampMs: record.timestampMs,
    key: key.text,
    ...(key.base64 === undefined ? {} : { keyBase64: key.base64 }),
    value: value.text,
    ...(value.base64 === undefined ? {} : { valueBase64: value.base64 }),
    headers,
    ...(record.note === undefined ? {} : { note: record.note }),
  };
}
