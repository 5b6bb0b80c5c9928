// What one protocol says and another has no words for: the rows of "What does not come through" in
// docs/reference/mapping.md, each with the differences that it explains. A difference that no row explains is a defect.
import { type Difference, type Header, isUtf8, type Neutral } from './neutral.ts';

export type Protocol = 'AMQP' | 'Kafka' | 'RocketMQ';

/** How the reader came to the message. */
export interface Reading {
  /** The largest frame that it takes; 0: any. */
  readonly frameBytesMax: number;
}

export interface Loss {
  readonly from: readonly Protocol[];
  readonly to: readonly Protocol[];
  readonly what: string;
  explains(difference: Difference, said: Neutral, seen: Neutral, reading: Reading): boolean;
}

const NAME_BYTES_MAX = 255;
const PLACE = 'x-stream-offset';
const ESCAPE = 'amqp.header.';
/** The last that a date can hold (ECMA-262). */
const TIME_MS_MAX = 8_640_000_000_000_000;
/** Headers that are fields of RocketMQ's messages, and some of those that its brokers keep to themselves. */
export const ROCKET_FIELDS = [
  'UNIQ_KEY',
  'TAGS',
  '__BORNHOST',
  'TIMER_DELIVER_MS',
  'TRACE_CONTEXT',
];
export const ROCKET_SECRETS = ['DELAY', 'TTL', 'CORRELATION_ID', 'CLUSTER', 'PGROUP'];

const isHeader = (
  difference: Difference,
  ...parts: string[]
): difference is Extract<Difference, { header: Header }> =>
  'header' in difference && parts.includes(difference.part);
const missing = (difference: Difference, is: (header: Header) => boolean): boolean =>
  isHeader(difference, 'missing') && is(difference.header);
const isOwn = ({ name }: Header): boolean => name.startsWith('amqp.');
const isComposite = ({ type }: Header): boolean => type === 'table' || type === 'array';
const isText = ({ value }: Header): boolean => value !== null && isUtf8(value);
const isShown = (header: Header): boolean => isText(header) && !isComposite(header);
const withoutEscape = (name: string): string =>
  name.startsWith(ESCAPE) ? name.slice(ESCAPE.length) : name;
const isPlace = ({ name }: Header): boolean => withoutEscape(name) === PLACE;

function sizeOf({ headers }: Neutral): number {
  return headers.reduce((sum, { name, value }) => sum + name.length + (value?.length ?? 0) + 10, 0);
}

/** Another header of that name, which RocketMQ can show, stands behind, or says the same. */
function comesAgain(header: Header, { headers }: Neutral): boolean {
  const at = headers.indexOf(header);
  return headers.some((other, i) => {
    const isLater = i > at || (i < at && other.value === header.value);
    return isLater && other.name === header.name && isShown(other);
  });
}

function isDueTime(value: string | null): boolean {
  return value !== null && /^(0|[1-9]\d{0,14})$/.test(value);
}

export const LOSSES: readonly Loss[] = [
  // ---- To AMQP ------------------------------------------------------------------------------------
  {
    from: ['Kafka', 'RocketMQ'],
    to: ['AMQP'],
    what: 'time',
    explains: ({ part }, said, seen) =>
      part === 'time' &&
      (seen.timeMs === null || said.headers.some(({ name }) => name === 'amqp.timestamp')),
  },
  {
    from: ['Kafka'],
    to: ['AMQP', 'RocketMQ'],
    what: 'no value, unlike an empty one',
    explains: ({ part }, said, seen) => part === 'body' && said.body === null && seen.body === '',
  },
  {
    from: ['Kafka'],
    to: ['AMQP'],
    what: 'a key that is empty, not UTF-8, or has more than 255 bytes',
    explains: ({ part }, { key }, seen) =>
      part === 'key' &&
      key !== null &&
      (key === '' || key.length > NAME_BYTES_MAX || !isUtf8(key)) &&
      seen.key === null,
  },
  {
    from: ['Kafka', 'RocketMQ'],
    to: ['AMQP'],
    what: 'header names of more than 255 bytes',
    explains: (difference) =>
      missing(difference, ({ name }) => withoutEscape(name).length > NAME_BYTES_MAX),
  },
  {
    from: ['Kafka', 'RocketMQ'],
    to: ['AMQP'],
    what: 'header names that begin with `amqp.`, other than for what AMQP has',
    explains: (difference, { headers }) => {
      if (!headers.some(isOwn)) return false;
      if (difference.part === 'order') return true;
      if (difference.part === 'key') return headers.some(({ name }) => name === 'amqp.routing-key');
      if (!isHeader(difference, 'missing', 'added')) return false;
      const { header } = difference;
      const isBare = ({ name }: Header): boolean =>
        name.startsWith(ESCAPE) && withoutEscape(name) === header.name;
      return isOwn(header) || (difference.part === 'added' && headers.some(isBare));
    },
  },
  {
    from: ['Kafka', 'RocketMQ'],
    to: ['AMQP'],
    what: 'headers that do not fit into one frame',
    explains: (difference, said, _seen, { frameBytesMax }) =>
      frameBytesMax > 0 && sizeOf(said) > frameBytesMax - 200 && missing(difference, () => true),
  },
  {
    from: ['Kafka', 'RocketMQ'],
    to: ['AMQP'],
    what: 'a header `x-stream-offset`',
    explains: (difference) =>
      isHeader(difference, 'missing', 'added') && isPlace(difference.header),
  },
  // ---- To RocketMQ --------------------------------------------------------------------------------
  {
    from: ['AMQP', 'Kafka'],
    to: ['RocketMQ'],
    what: 'a key that is not UTF-8',
    explains: ({ part }, { key }, seen) =>
      part === 'key' && key !== null && !isUtf8(key) && seen.key === null,
  },
  {
    from: ['AMQP', 'Kafka'],
    to: ['RocketMQ'],
    what: 'headers whose value is none, or not UTF-8',
    explains: (difference) => missing(difference, (header) => !isText(header)),
  },
  {
    from: ['AMQP', 'Kafka'],
    to: ['RocketMQ'],
    what: 'a header whose name comes again',
    explains: (difference, said) => missing(difference, (header) => comesAgain(header, said)),
  },
  {
    from: ['AMQP', 'Kafka'],
    to: ['RocketMQ'],
    what: 'header names that RocketMQ has for itself, other than for what its messages have',
    explains: (difference) => {
      if (!isHeader(difference, 'missing', 'added')) return false;
      const { name, value } = difference.header;
      if (name === 'TIMER_DELIVER_MS') return difference.part === 'added' || !isDueTime(value);
      if (difference.part === 'added') return false;
      return ROCKET_SECRETS.includes(name) || (name === '__BORNHOST' && value === '');
    },
  },
  {
    from: ['AMQP', 'Kafka'],
    to: ['RocketMQ'],
    what: 'the order of headers of different names',
    explains: ({ part }) => part === 'order',
  },
  {
    from: ['AMQP', 'Kafka'],
    to: ['RocketMQ'],
    what: 'that there is no message id',
    explains: (difference, { headers }) =>
      isHeader(difference, 'added') &&
      difference.header.name === 'UNIQ_KEY' &&
      !headers.some((header) => header.name === 'UNIQ_KEY' && isShown(header)),
  },
  {
    from: ['Kafka'],
    to: ['RocketMQ'],
    what: 'a time before 1970',
    explains: ({ part }, { timeMs }, seen) =>
      part === 'time' && timeMs !== null && timeMs < 0 && seen.timeMs === 0,
  },
  // ---- From AMQP ----------------------------------------------------------------------------------
  {
    from: ['AMQP'],
    to: ['Kafka', 'RocketMQ'],
    what: 'a table or an array as the value of a header',
    explains: (difference) => missing(difference, isComposite),
  },
  {
    from: ['AMQP'],
    to: ['Kafka', 'RocketMQ'],
    what: 'header names that are not UTF-8',
    explains: (difference) => missing(difference, ({ name }) => !isUtf8(name)),
  },
  {
    from: ['AMQP'],
    to: ['Kafka', 'RocketMQ'],
    what: 'types of the values of headers',
    explains: (difference) => isHeader(difference, 'type') && difference.header.type !== undefined,
  },
  {
    from: ['AMQP'],
    to: ['Kafka', 'RocketMQ'],
    what: 'that there are no types and repetitions beside the headers',
    explains: (difference) =>
      isHeader(difference, 'added') && difference.header.name === 'amqp.headers',
  },
  {
    from: ['AMQP'],
    to: ['Kafka', 'RocketMQ'],
    what: 'a time after the year 275760',
    explains: ({ part }, { timeMs }) => part === 'time' && timeMs !== null && timeMs > TIME_MS_MAX,
  },
  {
    from: ['AMQP'],
    to: ['Kafka', 'RocketMQ'],
    what: 'that there is no time',
    explains: ({ part }, { timeMs }) => part === 'time' && timeMs === null,
  },
  // ---- From RocketMQ ------------------------------------------------------------------------------
  {
    from: ['RocketMQ'],
    to: ['Kafka'],
    what: 'parts of a millisecond',
    explains: ({ part }, { timeMs }, seen) =>
      part === 'time' && timeMs !== null && Math.floor(timeMs) === seen.timeMs,
  },
  {
    from: ['RocketMQ'],
    to: ['Kafka'],
    what: 'that there is no time',
    explains: ({ part }, { timeMs }) => part === 'time' && timeMs === null,
  },
  {
    from: ['RocketMQ'],
    to: ['AMQP', 'Kafka'],
    what: 'that the body was packed',
    explains: ({ part }, said) => part === 'packing' && said.isPacked === true,
  },
];

/** As in the table: protocols, and what. */
export function rowOf({ from, to, what }: Loss): string {
  return `${from.join(', ')} | ${to.join(', ')} | ${what}`;
}

/** The row that explains it; undefined: it is a defect. */
export function lossOf(
  difference: Difference,
  way: { readonly from: Protocol; readonly to: Protocol },
  said: Neutral,
  seen: Neutral,
  reading: Reading,
): Loss | undefined {
  return LOSSES.find(
    (loss) =>
      loss.from.includes(way.from) &&
      loss.to.includes(way.to) &&
      loss.explains(difference, said, seen, reading),
  );
}
