// Settings of the cluster as a whole: text under a key of the image, judged before it is stored.
import { decodeUtf8 } from '../../std/bytes.ts';
import type { MetadataImage } from './image.ts';

/** A node that is dead for so long is replaced in its logs, in ms; 0: never. */
export const REPLACE_AFTER = 'replica.replace.after.ms';
/** So many bytes a second a node copies at most for replicas that it is given; 0: as many as it can. */
export const THROTTLE = 'reassignment.throttle.bytes';
/** A replica that has not had all there was for so long is not in sync, in ms. */
export const LAG_TIME = 'replica.lag.time.max.ms';
/** Nor is one that more records are missing from; 0: however many. */
export const LAG_RECORDS = 'replica.lag.max.messages';
/** A node without replicas gets its share when it has been there for so long, in ms; 0: when somebody asks. */
export const REBALANCE_AFTER = 'rebalance.after.ms';
/** Replicas and leaders are being made even: `requested` until they are. */
export const REBALANCE = 'rebalance';

/** Which of `PROFILES` says what the settings are that nobody has set; unset: none. */
export const PROFILE = 'profile';
/** In the place of a name: no profile. */
export const NO_PROFILE = 'default';

/** Named choices of defaults. */
const PROFILES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  // As Kafka had it until 0.9 (KIP-16 took it away).
  'classic-kafka': { [LAG_RECORDS]: 4_000 },
};
export const PROFILE_NAMES: readonly string[] = [NO_PROFILE, ...Object.keys(PROFILES)];

interface Bounds {
  readonly byDefault: number;
  readonly least: number;
  readonly most: number;
}

export const CLUSTER_SETTINGS: Readonly<Record<string, Bounds>> = {
  [REPLACE_AFTER]: { byDefault: 600_000, least: 0, most: 2 ** 40 },
  [THROTTLE]: { byDefault: 0, least: 0, most: 2 ** 40 },
  [LAG_TIME]: { byDefault: 10_000, least: 1_000, most: 2 ** 40 },
  [LAG_RECORDS]: { byDefault: 0, least: 0, most: 2 ** 40 },
  [REBALANCE_AFTER]: { byDefault: 60_000, least: 0, most: 2 ** 40 },
};
/** Less would copy one batch in minutes. */
const THROTTLE_LEAST = 65_536;
const REQUESTED = 'requested';

/** What is wrong with a setting, as a sentence, or undefined. */
export function settingFault(name: string, value: string | undefined): string | undefined {
  if (name === REBALANCE) {
    return value === undefined || value === REQUESTED
      ? undefined
      : `${name} is "${REQUESTED}" or not set`;
  }
  if (name === PROFILE) return value === undefined ? undefined : profileFault(value);
  const bounds = CLUSTER_SETTINGS[name];
  if (bounds === undefined) {
    const known = [...Object.keys(CLUSTER_SETTINGS), PROFILE];
    return `there is no setting ${name}: there are ${known.join(', ')}`;
  }
  if (value === undefined) return undefined;
  const { least, most } = bounds;
  const isNumber = /^\d{1,16}$/.test(value) && Number(value) >= least && Number(value) <= most;
  if (!isNumber) return `${name} is a whole number from ${least} to ${most}, not "${value}"`;
  const isCrawling = name === THROTTLE && Number(value) > 0 && Number(value) < THROTTLE_LEAST;
  return isCrawling ? `${name} is 0 or at least ${THROTTLE_LEAST}` : undefined;
}

export function profileFault(name: string): string | undefined {
  if (PROFILE_NAMES.includes(name)) return undefined;
  return `there is no profile ${JSON.stringify(name)}: there are ${PROFILE_NAMES.join(', ')}`;
}

/** In force now. */
export function settingOf(image: MetadataImage, name: string): number {
  const bytes = image.setting(name);
  const byDefault = PROFILES[profileOf(image)]?.[name] ?? CLUSTER_SETTINGS[name]!.byDefault;
  if (bytes === undefined) return byDefault;
  const value = Number(decodeUtf8(bytes));
  return Number.isFinite(value) ? value : byDefault;
}

/** `default` where there is none. */
export function profileOf(image: MetadataImage): string {
  const bytes = image.setting(PROFILE);
  return bytes === undefined ? NO_PROFILE : decodeUtf8(bytes);
}

export function isRebalanceRequested(image: MetadataImage): boolean {
  return image.setting(REBALANCE) !== undefined;
}
