// The settings of a destination: names, types, defaults and what values they take. A name that is not in
// the table, or a value that this version does not honour, is refused when it is set: nothing is stored
// and ignored. Values travel and are stored as text.

export type SettingType = 'boolean' | 'int' | 'long' | 'list' | 'string';

export interface Setting {
  readonly name: string;
  readonly type: SettingType;
  readonly defaultValue: string;
  readonly about: string;
  /** A sentence for people if the value is refused. */
  readonly refuse: (value: string) => string | undefined;
}

/** Kafka's default: 1 MiB of records and the 12 bytes in front of a batch's length. */
const MESSAGE_BYTES_DEFAULT = 1_048_588;
/** A batch must fit into a frame of the write-ahead log. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** For clients that look for a log under the name of a broker. */
const NAME_SPREAD_DEFAULT = 4;

const NAME_SPREAD = 'callboard.broker.names';
const MAX_MESSAGE_BYTES = 'max.message.bytes';
const MIN_INSYNC_REPLICAS = 'min.insync.replicas';

function integer(min: number, max: number): Setting['refuse'] {
  return (value) => {
    const number = /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    const isGood = number >= min && number <= max;
    return isGood ? undefined : `must be an integer from ${min} to ${max}, not "${value}"`;
  };
}

function only(accepted: string, why: string): Setting['refuse'] {
  return (value) =>
    value.trim() === accepted ? undefined : `only "${accepted}" is served: ${why}`;
}

export const SETTINGS: readonly Setting[] = [
  {
    name: NAME_SPREAD,
    type: 'int',
    defaultValue: String(NAME_SPREAD_DEFAULT),
    about:
      'Over how many names of brokers the partitions are spread for clients that know brokers by name.',
    refuse: integer(1, 1_000),
  },
  {
    name: 'cleanup.policy',
    type: 'list',
    defaultValue: 'delete',
    about: 'What becomes of old records.',
    refuse: only('delete', 'compaction by key is not part of this version'),
  },
  {
    name: 'compression.type',
    type: 'string',
    defaultValue: 'producer',
    about: 'The codec in which batches are kept: the one they came in.',
    refuse: only('producer', 'batches are kept as they came'),
  },
  {
    name: MAX_MESSAGE_BYTES,
    type: 'int',
    defaultValue: String(MESSAGE_BYTES_DEFAULT),
    about: 'The largest record batch, in bytes.',
    refuse: integer(0, MESSAGE_BYTES_MAX),
  },
  {
    name: 'message.timestamp.type',
    type: 'string',
    defaultValue: 'CreateTime',
    about: 'Whose time a record carries: its producer’s.',
    refuse: only('CreateTime', 'records keep the time of their producer'),
  },
  {
    name: MIN_INSYNC_REPLICAS,
    type: 'int',
    defaultValue: '1',
    about: 'How many replicas must have a record before a fully acknowledged send is answered.',
    refuse: integer(1, 100),
  },
  {
    name: 'retention.bytes',
    type: 'long',
    defaultValue: '-1',
    about: 'The size beyond which old records go; -1: none.',
    refuse: only('-1', 'records are kept until their destination is removed'),
  },
  {
    name: 'retention.ms',
    type: 'long',
    defaultValue: '-1',
    about: 'The age in ms beyond which records go; -1: none.',
    refuse: only('-1', 'records are kept until their destination is removed'),
  },
  {
    name: 'unclean.leader.election.enable',
    type: 'boolean',
    defaultValue: 'false',
    about: 'Whether a replica that may lack records can lead.',
    refuse: only('false', 'a replica that may lack records never leads'),
  },
];

const BY_NAME: ReadonlyMap<string, Setting> = new Map(SETTINGS.map((each) => [each.name, each]));

/** The first refusal of a list of settings, as a sentence, or undefined. */
export function refuseSettings(
  config: readonly (readonly [string, string | null])[],
): string | undefined {
  const seen = new Set<string>();
  for (const [name, value] of config) {
    const setting = BY_NAME.get(name);
    if (setting === undefined) return `unknown setting "${name}"`;
    if (seen.has(name)) return `setting "${name}" is given twice`;
    seen.add(name);
    if (value === null) return `setting "${name}" has no value`;
    const refusal = setting.refuse(value);
    if (refusal !== undefined) return `${name}: ${refusal}`;
  }
  return undefined;
}

/** The largest batch that a destination with this configuration takes. */
export function messageBytesMax(config: ReadonlyMap<string, string> | undefined): number {
  const value = config?.get(MAX_MESSAGE_BYTES);
  return value === undefined ? MESSAGE_BYTES_DEFAULT : Number(value);
}

/** Over how many names of brokers the logs of a destination with this configuration are spread. */
export function nameSpread(config: ReadonlyMap<string, string> | undefined): number {
  return Number(config?.get(NAME_SPREAD) ?? NAME_SPREAD_DEFAULT);
}
