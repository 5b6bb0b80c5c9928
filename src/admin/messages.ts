// Producing, reading and finding messages as JSON.
import type { Lookup, LookupKind, Outcome, ReadFrom } from '../broker/ports.ts';
import type { HttpRequest } from '../env/http.ts';
import { encodeUtf8 } from '../std/bytes.ts';
import { ApiProblem, invalid, logProblem, numberOf } from './answers.ts';
import type { ApiMessages, ApiProduced } from './api-types.ts';
import type { AdminPorts } from './ports.ts';
import { fieldsIn } from './request-body.ts';
import { messageOf } from './shown-message.ts';

/** Below the five seconds within which every client hears of a cluster without a majority. */
const PRODUCE_TIMEOUT_MS = 4_000;
const PRODUCED_FIELDS = ['key', 'value', 'headers', 'partition'];
const LOOKUP_KINDS: readonly LookupKind[] = ['key', 'tag', 'id'];
const MAX_DEFAULT = 100;
const MAX_LIMIT = 10_000;
const WAIT_MS_LIMIT = 30_000;
/** Of searches. */
const FOUND_DEFAULT = 64;
const FOUND_LIMIT = 1_000;
const FIND_TIMEOUT_MS = 4_000;

function unwrap<T>(outcome: Outcome<T>, name: string): T {
  switch (outcome.kind) {
    case 'ok':
      return outcome.value;
    case 'unknown-destination':
      throw new ApiProblem(404, 'DESTINATION_UNKNOWN', `there is no destination ${name}`);
    case 'unknown-partition':
      throw new ApiProblem(404, 'PARTITION_UNKNOWN', `${name} has no such partition`);
    case 'failed':
      throw logProblem(outcome.result);
  }
}

function textField(value: unknown, field: string): Uint8Array | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw invalid(`${field} must be text or null`);
  return encodeUtf8(value);
}

function headersOf(value: unknown): { name: string; value: Uint8Array | null }[] {
  if (value === undefined || value === null) return [];
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('headers must be an object');
  return Object.entries(value).map(([name, text]) => ({
    name,
    value: textField(text, `header ${name}`),
  }));
}

export async function produce(
  ports: AdminPorts,
  name: string,
  request: HttpRequest,
): Promise<ApiProduced> {
  const body = fieldsIn(request.body, PRODUCED_FIELDS);
  const { partition } = body;
  if (partition !== undefined && (!Number.isInteger(partition) || Number(partition) < 0)) {
    throw invalid('partition must be a number from 0');
  }
  const record = {
    key: textField(body['key'], 'key'),
    value: textField(body['value'], 'value'),
    headers: headersOf(body['headers']),
    partition: partition === undefined ? undefined : Number(partition),
  };
  return unwrap(await ports.records.produce(name, record, PRODUCE_TIMEOUT_MS), name);
}

function positions(ports: AdminPorts, name: string, request: HttpRequest): Map<number, ReadFrom> {
  const from = request.query.get('from') ?? 'earliest';
  const partition = numberOf(request, 'partition', 1_000_000);
  const count = ports.view.destination(name)?.logs.length ?? 0;
  const wanted = partition === undefined ? [...Array(count).keys()] : [partition];
  if (from === 'earliest' || from === 'latest') return new Map(wanted.map((each) => [each, from]));
  if (/^\d{1,16}$/.test(from) && partition !== undefined) {
    return new Map([[partition, Number(from)]]);
  }
  if (partition !== undefined) throw invalid('with a partition, from is a word or an offset of it');
  const places = new Map<number, ReadFrom>();
  for (const part of from.split(',')) {
    const match = /^(\d{1,7}):(\d{1,16})$/.exec(part);
    if (match === null) {
      throw invalid(
        'from must be earliest, latest, an offset with a partition, or partition:offset,...',
      );
    }
    places.set(Number(match[1]), Number(match[2]));
  }
  return places;
}

/** Undefined: it is a read. */
function lookupIn({ query }: HttpRequest): Lookup | undefined {
  const given = LOOKUP_KINDS.filter((kind) => query.has(kind));
  const [kind] = given;
  if (kind === undefined) {
    for (const field of ['since', 'until', 'order']) {
      if (query.has(field)) throw invalid(`${field} goes with one of key, tag and id`);
    }
    return undefined;
  }
  if (given.length > 1) throw invalid(`one of key, tag and id, not ${given.join(' and ')}`);
  if (query.has('waitMs')) throw invalid('a search does not wait: waitMs goes with a read');
  const value = encodeUtf8(query.get(kind) ?? '');
  if (value.length === 0) throw invalid(`${kind} must not be empty`);
  return { kind, value };
}

/** Where a search begins, or goes on as an answer before said. */
function searched(
  ports: AdminPorts,
  name: string,
  request: HttpRequest,
): Map<number, number | undefined> {
  const from = request.query.get('from');
  const partition = numberOf(request, 'partition', 1_000_000);
  if (from === undefined) {
    const count = ports.view.destination(name)?.logs.length ?? 0;
    const wanted = partition === undefined ? [...Array(count).keys()] : [partition];
    return new Map(wanted.map((each) => [each, undefined]));
  }
  if (partition !== undefined) throw invalid('from names partitions itself: partition:offset,...');
  const places = new Map<number, number>();
  for (const part of from.split(',')) {
    const match = /^(\d{1,7}):(\d{1,16})$/.exec(part);
    if (match === null || !Number.isSafeInteger(Number(match[2]))) {
      throw invalid('from of a search must be partition:offset,... as next of the answer before');
    }
    places.set(Number(match[1]), Number(match[2]));
  }
  return places;
}

async function search(
  ports: AdminPorts,
  name: string,
  request: HttpRequest,
  lookup: Lookup,
): Promise<ApiMessages> {
  const order = request.query.get('order') ?? 'newest';
  if (order !== 'newest' && order !== 'oldest') throw invalid('order must be newest or oldest');
  const recordsMax = numberOf(request, 'max', FOUND_LIMIT) ?? FOUND_DEFAULT;
  if (recordsMax === 0) throw invalid(`max of a search must be a number from 1 to ${FOUND_LIMIT}`);
  const found = await ports.records.find(name, {
    lookup,
    from: searched(ports, name, request),
    sinceMs: numberOf(request, 'since', Number.MAX_SAFE_INTEGER),
    untilMs: numberOf(request, 'until', Number.MAX_SAFE_INTEGER),
    isNewestFirst: order === 'newest',
    recordsMax,
    timeoutMs: FIND_TIMEOUT_MS,
  });
  const { records, next, unread } = unwrap(found, name);
  const isComplete = next.length === 0;
  return {
    messages: records.map(messageOf),
    next,
    isComplete,
    ...(unread === 0 ? {} : { unreadBatches: unread }),
  };
}

export async function messages(
  ports: AdminPorts,
  name: string,
  request: HttpRequest,
): Promise<ApiMessages> {
  const lookup = lookupIn(request);
  if (lookup !== undefined) return search(ports, name, request, lookup);
  const recordsMax = numberOf(request, 'max', MAX_LIMIT) ?? MAX_DEFAULT;
  const waitMs = numberOf(request, 'waitMs', WAIT_MS_LIMIT) ?? 0;
  const from = positions(ports, name, request);
  const answer = unwrap(await ports.records.read(name, from, { recordsMax, waitMs }), name);
  return { messages: answer.records.map(messageOf), next: answer.next };
}
