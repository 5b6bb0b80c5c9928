// The definition of a policy: which keys there are, what their values mean, and what of it is to be told to whoever
// sets it. Of RabbitMQ's keys those that are not served are refused by name: nothing is kept and ignored.
import { Pattern, PatternError } from '../../std/pattern.ts';
import type { Mirrors, PolicyRecord, PolicyRules } from './policy-types.ts';
import { DURABILITIES, type Durability } from './types.ts';

const DURABILITY = 'x-durability';
const DELIVERY_LIMIT = 'delivery-limit';
const MODE = 'ha-mode';
const PARAMS = 'ha-params';
const SYNC_MODE = 'ha-sync-mode';
const ON_FAILURE = 'ha-promote-on-failure';
const ON_SHUTDOWN = 'ha-promote-on-shutdown';

const POLICY_KEYS: readonly string[] = [
  DELIVERY_LIMIT,
  MODE,
  PARAMS,
  ON_FAILURE,
  ON_SHUTDOWN,
  SYNC_MODE,
  DURABILITY,
];

/** What RabbitMQ has besides. */
const OTHERS: ReadonlySet<string> = new Set([
  'alternate-exchange',
  'consumer-timeout',
  'dead-letter-exchange',
  'dead-letter-routing-key',
  'dead-letter-strategy',
  'delayed-retry-max',
  'delayed-retry-min',
  'delayed-retry-type',
  'expires',
  'federation-upstream',
  'federation-upstream-pattern',
  'federation-upstream-set',
  'ha-sync-batch-size',
  'initial-cluster-size',
  'max-age',
  'max-length',
  'max-length-bytes',
  'message-ttl',
  'overflow',
  'queue-leader-locator',
  'queue-master-locator',
  'queue-mode',
  'queue-version',
  'stream-filter-size-bytes',
  'stream-max-segment-size-bytes',
  'target-group-size',
]);

const NOT_QUORUM = 'these are sync, on a majority of their replicas';

/** Keys that say nothing without the mode. */
const OF_MIRRORS: readonly string[] = [PARAMS, SYNC_MODE, ON_FAILURE, ON_SHUTDOWN];
const NODES_MAX = 64;

type Definition = PolicyRecord['definition'];

class Fault extends Error {}

/** What a definition says, or a sentence about what is wrong with it. */
export function readDefinition(definition: Definition): PolicyRules | string {
  try {
    return rulesIn(definition);
  } catch (error) {
    if (error instanceof Fault) return error.message;
    throw error;
  }
}

function rulesIn(definition: Definition): PolicyRules {
  const values = new Map(definition.map(([key, json]) => [key, parsedValue(key, json)]));
  if (values.size === 0) throw new Fault('a definition has at least one key');
  for (const key of values.keys()) {
    if (POLICY_KEYS.includes(key)) continue;
    const why = OTHERS.has(key) ? 'is not honoured by this version' : 'is not a key of a policy';
    throw new Fault(`${key} ${why}; known: ${POLICY_KEYS.join(', ')}`);
  }
  const deliveryLimit = deliveryLimitOf(values.get(DELIVERY_LIMIT));
  const durability = durabilityIn(values.get(DURABILITY));
  return { durability, mirrors: mirrorsIn(values), deliveryLimit };
}

function parsedValue(key: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new Fault(`${key}: its value is no JSON`);
  }
}

function durabilityIn(value: unknown): Durability | undefined {
  return value === undefined ? undefined : word(DURABILITY, value, DURABILITIES);
}

function deliveryLimitOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new Fault(`${DELIVERY_LIMIT} is a whole number, not ${JSON.stringify(value)}`);
}

function word<T extends string>(key: string, value: unknown, words: readonly T[]): T {
  const found = words.find((each) => each === value);
  if (found !== undefined) return found;
  throw new Fault(`${key} must be one of ${words.join(', ')}, not ${JSON.stringify(value)}`);
}

function mirrorsIn(values: ReadonlyMap<string, unknown>): Mirrors | undefined {
  if (!values.has(MODE)) {
    const lone = OF_MIRRORS.find((key) => values.has(key));
    if (lone !== undefined) throw new Fault(`${lone} goes with ${MODE}`);
    return undefined;
  }
  if (values.has(SYNC_MODE)) word(SYNC_MODE, values.get(SYNC_MODE), ['automatic', 'manual']);
  if (promotionIn(values, ON_SHUTDOWN) === 'always') {
    const why = 'a node that stops hands over to a mirror that has everything, or to nobody';
    throw new Fault(`${ON_SHUTDOWN}: "always" is not honoured by this version: ${why}`);
  }
  const promotesUnsynced = promotionIn(values, ON_FAILURE) === 'always';
  const mode = word(MODE, values.get(MODE), ['all', 'exactly', 'nodes']);
  const params = values.get(PARAMS);
  switch (mode) {
    case 'all':
      if (params !== undefined) throw new Fault(`${MODE} "all" has no ${PARAMS}`);
      return { kind: 'all', promotesUnsynced };
    case 'exactly':
      if (typeof params === 'number' && Number.isSafeInteger(params) && params >= 1) {
        return { kind: 'exactly', count: params, promotesUnsynced };
      }
      throw new Fault(`${PARAMS} of "exactly" is a whole number from 1`);
    case 'nodes':
      return { kind: 'nodes', nodes: nodesIn(params), promotesUnsynced };
  }
}

function promotionIn(values: ReadonlyMap<string, unknown>, key: string): string {
  const value = values.get(key);
  return value === undefined ? 'when-synced' : word(key, value, ['when-synced', 'always']);
}

/** As 2, "2", "n2", "node-2", or with anything and @ before it. */
function nodesIn(params: unknown): number[] {
  const fault = new Fault(`${PARAMS} of "nodes" is a list of 1 to ${NODES_MAX} nodes, as "n1"`);
  if (!Array.isArray(params) || params.length < 1 || params.length > NODES_MAX) throw fault;
  const ids = params.map((each) => {
    const found = /^(?:[^@]*@)?(?:n|node-)?(\d{1,9})$/.exec(String(each));
    if ((typeof each !== 'string' && typeof each !== 'number') || found === null) throw fault;
    return Number(found[1]);
  });
  if (new Set(ids).size !== ids.length) throw new Fault(`${PARAMS} names a node twice`);
  return ids;
}

/** What is wrong with the pattern or the definition of a policy, as a sentence. */
export function policyTextFault({ pattern, definition }: PolicyRecord): string | undefined {
  try {
    new Pattern(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return `pattern ${JSON.stringify(pattern)}: ${error.message}`;
  }
  const rules = readDefinition(definition);
  return typeof rules === 'string' ? rules : undefined;
}

/** What whoever sets a good definition should know: sentences. */
export function definitionNotes(definition: Definition): readonly string[] {
  const values = new Map(definition);
  const notes: string[] = [];
  if (values.has(DELIVERY_LIMIT)) {
    notes.push(`${DELIVERY_LIMIT} is of quorum queues: the policy is for no other destination`);
    if (values.has(DURABILITY) || values.has(MODE)) {
      const which = values.has(MODE) ? MODE : DURABILITY;
      notes.push(`with ${DELIVERY_LIMIT} and ${which} the policy is for nothing: ${NOT_QUORUM}`);
    }
  }
  if (values.get(DURABILITY) === '"memory"') {
    const text = 'is only of what is made from now on: what is there stays as it is';
    notes.push(`${DURABILITY} "memory" ${text}`);
  }
  if (values.has(MODE)) {
    const who = 'that are durable, not exclusive and not auto-delete';
    notes.push(`${MODE} is of queues ${who}: those that are there move`);
    if (values.get(ON_FAILURE) === '"always"') {
      const cost = 'what it lacks of what was confirmed is lost, and the log of its node says what';
      notes.push(`${ON_FAILURE} "always": a mirror may lead that lacks messages; ${cost}`);
    }
    if (values.get(SYNC_MODE) !== '"automatic"') {
      notes.push(`${SYNC_MODE}: mirrors are always filled automatically, as with "automatic"`);
    }
  }
  return notes;
}
