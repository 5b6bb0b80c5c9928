// DescribeConfigs, read only: the settings of topics, and the few of a node that clients look at.
import { SETTINGS, type Setting } from '../../../broker/ports.ts';
import type { DescribeConfigs, RequestOf, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';

type Wanted = RequestOf<typeof DescribeConfigs>['resources'][number];
type Described = ResponseInput<typeof DescribeConfigs>['results'][number];
type ConfigEntry = Described['configs'][number];

const TOPIC = 2;
const BROKER = 4;
const SOURCE_TOPIC = 1;
const SOURCE_STATIC_BROKER = 4;
const SOURCE_DEFAULT = 5;

const TYPE_CODES: { readonly [T in Setting['type']]: number } = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  list: 7,
};

export interface ConfigRow {
  readonly setting: Setting;
  readonly name: string;
  readonly value: string;
  readonly source: number;
}

/** All settings of a topic, with the value that is in force and where it is from. */
export function configRows(config: ReadonlyMap<string, string>): ConfigRow[] {
  return SETTINGS.map((setting) => {
    const own = config.get(setting.name);
    const source = own === undefined ? SOURCE_DEFAULT : SOURCE_TOPIC;
    return { setting, name: setting.name, value: own ?? setting.defaultValue, source };
  });
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
  const destination = exchange.ports.view.destination(wanted.resourceName);
  if (destination === undefined) {
    return refused(wanted, E.UNKNOWN_TOPIC_OR_PARTITION, 'there is no such topic');
  }
  const { includeSynonyms } = exchange.body;
  const entries = configRows(destination.config).map(({ setting, name, value, source }) => ({
    name,
    value,
    readOnly: false,
    configSource: source,
    isSensitive: false,
    synonyms: includeSynonyms ? synonyms(setting, value, source) : [],
    configType: TYPE_CODES[setting.type],
    documentation: exchange.body.includeDocumentation ? setting.about : null,
  }));
  return described(wanted, entries);
}

function synonyms(setting: Setting, value: string, source: number): ConfigEntry['synonyms'] {
  const fallback = { name: setting.name, value: setting.defaultValue, source: SOURCE_DEFAULT };
  return source === SOURCE_DEFAULT ? [fallback] : [{ name: setting.name, value, source }, fallback];
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
