// The keys of a destination's config that the cluster itself obeys. Every other key is kept for the
// rooms that know it. Values are checked before anything is created.
import { DURABILITIES, type Durability } from './types.ts';

const MIN_INSYNC = 'min.insync.replicas';
const UNCLEAN = 'unclean.leader.election.enable';
export const DURABILITY = 'callboard.durability';

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

/** The rules in a config, or a sentence that says what is wrong with it. */
export function readRules(config: Config): ClusterRules | string {
  const minText = valueOfKey(config, MIN_INSYNC);
  const minInsync = minText === undefined ? undefined : Number(minText);
  if (minInsync !== undefined && !(Number.isInteger(minInsync) && minInsync >= 1)) {
    return `${MIN_INSYNC} must be a whole number from 1, not "${minText}"`;
  }
  const unclean = valueOfKey(config, UNCLEAN) ?? 'false';
  if (unclean !== 'true' && unclean !== 'false') {
    return `${UNCLEAN} must be true or false, not "${unclean}"`;
  }
  const wanted = valueOfKey(config, DURABILITY) ?? 'sync';
  const durability = DURABILITIES.find((each) => each === wanted);
  if (durability === undefined) {
    return `${DURABILITY} must be one of ${DURABILITIES.join(', ')}, not "${wanted}"`;
  }
  return {
    minInsync,
    isUncleanAllowed: unclean === 'true',
    durability,
  };
}

/** Sorted by key, last entry of a key wins. */
export function sortedConfig(entries: Config): Config {
  return [...new Map(entries.map(([key, value]) => [key, value] as const))].sort(([a], [b]) => {
    if (a === b) return 0;
    return a < b ? -1 : 1;
  });
}
