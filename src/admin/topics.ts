// Topics: made with settings, and their settings changed. For whom no client is at hand, and for RocketMQ's, whose gRPC
// protocol makes topics and has no word for what they are. Judged as Kafka's CreateTopics and IncrementalAlterConfigs.
import {
  PARTITION_KIND,
  refuseDestinationName,
  refuseSettings,
  settingNamed,
} from '../broker/ports.ts';
import type { DestinationView, MetadataResult } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { ApiProblem, invalid, json } from './answers.ts';
import type { ApiTopic } from './api-types.ts';
import type { AdminPorts } from './ports.ts';
import { type Fields, fieldsIn, isObject } from './request-body.ts';

const CHANGE_TIMEOUT_MS = 8_000;
const PARTITIONS_MAX = 10_000;

/** `/api/topics/NAME`; undefined for other paths. */
export async function topicRoute(
  ports: AdminPorts,
  request: HttpRequest,
): Promise<HttpResponse | undefined> {
  const [api, what, name, ...rest] = request.parts;
  if (api !== 'api' || what !== 'topics' || name === undefined || rest.length > 0) return undefined;
  if (request.query.size > 0) throw invalid('no parameters are known here');
  if (request.method === 'PUT') return json(201, await create(ports, name, request));
  if (request.method === 'PATCH') return json(200, await configure(ports, name, request));
  if (request.method === 'GET' || request.method === 'HEAD') return json(200, found(ports, name));
  throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', 'GET, PUT and PATCH are served here');
}

function found({ view }: AdminPorts, name: string): ApiTopic {
  const topic = view.destination(name);
  if (topic === undefined || topic.isInternal) throw unknown(name);
  return shown(topic);
}

function unknown(name: string): ApiProblem {
  return new ApiProblem(404, 'DESTINATION_UNKNOWN', `there is no destination ${name}`);
}

function shown({ name, logs, config, policy }: DestinationView): ApiTopic {
  return {
    name,
    partitions: logs.length,
    replicationFactor: logs[0]?.replicas.length ?? 0,
    durability: logs[0]?.durability ?? 'sync',
    policy: policy ?? null,
    config: Object.fromEntries(config),
  };
}

async function create(ports: AdminPorts, name: string, request: HttpRequest): Promise<ApiTopic> {
  const badName = refuseDestinationName(name);
  if (badName !== undefined) throw invalid(badName);
  const fields = fieldsOf(request, ['partitions', 'replicationFactor', 'config']);
  const config = entriesOf(fields['config'] ?? {}).map(([key, value]) => {
    if (value === null) throw invalid(`config: ${key} has no value`);
    return [key, value] as const;
  });
  const badConfig = refuseSettings(config);
  if (badConfig !== undefined) throw invalid(badConfig);
  const what = {
    name,
    partitions: countOf(fields, 'partitions'),
    replicationFactor: countOf(fields, 'replicationFactor'),
    assignments: [],
    config,
    isInternal: false,
    kind: PARTITION_KIND,
    validateOnly: false,
  };
  ensure(name, await ports.changes.create(what, CHANGE_TIMEOUT_MS));
  return found(ports, name);
}

async function configure(ports: AdminPorts, name: string, request: HttpRequest): Promise<ApiTopic> {
  const topic = found(ports, name);
  const fields = fieldsOf(request, ['config']);
  const entries = entriesOf(fields['config']);
  const fixed = entries.find(([key]) => settingNamed(key)?.isFixed === true);
  if (fixed !== undefined) throw invalid(`${fixed[0]} is decided when the topic is made`);
  const set = entries.filter(([, value]) => value !== null);
  const gone = entries.filter(([, value]) => value === null).map(([key]) => key);
  const unknownKey = gone.find((key) => settingNamed(key) === undefined);
  if (unknownKey !== undefined) throw invalid(`unknown setting "${unknownKey}"`);
  const badConfig = refuseSettings(set);
  if (badConfig !== undefined) throw invalid(badConfig);
  const changed = entries.map(([key, value]) => [key, value ?? undefined] as const);
  const what = { name: topic.name, replace: false, entries: changed, validateOnly: false };
  ensure(name, await ports.changes.configure(what, CHANGE_TIMEOUT_MS));
  return found(ports, name);
}

function ensure(name: string, result: MetadataResult): void {
  if (result.kind === 'ok') return;
  if (result.kind === 'unavailable') {
    throw new ApiProblem(503, 'METADATA_UNAVAILABLE', result.message);
  }
  if (result.code === 'exists') {
    throw new ApiProblem(409, 'DESTINATION_EXISTS', `${name} is there already`);
  }
  throw result.code === 'unknown-destination' ? unknown(name) : invalid(result.message);
}

// ---- What is asked for ----------------------------------------------------------------------------

function fieldsOf({ body }: HttpRequest, known: readonly string[]): Fields {
  return body.length === 0 ? {} : fieldsIn(body, known);
}

/** -1: as the cluster has it. */
function countOf(fields: Fields, field: string): number {
  const value = fields[field] ?? -1;
  const isGood = typeof value === 'number' && Number.isInteger(value) && value <= PARTITIONS_MAX;
  if (isGood && (value === -1 || value >= 1)) return value;
  throw invalid(`${field} must be a whole number from 1 to ${PARTITIONS_MAX}`);
}

function entriesOf(value: unknown): (readonly [string, string | null])[] {
  if (!isObject(value)) throw invalid('config: an object of settings');
  return Object.entries(value).map(([key, text]) => {
    if (text === null || typeof text === 'string') return [key, text] as const;
    throw invalid(`config: ${key} must be text`);
  });
}
