// The keys of a destination's config that the cluster itself obeys, and what does not go together: that is judged
// where what is there and what is wanted are merged. Every other key is kept for the rooms that know it, which have
// checked its value. All is checked before anything is created.
import { DURABILITIES, type Durability } from './types.ts';

const MIN_INSYNC = 'min.insync.replicas';
const UNCLEAN = 'unclean.leader.election.enable';
export const DURABILITY = 'callboard.durability';
/** `leader`, or `replica`: who reads near an in-sync replica reads there. */
export const READ_FROM = 'callboard.read.from';
const CLEANUP_POLICY = 'cleanup.policy';
const MIN_COMPACTION_LAG = 'min.compaction.lag.ms';
const MAX_COMPACTION_LAG = 'max.compaction.lag.ms';

type Config = readonly (readonly [string, string])[];

export interface ClusterRules {
  /** undefined: not named. */
  readonly minInsync: number | undefined;
  readonly isUncleanAllowed: boolean;
  readonly durability: Durability;
}

function valueOfKey(config: Config, key: string): string | undefined {
  return config.find(([name]) => name === key)?.[1];
}

/** Checked before; undefined: not named. */
export function durabilityIn(config: Config): Durability | undefined {
  const wanted = valueOfKey(config, DURABILITY);
  return DURABILITIES.find((each) => each === wanted);
}

/** Checked before. */
export function isUncleanIn(config: Config): boolean {
  return valueOfKey(config, UNCLEAN) === 'true';
}

/**
 * The rules in a config, or a sentence that says what is wrong with it.
 *
 * @param unnamed the durability where the config names none.
 */
export function readRules(config: Config, unnamed: Durability = 'sync'): ClusterRules | string {
  const minText = valueOfKey(config, MIN_INSYNC);
  const minInsync = minText === undefined ? undefined : Number(minText);
  if (minInsync !== undefined && !(Number.isInteger(minInsync) && minInsync >= 1)) {
    return `${MIN_INSYNC} must be a whole number from 1, not "${minText}"`;
  }
  const unclean = valueOfKey(config, UNCLEAN) ?? 'false';
  if (unclean !== 'true' && unclean !== 'false') {
    return `${UNCLEAN} must be true or false, not "${unclean}"`;
  }
  const wanted = valueOfKey(config, DURABILITY) ?? unnamed;
  const durability = DURABILITIES.find((each) => each === wanted);
  if (durability === undefined) {
    return `${DURABILITY} must be one of ${DURABILITIES.join(', ')}, not "${wanted}"`;
  }
  return (
    settingsConflict(new Map([...config, [DURABILITY, durability]])) ?? {
      minInsync,
      isUncleanAllowed: unclean === 'true',
      durability,
    }
  );
}

/** What does not go together, as a sentence, or undefined. For all settings of a destination, each good in itself. */
export function settingsConflict(config: ReadonlyMap<string, string>): string | undefined {
  const policies = (config.get(CLEANUP_POLICY) ?? '').split(',').map((word) => word.trim());
  if (policies.includes('compact') && config.get(DURABILITY) === 'memory') {
    return `${CLEANUP_POLICY}: what is only in memory is not compacted`;
  }
  // As in Kafka.
  const minLagMs = Number(config.get(MIN_COMPACTION_LAG) ?? 0);
  const maxLagMs = Number(config.get(MAX_COMPACTION_LAG) ?? Number.POSITIVE_INFINITY);
  if (!(minLagMs > maxLagMs)) return undefined;
  return `${MIN_COMPACTION_LAG}: must not be more than ${MAX_COMPACTION_LAG}`;
}

/** Sorted by key, last entry of a key wins. */
export function sortedConfig(entries: Config): Config {
  return [...new Map(entries.map(([key, value]) => [key, value] as const))].sort(([a], [b]) => {
    if (a === b) return 0;
    return a < b ? -1 : 1;
  });
}
