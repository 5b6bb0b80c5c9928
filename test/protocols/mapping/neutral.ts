// What a message says, in words of no protocol: body, key, time and headers, with the names under which the parts that
// only one protocol has stand in headers (docs/reference/mapping.md). Two messages are compared in these words. Bytes
// are written as text with one character for each.

export interface Header {
  readonly name: string;
  /** Null: none at all. */
  readonly value: string | null;
  /** What AMQP says of a value that is neither text nor nothing. */
  readonly type?: string;
}

export interface Neutral {
  readonly body: string | null;
  readonly key: string | null;
  /** Milliseconds since 1970; null: not said. */
  readonly timeMs: number | null;
  readonly headers: readonly Header[];
  /** The publisher packed the body. */
  readonly isPacked?: boolean;
}

export type Difference =
  | { readonly part: 'body' | 'key' | 'time' | 'order' | 'packing' }
  | { readonly part: 'missing' | 'added' | 'type'; readonly header: Header };

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (each) => each.charCodeAt(0));
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** The bytes of text in UTF-8, in these words. */
export function wordsOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

export function isUtf8(words: string): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(words));
    return true;
  } catch {
    return false;
  }
}

/** What is otherwise in `seen` than in `said`. */
export function differences(said: Neutral, seen: Neutral): Difference[] {
  const found: Difference[] = [];
  if (said.body !== seen.body) found.push({ part: 'body' });
  if (said.key !== seen.key) found.push({ part: 'key' });
  if (said.timeMs !== seen.timeMs) found.push({ part: 'time' });
  if ((said.isPacked === true) !== (seen.isPacked === true)) found.push({ part: 'packing' });
  /** Places in `seen` of what was said, in the order in which it was. */
  const places: number[] = [];
  for (const header of said.headers) {
    const place = seen.headers.findIndex((each, i) => !places.includes(i) && isSame(each, header));
    if (place < 0) {
      found.push({ part: 'missing', header });
      continue;
    }
    places.push(place);
    if (header.type !== seen.headers[place]!.type) found.push({ part: 'type', header });
  }
  seen.headers.forEach((header, i) => {
    if (!places.includes(i)) found.push({ part: 'added', header });
  });
  if (places.some((place, i) => place < (places[i - 1] ?? 0))) found.push({ part: 'order' });
  return found;
}

function isSame(a: Header, b: Header): boolean {
  return a.name === b.name && a.value === b.value;
}
