// AlterConfigs and IncrementalAlterConfigs (KIP-339): settings of topics, through the metadata. Each resource stands
// for itself: all its changes are made, or none. What is wrong with a name or a value is said here; what does
// not go together with what stays, or the cluster cannot do (more in-sync replicas than there are replicas), the
// metadata leader says.
import {
  type ConfigureDestination,
  type DestinationView,
  refuseSettings,
  settingNamed,
} from '../../../broker/ports.ts';
import type {
  AlterConfigs,
  IncrementalAlterConfigs,
  RequestOf,
  ResponseInput,
} from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { type MetadataOutcome, metadataOutcome } from '../outcomes.ts';
import { topicNamed } from '../visible-topics.ts';
import { BROKER, TOPIC } from './configs.ts';

type Altered = ResponseInput<typeof AlterConfigs>['responses'][number];
type Step = RequestOf<typeof IncrementalAlterConfigs>['resources'][number]['configs'][number];
type Entries = ConfigureDestination['entries'];
type Change = Pick<ConfigureDestination, 'replace' | 'entries'>;

const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;
/** Kafka's brokers wait as long. */
const CHANGE_TIMEOUT_MS = 30_000;
const RESOURCES_PER_REQUEST_MAX = 1_000;

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

function refuse(code: number, message: string): MetadataOutcome {
  return { code, message };
}

export function alterConfigs(exchange: Exchange<typeof AlterConfigs>): void {
  const { resources, validateOnly } = exchange.body;
  const results = alterAll(exchange, resources, validateOnly, ({ configs }, topic) => {
    const refusal = refuseSettings(configs.map(({ name, value }) => [name, value] as const));
    if (refusal !== undefined) return refuse(E.INVALID_CONFIG, refusal);
    const entries = configs.map(({ name, value }) => [name, value ?? ''] as const);
    // What was decided once stays when it is not named.
    const kept = [...topic.config].filter(([name]) => isFixedAndUnnamed(name, entries));
    return { replace: true, entries: [...entries, ...kept] };
  });
  exchange.after(results, (responses) => exchange.respond({ responses }));
}

function isFixedAndUnnamed(name: string, entries: Entries): boolean {
  return settingNamed(name)?.isFixed === true && !entries.some(([named]) => named === name);
}

export function incrementalAlterConfigs(exchange: Exchange<typeof IncrementalAlterConfigs>): void {
  const { resources, validateOnly } = exchange.body;
  const results = alterAll(exchange, resources, validateOnly, ({ configs }, topic) => {
    const entries: [string, string | undefined][] = [];
    for (const step of configs) {
      const entry = entryOf(step, topic);
      if ('code' in entry) return entry;
      entries.push([step.name, entry.value]);
    }
    const names = entries.map(([name]) => name);
    if (new Set(names).size < names.length) {
      return refuse(E.INVALID_REQUEST, 'a setting is named twice');
    }
    return { replace: false, entries };
  });
  exchange.after(results, (responses) => exchange.respond({ responses }));
}

/** The value that a setting comes to; undefined: its default. */
function entryOf(
  { name, configOperation, value }: Step,
  { config }: DestinationView,
): MetadataOutcome | { readonly value: string | undefined } {
  const setting = settingNamed(name);
  if (setting === undefined) return refuse(E.INVALID_CONFIG, `unknown setting "${name}"`);
  if (configOperation === DELETE) return { value: undefined };
  let wanted = value;
  if (configOperation === APPEND || configOperation === SUBTRACT) {
    if (setting.type !== 'list') {
      return refuse(E.INVALID_CONFIG, `${name} is no list: nothing is appended or subtracted`);
    }
    const given = (value ?? '').split(',');
    const present = (config.get(name) ?? setting.defaultValue).split(',');
    const others = present.filter((each) => !given.includes(each));
    wanted = (configOperation === APPEND ? [...others, ...given] : others).join(',');
  } else if (configOperation !== SET) {
    return refuse(E.INVALID_REQUEST, `operation ${configOperation} is unknown`);
  }
  const refusal = refuseSettings([[name, wanted]]);
  return refusal === undefined ? { value: wanted ?? undefined } : refuse(E.INVALID_CONFIG, refusal);
}

async function alterAll<R extends Resource>(
  { ports }: Pick<Exchange<typeof AlterConfigs>, 'ports'>,
  resources: readonly R[],
  validateOnly: boolean,
  changeOf: (resource: R, topic: DestinationView) => Change | MetadataOutcome,
): Promise<Altered[]> {
  const counts = new Map<string, number>();
  const keyOf = ({ resourceType, resourceName }: R) => `${resourceType} ${resourceName}`;
  for (const each of resources) counts.set(keyOf(each), (counts.get(keyOf(each)) ?? 0) + 1);
  const alterOne = async (resource: R, index: number): Promise<MetadataOutcome> => {
    if (index >= RESOURCES_PER_REQUEST_MAX) {
      const message = `one request changes at most ${RESOURCES_PER_REQUEST_MAX} topics`;
      return refuse(E.POLICY_VIOLATION, message);
    }
    if (counts.get(keyOf(resource))! > 1) {
      return refuse(E.INVALID_REQUEST, 'each resource is named once in a request');
    }
    const topic = topicOf(ports.view, resource);
    if ('code' in topic) return topic;
    const change = changeOf(resource, topic);
    if ('code' in change) return change;
    const refusal = refuseFixed(topic, change.entries);
    if (refusal !== undefined) return refusal;
    const what = { name: topic.name, ...change, validateOnly };
    return metadataOutcome(await ports.metadata.configure(what, CHANGE_TIMEOUT_MS));
  };
  const outcomes = await Promise.all(resources.map(alterOne));
  return resources.map(({ resourceType, resourceName }, i) => {
    const { code, message } = outcomes[i]!;
    return { errorCode: code, errorMessage: message, resourceType, resourceName };
  });
}

function topicOf(
  view: Exchange<typeof AlterConfigs>['ports']['view'],
  { resourceType, resourceName }: Resource,
): DestinationView | MetadataOutcome {
  if (resourceType === BROKER) {
    return refuse(E.INVALID_REQUEST, 'the settings of a node are given when it starts');
  }
  if (resourceType !== TOPIC) {
    return refuse(E.INVALID_REQUEST, `resources of type ${resourceType} have no settings here`);
  }
  const found = topicNamed(view, resourceName);
  if (typeof found === 'number') {
    return refuse(found, 'there is no such topic, or it is not for everybody');
  }
  if (found.isInternal) return refuse(E.INVALID_REQUEST, 'an internal topic cannot be changed');
  if (found.queue !== undefined) {
    const why = 'a queue has no such settings: what it is was decided when it was declared';
    return refuse(E.INVALID_REQUEST, why);
  }
  return found;
}

function refuseFixed({ config }: DestinationView, entries: Entries): MetadataOutcome | undefined {
  for (const [name, value] of entries) {
    const setting = settingNamed(name);
    if (setting?.isFixed !== true) continue;
    const present = config.get(name) ?? setting.defaultValue;
    if ((value ?? setting.defaultValue) === present) continue;
    return refuse(E.INVALID_CONFIG, `${name} is ${present}, decided when the topic was made`);
  }
  return undefined;
}
