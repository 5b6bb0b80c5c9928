// What is served of RabbitMQ's management API, so that its tools find it: policies and queues here, users and vhosts in
// `access.ts`, with RabbitMQ's paths, shapes, statuses and errors. What it would ignore is refused.

import { APPLY_TO, type ApplyTo, definitionNotes, type PolicyRecord } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { accessRoute } from './access.ts';
import { json } from './answers.ts';
import type { ApiPolicy } from './api-types.ts';
import { allow, bad, CHANGE_TIMEOUT_MS, empty, ensure, missing } from './management-answers.ts';
import type { AdminPorts } from './ports.ts';
import { queueNamed, queuesOf } from './queues.ts';
import { fieldsIn, isObject } from './request-body.ts';

/** Far more than a policy needs: it goes through the metadata of the whole cluster. */
const BODY_BYTES_MAX = 16_384;
const FIELDS = ['pattern', 'definition', 'priority', 'apply-to', 'vhost', 'name', 'notes'];

const MANAGED = [
  'policies',
  'queues',
  'whoami',
  'users',
  'vhosts',
  'permissions',
  'topic-permissions',
];

/** What is served of it and what is below that; undefined for other paths. `asking`: the user that a request is from. */
export async function managementRoute(
  ports: AdminPorts,
  request: HttpRequest,
  asking: string | undefined,
): Promise<HttpResponse | undefined> {
  const [api, what = '', vhost, name, ...rest] = request.parts;
  if (api !== 'api' || !MANAGED.includes(what)) return undefined;
  if (request.query.size > 0) throw bad('no parameters are known here');
  if (what !== 'policies' && what !== 'queues') return accessRoute(ports, request, asking);
  if (rest.length > 0) return undefined;
  if (vhost !== undefined && !ports.view.access.hasVhost(vhost)) throw missing();
  if (what === 'queues') return queues(ports, request, vhost, name);
  return vhost === undefined || name === undefined
    ? listed(ports, request, vhost)
    : one(ports, request, vhost, name);
}

async function queues(
  ports: AdminPorts,
  request: HttpRequest,
  vhost: string | undefined,
  name: string | undefined,
): Promise<HttpResponse> {
  allow(request, ['GET', 'HEAD']);
  if (vhost === undefined) return json(200, await queuesOf(ports, ports.view.access.vhosts()));
  if (name === undefined) return json(200, await queuesOf(ports, [vhost]));
  const found = await queueNamed(ports, vhost, name);
  if (found === undefined) throw missing();
  return json(200, found);
}

function listed(
  { view }: AdminPorts,
  request: HttpRequest,
  vhost: string | undefined,
): HttpResponse {
  allow(request, ['GET', 'HEAD']);
  const all = view.policies().filter((each) => vhost === undefined || each.vhost === vhost);
  return json(200, all.map(shown));
}

async function one(
  ports: AdminPorts,
  request: HttpRequest,
  vhost: string,
  name: string,
): Promise<HttpResponse> {
  allow(request, ['GET', 'HEAD', 'PUT', 'DELETE']);
  const known = ports.view.policies().find((each) => each.vhost === vhost && each.name === name);
  if (request.method === 'PUT') {
    const policy = policyOf(request, vhost, name);
    ensure(await ports.changes.putPolicy(policy, CHANGE_TIMEOUT_MS));
    return empty(known === undefined ? 201 : 204);
  }
  if (request.method === 'DELETE') {
    ensure(await ports.changes.deletePolicy(vhost, name, CHANGE_TIMEOUT_MS));
    return empty(204);
  }
  if (known === undefined) throw missing();
  return json(200, shown(known));
}

function shown(policy: PolicyRecord): ApiPolicy {
  const { vhost, name, pattern, applyTo, priority } = policy;
  const values = policy.definition.map(([key, value]) => [key, JSON.parse(value) as unknown]);
  const definition = Object.fromEntries(values) as ApiPolicy['definition'];
  const notes = definitionNotes(policy.definition);
  return { vhost, name, pattern, 'apply-to': applyTo, priority, definition, notes };
}

// ---- What is asked for ----------------------------------------------------------------------------

function policyOf({ body }: HttpRequest, vhost: string, name: string): PolicyRecord {
  if (body.length > BODY_BYTES_MAX) throw bad(`a policy has at most ${BODY_BYTES_MAX} bytes`);
  const fields = fieldsIn(body, FIELDS, bad);
  // Clients say again where they send it.
  if ((fields['vhost'] ?? vhost) !== vhost) throw bad('vhost: the path names another one');
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
  return { vhost, name, pattern, applyTo, priority, definition: pairs };
}

function applyToOf(value: unknown): ApplyTo {
  const found = APPLY_TO.find((each) => each === value);
  if (found !== undefined) return found;
  if (value === 'exchanges') throw bad('apply-to: no key of a policy here is for exchanges');
  throw bad(`apply-to: must be one of ${APPLY_TO.join(', ')}`);
}
