// DescribeConfigs: the settings of topics, what kind of destination they are, and the few of a node
// that clients look at.
import {
  type DestinationView,
  defaultMinInsync,
  SETTINGS,
  type Setting,
} from '../../../broker/ports.ts';
import type { DescribeConfigs, RequestOf, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { topicNamed } from '../visible-topics.ts';

type Wanted = RequestOf<typeof DescribeConfigs>['resources'][number];
type Described = ResponseInput<typeof DescribeConfigs>['results'][number];
type ConfigEntry = Described['configs'][number];

/** Kinds of resources. */
export const TOPIC = 2;
export const BROKER = 4;
const SOURCE_TOPIC = 1;
/** Kafka's word for what an operator has set for more than one topic: here a policy. */
const SOURCE_DYNAMIC_DEFAULT = 3;
const SOURCE_STATIC_BROKER = 4;
const SOURCE_DEFAULT = 5;

const DURABILITY = 'callboard.durability';
const MIN_INSYNC_REPLICAS = 'min.insync.replicas';

const TYPE_CODES: { readonly [T in Setting['type']]: number } = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  double: 6,
  list: 7,
};

export interface ConfigRow {
  readonly setting: Setting;
  readonly name: string;
  readonly value: string;
  /** In force if the topic names none. */
  readonly defaultValue: string;
  readonly source: number;
}

/** All settings of a topic, with the value that is in force and where it is from. */
export function configRows(destination: DestinationView): ConfigRow[] {
  return SETTINGS.map((setting) => {
    const { name } = setting;
    const own = destination.config.get(name);
    const source = own === undefined ? SOURCE_DEFAULT : SOURCE_TOPIC;
    if (name === MIN_INSYNC_REPLICAS) return { setting, name, source, ...minInsyncOf(destination) };
    const { defaultValue } = setting;
    if (name === DURABILITY) return { setting, name, defaultValue, ...durabilityOf(destination) };
    return { setting, name, value: own ?? defaultValue, defaultValue, source };
  });
}

/** What a topic does not name may be a policy's. */
function durabilityOf({ config, logs }: DestinationView) {
  const value = logs[0]!.durability;
  if (config.has(DURABILITY)) return { value, source: SOURCE_TOPIC };
  return { value, source: value === 'sync' ? SOURCE_DEFAULT : SOURCE_DYNAMIC_DEFAULT };
}

/** The cluster has its rule for topics that name none, and one for logs that commit by majority, whatever is named. */
function minInsyncOf({ config, logs }: DestinationView) {
  const { minInsync, replicas, observers } = logs[0]!;
  const isNamed = config.has(MIN_INSYNC_REPLICAS);
  const otherwise = isNamed ? defaultMinInsync(replicas.length - observers.length) : minInsync;
  return { value: String(minInsync), defaultValue: String(otherwise) };
}

export function describeConfigs(exchange: Exchange<typeof DescribeConfigs>): void {
  exchange.respond({
    results: exchange.body.resources.map((resource) => describeOne(exchange, resource)),
  });
}

function describeOne(exchange: Exchange<typeof DescribeConfigs>, wanted: Wanted): Described {
  const { resourceType, resourceName } = wanted;
  if (resourceType === TOPIC) return describeTopic(exchange, wanted);
  if (resourceType === BROKER) return describeBroker(exchange, wanted);
  return {
    errorCode: E.INVALID_REQUEST,
    errorMessage: `resource type ${resourceType} is not described`,
    resourceType,
    resourceName,
    configs: [],
  };
}

function refused(wanted: Wanted, errorCode: number, errorMessage: string): Described {
  const { resourceType, resourceName } = wanted;
  return { errorCode, errorMessage, resourceType, resourceName, configs: [] };
}

function described(wanted: Wanted, configs: readonly ConfigEntry[]): Described {
  const { resourceType, resourceName, configurationKeys } = wanted;
  const isAll = configurationKeys === null || configurationKeys.length === 0;
  const chosen = isAll ? configs : configs.filter(({ name }) => configurationKeys.includes(name));
  return { errorCode: E.NONE, errorMessage: null, resourceType, resourceName, configs: chosen };
}

function describeTopic(exchange: Exchange<typeof DescribeConfigs>, wanted: Wanted): Described {
  const found = topicNamed(exchange.ports.view, wanted.resourceName);
  if (typeof found === 'number') {
    return refused(wanted, found, 'there is no such topic, or it is not for everybody');
  }
  const settings = found.queue === undefined ? settingsOf(exchange, found) : [];
  const facts = factsOf(found).map(({ name, value, type, about }) => ({
    name,
    value,
    readOnly: true,
    configSource: SOURCE_TOPIC,
    isSensitive: false,
    configType: TYPE_CODES[type],
    documentation: exchange.body.includeDocumentation ? about : null,
  }));
  return described(wanted, [...settings, ...facts]);
}

function settingsOf(
  exchange: Exchange<typeof DescribeConfigs>,
  destination: DestinationView,
): ConfigEntry[] {
  const { includeSynonyms, includeDocumentation } = exchange.body;
  return configRows(destination).map(({ setting, name, value, defaultValue, source }) => ({
    name,
    value,
    readOnly: setting.isFixed === true,
    configSource: source,
    isSensitive: false,
    synonyms: includeSynonyms ? synonyms({ name, value, defaultValue, source }) : [],
    configType: TYPE_CODES[setting.type],
    documentation: includeDocumentation ? setting.about : null,
  }));
}

interface Fact extends Pick<Setting, 'name' | 'type' | 'about'> {
  readonly value: string;
}

/** What it is: decided when it was made, and nothing that could be set. None of a stream's settings is a queue's. */
function factsOf({ queue, logs }: DestinationView): Fact[] {
  const kind = (value: string): Fact => ({
    name: 'callboard.kind',
    type: 'string',
    value,
    about: 'A stream keeps its records; a queue lets go of what its consumers have acknowledged.',
  });
  if (queue === undefined) return [kind('stream')];
  return [
    kind('queue'),
    {
      name: 'callboard.queue.durable',
      type: 'boolean',
      value: String(queue.durable),
      about: 'Whether the queue outlives its node.',
    },
    {
      name: 'callboard.queue.auto.delete',
      type: 'boolean',
      value: String(queue.autoDelete),
      about: 'Whether the queue goes with its last consumer.',
    },
    {
      name: DURABILITY,
      type: 'string',
      value: logs[0]!.durability,
      about: 'When a message counts as taken by the queue.',
    },
    {
      name: MIN_INSYNC_REPLICAS,
      type: 'int',
      value: String(logs[0]!.minInsync),
      about: 'How many replicas must have a message before a send is answered.',
    },
  ];
}

function synonyms({
  name,
  value,
  defaultValue,
  source,
}: Omit<ConfigRow, 'setting'>): ConfigEntry['synonyms'] {
  const fallback = { name, value: defaultValue, source: SOURCE_DEFAULT };
  return source === SOURCE_DEFAULT ? [fallback] : [{ name, value, source }, fallback];
}

function describeBroker(exchange: Exchange<typeof DescribeConfigs>, wanted: Wanted): Described {
  const { view, settings } = exchange.ports;
  if (wanted.resourceName !== String(view.nodeId)) {
    return refused(wanted, E.INVALID_REQUEST, `this is node ${view.nodeId}; ask that node itself`);
  }
  const entry = (name: string, value: string, type: Setting['type']): ConfigEntry => ({
    name,
    value,
    readOnly: true,
    configSource: SOURCE_STATIC_BROKER,
    isSensitive: false,
    configType: TYPE_CODES[type],
    documentation: null,
  });
  return described(wanted, [
    entry('auto.create.topics.enable', String(settings.autoCreate), 'boolean'),
    entry('node.id', String(view.nodeId), 'int'),
    entry('num.partitions', String(settings.defaultPartitions), 'int'),
    entry('socket.request.max.bytes', String(exchange.host.limits.frames.frameBytesMax), 'int'),
  ]);
}
