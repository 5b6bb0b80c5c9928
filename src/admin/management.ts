// What is served of RabbitMQ's management API, so that its tools find it: policies and queues, with RabbitMQ's paths,
// shapes, statuses and errors. What it would ignore is refused.

import type { MetadataResult } from '../cluster/ports.ts';
import { APPLY_TO, type ApplyTo, definitionNotes, type PolicyRecord } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { json } from './answers.ts';
import type { ApiManagementError, ApiPolicy } from './api-types.ts';
import type { AdminPorts } from './ports.ts';
import { queueNamed, queuesOf } from './queues.ts';
import { fieldsIn, isObject } from './request-body.ts';

const CHANGE_TIMEOUT_MS = 8_000;
/** Far more than a policy needs: it goes through the metadata of the whole cluster. */
const BODY_BYTES_MAX = 16_384;
const VHOST = '/';
const FIELDS = ['pattern', 'definition', 'priority', 'apply-to', 'vhost', 'name', 'notes'];

class ManagementProblem extends Error {
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, reason: string) {
    super(reason);
    this.status = status;
    this.error = error;
  }
}

const bad = (reason: string) => new ManagementProblem(400, 'bad_request', reason);
const missing = () => new ManagementProblem(404, 'Object Not Found', 'Not Found');

/** `/api/policies`, `/api/queues` and what is below them; undefined for other paths. */
export async function managementRoute(
  ports: AdminPorts,
  request: HttpRequest,
): Promise<HttpResponse | undefined> {
  const [api, what, vhost, name, ...rest] = request.parts;
  const isOurs = api === 'api' && (what === 'policies' || what === 'queues');
  if (!isOurs || rest.length > 0) return undefined;
  try {
    if (request.query.size > 0) throw bad('no parameters are known here');
    if (vhost !== undefined && vhost !== VHOST) throw missing();
    if (what === 'queues') return await queues(ports, request, name);
    return name === undefined ? listed(ports, request) : await one(ports, request, name);
  } catch (problem) {
    if (!(problem instanceof ManagementProblem)) throw problem;
    const body: ApiManagementError = { error: problem.error, reason: problem.message };
    return json(problem.status, body);
  }
}

async function queues(
  ports: AdminPorts,
  request: HttpRequest,
  name: string | undefined,
): Promise<HttpResponse> {
  allow(request, ['GET', 'HEAD']);
  if (name === undefined) return json(200, await queuesOf(ports));
  const found = await queueNamed(ports, name);
  if (found === undefined) throw missing();
  return json(200, found);
}

function listed({ view }: AdminPorts, request: HttpRequest): HttpResponse {
  allow(request, ['GET', 'HEAD']);
  return json(200, view.policies().map(shown));
}

async function one(ports: AdminPorts, request: HttpRequest, name: string): Promise<HttpResponse> {
  allow(request, ['GET', 'HEAD', 'PUT', 'DELETE']);
  const known = ports.view.policies().find((each) => each.vhost === VHOST && each.name === name);
  if (request.method === 'PUT') {
    const policy = policyOf(request, name);
    ensure(await ports.changes.putPolicy(policy, CHANGE_TIMEOUT_MS));
    return empty(known === undefined ? 201 : 204);
  }
  if (request.method === 'DELETE') {
    ensure(await ports.changes.deletePolicy(VHOST, name, CHANGE_TIMEOUT_MS));
    return empty(204);
  }
  if (known === undefined) throw missing();
  return json(200, shown(known));
}

function allow({ method }: HttpRequest, methods: readonly string[]): void {
  if (methods.includes(method)) return;
  const reason = `${methods.join(', ')} are served here`;
  throw new ManagementProblem(405, 'Method Not Allowed', reason);
}

function ensure(result: MetadataResult): void {
  if (result.kind === 'ok') return;
  if (result.kind === 'unavailable') {
    throw new ManagementProblem(503, 'service_unavailable', result.message);
  }
  throw result.code.startsWith('unknown-') ? missing() : bad(result.message);
}

function empty(status: number): HttpResponse {
  return { status, contentType: 'application/json', body: '' };
}

function shown(policy: PolicyRecord): ApiPolicy {
  const { vhost, name, pattern, applyTo, priority } = policy;
  const values = policy.definition.map(([key, value]) => [key, JSON.parse(value) as unknown]);
  const definition = Object.fromEntries(values) as ApiPolicy['definition'];
  const notes = definitionNotes(policy.definition);
  return { vhost, name, pattern, 'apply-to': applyTo, priority, definition, notes };
}

// ---- What is asked for ----------------------------------------------------------------------------

function policyOf({ body }: HttpRequest, name: string): PolicyRecord {
  if (body.length > BODY_BYTES_MAX) throw bad(`a policy has at most ${BODY_BYTES_MAX} bytes`);
  const fields = fieldsIn(body, FIELDS, bad);
  // Clients say again where they send it.
  if ((fields['vhost'] ?? VHOST) !== VHOST) throw bad('vhost: the path names another one');
  if ((fields['name'] ?? name) !== name) throw bad('name: the path names another one');
  const { pattern, definition, priority = 0 } = fields;
  if (typeof pattern !== 'string') throw bad('pattern: a regular expression is needed');
  if (!isObject(definition)) throw bad('definition: an object with keys and values is needed');
  if (typeof priority !== 'number' || !Number.isSafeInteger(priority))
    throw bad('priority: a whole number');
  const applyTo = applyToOf(fields['apply-to'] ?? 'all');
  const pairs = Object.entries(definition).map(([key, value]): [string, string] => {
    return [key, JSON.stringify(value)];
  });
  return { vhost: VHOST, name, pattern, applyTo, priority, definition: pairs };
}

function applyToOf(value: unknown): ApplyTo {
  const found = APPLY_TO.find((each) => each === value);
  if (found !== undefined) return found;
  if (value === 'exchanges') throw bad('apply-to: no key of a policy here is for exchanges');
  throw bad(`apply-to: must be one of ${APPLY_TO.join(', ')}`);
}
