// How long a stream keeps its messages, in what files and how safely, in RabbitMQ's words and one of ours: x-max-age,
// x-max-length-bytes, x-stream-max-segment-size-bytes and x-durability are settings of the destination, under the names that Kafka's clients see. A stream
// that is declared without a limit of age has none, as with RabbitMQ; topics of other protocols have their own.
import { settingNamed } from '../../../broker/ports.ts';
import { type FieldTable, type FieldValue, fieldOf } from '../codec/index.ts';
import { DURABILITY, integerOf } from './arguments.ts';
import { ageOf } from './stream-age.ts';

const NO_LIMIT = '-1';

interface Limit {
  readonly argument: string;
  readonly setting: string;
  /** The text of the setting; the value was checked before. */
  textOf(value: FieldValue): string;
}

const longString = (value: string): FieldValue => ({ type: 'longstr', value });

/** The smallest segment that Kafka's clients may ask for. */
const SEGMENT_BYTES_MIN = 14;
const number = (value: FieldValue): number => Number(integerOf(value) ?? NO_LIMIT);

const LIMITS: readonly Limit[] = [
  {
    argument: 'x-max-age',
    setting: 'retention.ms',
    textOf: (value) => String(value.type === 'longstr' ? ageOf(value.value) : NO_LIMIT),
  },
  {
    argument: 'x-max-length-bytes',
    setting: 'retention.bytes',
    textOf: (value) => String(number(value)),
  },
  {
    argument: 'x-stream-max-segment-size-bytes',
    setting: 'segment.bytes',
    textOf: (value) => String(Math.max(SEGMENT_BYTES_MIN, number(value))),
  },
  {
    argument: DURABILITY,
    setting: 'callboard.durability',
    textOf: (value) => (value.type === 'longstr' ? String(value.value) : ''),
  },
];

/** The settings of a stream that is declared with these arguments. */
export function keepingOf(table: FieldTable): [name: string, value: string][] {
  const settings: [string, string][] = [];
  for (const { argument, setting, textOf } of LIMITS) {
    const value = fieldOf(table, argument);
    if (value !== undefined) settings.push([setting, textOf(value)]);
    else if (setting === 'retention.ms') settings.push([setting, NO_LIMIT]);
  }
  return settings;
}

/**
 * The first limit that is declared otherwise than it is; one that is not named will do as it is.
 *
 * @param durability what is in force, be it by a policy.
 */
export function otherLimit(
  table: FieldTable,
  config: ReadonlyMap<string, string>,
  durability: string,
): { readonly argument: string; readonly current: FieldValue | undefined } | undefined {
  for (const { argument, setting, textOf } of LIMITS) {
    const value = fieldOf(table, argument);
    const present = config.get(setting) ?? settingNamed(setting)!.defaultValue;
    if (value === undefined) continue;
    if (textOf(value) === present) {
      if (argument !== DURABILITY || present === durability) continue;
      return { argument, current: longString(durability) };
    }
    const isNone = present === NO_LIMIT;
    return { argument, current: isNone ? undefined : shown(argument, present) };
  }
  return undefined;
}

function shown(argument: string, present: string): FieldValue {
  if (argument === DURABILITY) return longString(present);
  if (argument !== 'x-max-age') return { type: 'long', value: Number(present) };
  return longString(`${Math.round(Number(present) / 1_000)}s`);
}
