// What the body of a request says: one JSON object whose fields are known. A field that would be ignored is refused.
import { decodeUtf8 } from '../std/bytes.ts';
import { messageOf } from '../std/errors.ts';
import { invalid } from './answers.ts';

export type Fields = Readonly<Record<string, unknown>>;
/** How the API that is asked says that a request is wrong. */
export type Refuse = (reason: string) => Error;

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectIn(body: Uint8Array, refuse: Refuse = invalid): Fields {
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(body));
  } catch (error) {
    throw refuse(`the body is no JSON: ${messageOf(error)}`);
  }
  if (!isObject(value)) throw refuse('the body must be a JSON object');
  return value;
}

export function fieldsIn(
  body: Uint8Array,
  known: readonly string[],
  refuse: Refuse = invalid,
): Fields {
  const fields = objectIn(body, refuse);
  const other = Object.keys(fields).find((field) => !known.includes(field));
  if (other === undefined) return fields;
  throw refuse(`unknown field ${other}; known: ${known.join(', ') || 'none'}`);
}
