// The settings of a destination: names, types, defaults and what values they take. A name that is not in
// the table, or a value that this version does not honour, is refused when it is set: nothing is stored
// and ignored. Values travel and are stored as text.

import { DURABILITIES, READ_FROM, settingsConflict } from '../../cluster/ports.ts';

export type SettingType = 'boolean' | 'int' | 'long' | 'double' | 'list' | 'string';

export interface Setting {
  readonly name: string;
  readonly type: SettingType;
  readonly defaultValue: string;
  readonly about: string;
  /** Decided when the destination is made: it is not set afterwards. */
  readonly isFixed?: boolean;
  /** A sentence for people if the value is refused. */
  readonly refuse: (value: string) => string | undefined;
}

/** Kafka's default: 1 MiB of records and the 12 bytes in front of a batch's length. */
const MESSAGE_BYTES_DEFAULT = 1_048_588;
/** A batch must fit into a frame of the write-ahead log. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** For clients that look for a log under the name of a broker. */
const NAME_SPREAD_DEFAULT = 4;

const DURABILITY = 'callboard.durability';
const NAME_SPREAD = 'callboard.broker.names';
const MAX_MESSAGE_BYTES = 'max.message.bytes';
const MIN_INSYNC_REPLICAS = 'min.insync.replicas';
const RETENTION_BYTES = 'retention.bytes';
const RETENTION_MS = 'retention.ms';
const SEGMENT_BYTES = 'segment.bytes';
const SEGMENT_MS = 'segment.ms';
const CLEANUP_POLICY = 'cleanup.policy';
const DELETE_RETENTION_MS = 'delete.retention.ms';
const MAX_COMPACTION_LAG_MS = 'max.compaction.lag.ms';
const MIN_CLEANABLE_DIRTY_RATIO = 'min.cleanable.dirty.ratio';
const MIN_COMPACTION_LAG_MS = 'min.compaction.lag.ms';

/** Kafka's: a week. */
const RETENTION_MS_DEFAULT = 7 * 86_400_000;
const NO_LIMIT = -1;
/** 2^63 - 1, which many write for "for ever". */
const LONG_MAX = Number('9223372036854775807');
/** As the store has it; Kafka's is 1 GiB, of which a node with many partitions needs a lot. */
const SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024;
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;
const SEGMENT_MS_DEFAULT = 7 * 86_400_000;
const DAY_MS = 86_400_000;
const COMPACT = 'compact';
const DELETE = 'delete';

function integer(min: number, max: number): Setting['refuse'] {
  return (value) => {
    const number = /^-?\d{1,19}$/.test(value) ? Number(value) : Number.NaN;
    const isGood = number >= min && number <= max;
    return isGood ? undefined : `must be an integer from ${min} to ${max}, not "${value}"`;
  };
}

function oneOf(words: readonly string[]): Setting['refuse'] {
  return (value) =>
    words.includes(value) ? undefined : `must be one of ${words.join(', ')}, not "${value}"`;
}

function policiesIn(value: string): string[] {
  return value.split(',').map((word) => word.trim());
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
    isFixed: true,
    refuse: integer(1, 1_000),
  },
  {
    name: DURABILITY,
    type: 'string',
    defaultValue: 'sync',
    about:
      'When a send is answered. sync: when the record is on disk on enough replicas; replicated: when as many have received it; async: when the leader has it; memory: never on disk, one replica, gone with its node.',
    refuse: oneOf(DURABILITIES),
  },
  {
    name: READ_FROM,
    type: 'string',
    defaultValue: 'leader',
    about:
      'Who is read. leader: whoever leads the partition; replica: Kafka consumers with a client.rack are sent to an in-sync replica of that rack, and streams are read on the node that a consumer is connected to, where it has one.',
    refuse: oneOf(['leader', 'replica']),
  },
  {
    name: CLEANUP_POLICY,
    type: 'list',
    defaultValue: DELETE,
    about:
      'What becomes of old records: they are deleted by age and size, or all but the newest of each key go.',
    refuse: (value) => {
      const words = policiesIn(value);
      const isGood = words.every((word) => word === COMPACT || word === DELETE);
      return isGood ? undefined : `must be "delete", "compact" or both, not "${value}"`;
    },
  },
  {
    name: 'compression.type',
    type: 'string',
    defaultValue: 'producer',
    about: 'The codec in which batches are kept: the one they came in.',
    refuse: only('producer', 'batches are kept as they came'),
  },
  {
    name: DELETE_RETENTION_MS,
    type: 'long',
    defaultValue: String(DAY_MS),
    about:
      'How long a record without value stays in a compacted topic, in ms, from its first compaction on.',
    refuse: integer(0, LONG_MAX),
  },
  {
    name: MAX_COMPACTION_LAG_MS,
    type: 'long',
    defaultValue: '9223372036854775807',
    about: 'Records older than this, in ms, are compacted however few they are.',
    refuse: integer(1, LONG_MAX),
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
    name: MIN_CLEANABLE_DIRTY_RATIO,
    type: 'double',
    defaultValue: '0.5',
    about: 'The share of bytes that were never compacted from which on a topic is compacted.',
    refuse: (value) => {
      const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
      return number <= 1 ? undefined : `must be a number from 0 to 1, not "${value}"`;
    },
  },
  {
    name: MIN_COMPACTION_LAG_MS,
    type: 'long',
    defaultValue: '0',
    about: 'Records younger than this, in ms, are not compacted.',
    refuse: integer(0, LONG_MAX),
  },
  {
    name: MIN_INSYNC_REPLICAS,
    type: 'int',
    defaultValue: '1',
    about: 'How many replicas must have a record before a fully acknowledged send is answered.',
    refuse: integer(1, 100),
  },
  {
    name: RETENTION_BYTES,
    type: 'long',
    defaultValue: String(NO_LIMIT),
    about: 'Bytes of a partition beyond which its oldest records go; -1: no limit.',
    refuse: integer(NO_LIMIT, LONG_MAX),
  },
  {
    name: RETENTION_MS,
    type: 'long',
    defaultValue: String(RETENTION_MS_DEFAULT),
    about: 'Age in ms, from when a record was appended, beyond which records go; -1: no limit.',
    refuse: integer(NO_LIMIT, LONG_MAX),
  },
  {
    name: SEGMENT_BYTES,
    type: 'int',
    defaultValue: String(SEGMENT_BYTES_DEFAULT),
    about: 'Size of a segment file: what is deleted goes from the disk in such pieces.',
    refuse: integer(14, SEGMENT_BYTES_MAX),
  },
  {
    name: SEGMENT_MS,
    type: 'long',
    defaultValue: String(SEGMENT_MS_DEFAULT),
    about: 'Time in ms after which a segment file takes no more records.',
    refuse: integer(1, LONG_MAX),
  },
  {
    name: 'unclean.leader.election.enable',
    type: 'boolean',
    defaultValue: 'false',
    about:
      'Whether a replica that may lack records leads when nobody else can. What is lost then is told: see the log of the nodes.',
    refuse: oneOf(['true', 'false']),
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
  return settingsConflict(new Map(config as readonly (readonly [string, string])[]));
}

export function settingNamed(name: string): Setting | undefined {
  return BY_NAME.get(name);
}

/** The largest batch that a destination with this configuration takes. */
export function messageBytesMax(config: ReadonlyMap<string, string> | undefined): number {
  const value = config?.get(MAX_MESSAGE_BYTES);
  return value === undefined ? MESSAGE_BYTES_DEFAULT : Number(value);
}

/** What is kept of each log of a stream, and in what pieces. `Infinity`: no limit. */
export interface StreamKeeping {
  readonly ageMs: number;
  readonly bytes: number;
  readonly segmentBytes: number;
  readonly segmentMs: number;
}

/** How a stream is compacted by key, if it is. `Infinity`: no limit. */
export interface StreamCompaction {
  readonly minDirtyRatio: number;
  readonly deleteRetentionMs: number;
  readonly minLagMs: number;
  readonly maxLagMs: number;
}

export function isCompacted(config: ReadonlyMap<string, string> | undefined): boolean {
  return policiesIn(config?.get(CLEANUP_POLICY) ?? DELETE).includes(COMPACT);
}

/** Do records go by age and size, and when a client says so? */
export function isDeleting(config: ReadonlyMap<string, string> | undefined): boolean {
  return policiesIn(config?.get(CLEANUP_POLICY) ?? DELETE).includes(DELETE);
}

export function streamCompaction(
  config: ReadonlyMap<string, string> | undefined,
): StreamCompaction | undefined {
  if (!isCompacted(config)) return undefined;
  const numberOf = (name: string, otherwise: number) => Number(config?.get(name) ?? otherwise);
  const maxLagMs = numberOf(MAX_COMPACTION_LAG_MS, LONG_MAX);
  return {
    minDirtyRatio: numberOf(MIN_CLEANABLE_DIRTY_RATIO, 0.5),
    deleteRetentionMs: numberOf(DELETE_RETENTION_MS, DAY_MS),
    minLagMs: numberOf(MIN_COMPACTION_LAG_MS, 0),
    maxLagMs: maxLagMs >= Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : maxLagMs,
  };
}

export function streamKeeping(config: ReadonlyMap<string, string> | undefined): StreamKeeping {
  const numberOf = (name: string, otherwise: number) => Number(config?.get(name) ?? otherwise);
  const limit = (value: number) =>
    value < 0 || !isDeleting(config) ? Number.POSITIVE_INFINITY : value;
  const segmentMs = numberOf(SEGMENT_MS, SEGMENT_MS_DEFAULT);
  // A segment that takes records is not compacted.
  const rollMs = Math.min(segmentMs, streamCompaction(config)?.maxLagMs ?? segmentMs);
  return {
    ageMs: limit(numberOf(RETENTION_MS, RETENTION_MS_DEFAULT)),
    bytes: limit(numberOf(RETENTION_BYTES, NO_LIMIT)),
    segmentBytes: numberOf(SEGMENT_BYTES, SEGMENT_BYTES_DEFAULT),
    segmentMs: rollMs,
  };
}

/** Over how many names of brokers the logs of a destination with this configuration are spread. */
export function nameSpread(config: ReadonlyMap<string, string> | undefined): number {
  return Number(config?.get(NAME_SPREAD) ?? NAME_SPREAD_DEFAULT);
}
