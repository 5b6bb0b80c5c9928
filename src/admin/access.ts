// Users, vhosts and permissions with the paths, shapes and statuses of RabbitMQ's management API, and who asks: a request
// that says who it is from is held to that user's tags. One that does not say so is from whoever reaches this listener.
import { type PermissionRecord, USER_TAGS, type UserTag } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { decodeUtf8 } from '../std/bytes.ts';
import { isLoopback } from '../std/loopback.ts';
import { passwordHash } from '../std/password-hash.ts';
import { json } from './answers.ts';
import type { ApiPermission, ApiUser, ApiVhost } from './api-types.ts';
import { bytesOfBase64 } from './base64.ts';
import {
  allow,
  bad,
  CHANGE_TIMEOUT_MS,
  empty,
  ensure,
  ManagementProblem,
  missing,
} from './management-answers.ts';
import type { AdminPorts } from './ports.ts';
import { fieldsIn } from './request-body.ts';

const ALGORITHM = 'rabbit_password_hashing_sha256';
const ALL = '.*';
const BODY_BYTES_MAX = 16_384;
const READS = ['GET', 'HEAD'];
const READS_AND_CHANGES = [...READS, 'PUT', 'DELETE'];

// ---- Who asks -------------------------------------------------------------------------------------

function refusedLogin(reason: string): ManagementProblem {
  return new ManagementProblem(401, 'not_authorized', reason);
}

/**
 * The name of the user that a request says it is from, undefined if it says nothing.
 *
 * @throws ManagementProblem (401) if that is not so, or the user's tags do not let it do this.
 */
export function whoAsks({ view }: AdminPorts, request: HttpRequest): string | undefined {
  const { authorization, method, remote } = request;
  if (authorization === undefined) return undefined;
  const [, encoded = ''] = /^basic +([\w+/]+=*)$/i.exec(authorization) ?? [];
  const [name = '', ...rest] = decodeUtf8(bytesOfBase64(encoded) ?? new Uint8Array(0)).split(':');
  const password = rest.join(':');
  const fault = view.access.refuseLogin(name, password, isLoopback(remote));
  if (fault === 'remote') throw refusedLogin(`User '${name}' can only log in via localhost`);
  const user = view.access.user(name);
  if (fault !== undefined || user === undefined) throw refusedLogin('Login failed');
  if (user.tags.length === 0) throw refusedLogin('Not management user');
  if (!READS.includes(method) && !user.tags.includes('administrator')) {
    throw refusedLogin('Not administrator user');
  }
  return name;
}

// ---- Routes ---------------------------------------------------------------------------------------

/** Those of `/api/whoami`, `users`, `vhosts`, `permissions` and `topic-permissions`; undefined for other paths. */
export async function accessRoute(
  ports: AdminPorts,
  request: HttpRequest,
  asking: string | undefined,
): Promise<HttpResponse | undefined> {
  const [, what, first, second, ...rest] = request.parts;
  switch (what) {
    case 'whoami':
      return first === undefined ? whoami(ports, request, asking) : undefined;
    case 'users':
      if (first === undefined) return users(ports, request);
      if (second === undefined) return oneUser(ports, request, first);
      return second === 'permissions' && rest.length === 0
        ? permissionsOf(ports, request, 'user', first)
        : undefined;
    case 'vhosts':
      if (first === undefined) return vhosts(ports, request);
      if (second === undefined) return oneVhost(ports, request, first, asking);
      return second === 'permissions' && rest.length === 0
        ? permissionsOf(ports, request, 'vhost', first)
        : undefined;
    case 'permissions':
      if (first === undefined) return permissions(ports, request);
      return second === undefined || rest.length > 0
        ? undefined
        : onePermission(ports, request, first, second);
    case 'topic-permissions':
      throw bad('topic permissions are not there: a permission is for all keys of an exchange');
    default:
      return undefined;
  }
}

function whoami({ view }: AdminPorts, request: HttpRequest, asking: string | undefined) {
  allow(request, READS);
  const user = asking === undefined ? undefined : view.access.user(asking);
  if (user === undefined) throw refusedLogin('Login failed');
  return json(200, { name: user.name, tags: user.tags });
}

// ---- Users ----------------------------------------------------------------------------------------

/** Without what is kept of its password. */
function shownUser({ view }: AdminPorts, name: string): ApiUser | undefined {
  const user = view.access.user(name);
  return user && { name, tags: user.tags, hashing_algorithm: ALGORITHM, limits: {} };
}

function users(ports: AdminPorts, request: HttpRequest): HttpResponse {
  allow(request, READS);
  return json(
    200,
    ports.view.access.users().map(({ name }) => shownUser(ports, name)),
  );
}

async function oneUser(ports: AdminPorts, request: HttpRequest, name: string) {
  allow(request, READS_AND_CHANGES);
  const known = shownUser(ports, name);
  if (request.method === 'PUT') {
    ensure(await ports.changes.putUser(userOf(ports, request, name), CHANGE_TIMEOUT_MS));
    return empty(known === undefined ? 201 : 204);
  }
  if (request.method === 'DELETE') {
    ensure(await ports.changes.deleteUser(name, CHANGE_TIMEOUT_MS));
    return empty(204);
  }
  if (known === undefined) throw missing();
  return json(200, known);
}

/** What is left out stays as it is; of a new user it is nothing. */
function userOf(ports: AdminPorts, { body }: HttpRequest, name: string) {
  if (body.length > BODY_BYTES_MAX) throw bad(`a user has at most ${BODY_BYTES_MAX} bytes`);
  const known = ['password', 'password_hash', 'hashing_algorithm', 'tags', 'name'];
  const fields = fieldsIn(body, known, bad);
  if ((fields['name'] ?? name) !== name) throw bad('name: the path names another one');
  const { password, password_hash: hash, hashing_algorithm: algorithm = ALGORITHM } = fields;
  if (algorithm !== ALGORITHM) throw bad(`hashing_algorithm: only ${ALGORITHM} is served`);
  if (password !== undefined && hash !== undefined) throw bad('password or password_hash');
  const tags = fields['tags'] === undefined ? undefined : tagsOf(fields['tags']);
  if (hash !== undefined) {
    const bytes = typeof hash === 'string' ? bytesOfBase64(hash) : undefined;
    if (bytes === undefined) throw bad('password_hash: base64 is needed');
    return { name, passwordHash: bytes, tags };
  }
  if (password === undefined) return { name, passwordHash: undefined, tags };
  if (typeof password !== 'string' || password === '') throw bad('password: text is needed');
  return { name, passwordHash: passwordHash(ports.salt(), password), tags };
}

/** A list, or words with commas between them as RabbitMQ took before 3.9. */
function tagsOf(value: unknown): readonly UserTag[] {
  const words = typeof value === 'string' ? value.split(',').map((word) => word.trim()) : value;
  if (!Array.isArray(words)) throw bad('tags: a list of words is needed');
  const given = words.filter((word) => word !== '');
  const other = given.find((word) => !USER_TAGS.includes(word));
  if (other !== undefined)
    throw bad(`tags: ${JSON.stringify(other)} is none of ${USER_TAGS.join(', ')}`);
  return USER_TAGS.filter((tag) => given.includes(tag));
}

// ---- Vhosts ---------------------------------------------------------------------------------------

const shownVhost = (name: string): ApiVhost => ({
  name,
  description: '',
  tags: [],
  tracing: false,
});

function vhosts({ view }: AdminPorts, request: HttpRequest): HttpResponse {
  allow(request, READS);
  return json(200, view.access.vhosts().map(shownVhost));
}

async function oneVhost(
  ports: AdminPorts,
  request: HttpRequest,
  name: string,
  asking: string | undefined,
): Promise<HttpResponse> {
  allow(request, READS_AND_CHANGES);
  const { changes, view } = ports;
  const isKnown = view.access.hasVhost(name);
  if (request.method === 'PUT') {
    refuseVhostFields(request);
    ensure(await changes.putVhost(name, CHANGE_TIMEOUT_MS));
    // As RabbitMQ: whoever makes one may use it.
    if (asking !== undefined && !isKnown) {
      const all = { configure: ALL, write: ALL, read: ALL };
      ensure(await changes.putPermission({ user: asking, vhost: name, ...all }, CHANGE_TIMEOUT_MS));
    }
    return empty(isKnown ? 204 : 201);
  }
  if (request.method === 'DELETE') {
    ensure(await changes.deleteVhost(name, CHANGE_TIMEOUT_MS));
    return empty(204);
  }
  if (!isKnown) throw missing();
  return json(200, shownVhost(name));
}

/** Clients send what a vhost may have; here it has a name. */
function refuseVhostFields({ body }: HttpRequest): void {
  if (body.length === 0) return;
  const fields = fieldsIn(body, ['name', 'description', 'tags', 'tracing'], bad);
  for (const name of ['description', 'tags'] as const) {
    const value = fields[name];
    const isEmpty =
      value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) throw bad(`${name}: a vhost has a name only`);
  }
  if ((fields['tracing'] ?? false) !== false) throw bad('tracing is not there');
}

// ---- Permissions ----------------------------------------------------------------------------------

function permissions({ view }: AdminPorts, request: HttpRequest): HttpResponse {
  allow(request, READS);
  return json(200, view.access.permissions());
}

function permissionsOf(
  { view }: AdminPorts,
  request: HttpRequest,
  of: 'user' | 'vhost',
  name: string,
): HttpResponse {
  allow(request, READS);
  const { access } = view;
  if (of === 'user' ? access.user(name) === undefined : !access.hasVhost(name)) throw missing();
  return json(
    200,
    access.permissions().filter((each) => each[of] === name),
  );
}

async function onePermission(ports: AdminPorts, request: HttpRequest, vhost: string, user: string) {
  allow(request, READS_AND_CHANGES);
  const { changes, view } = ports;
  const known: ApiPermission | undefined = view.access.permission(user, vhost);
  if (request.method === 'PUT') {
    ensure(await changes.putPermission(permissionOf(request, user, vhost), CHANGE_TIMEOUT_MS));
    return empty(known === undefined ? 201 : 204);
  }
  if (known === undefined) throw missing();
  if (request.method !== 'DELETE') return json(200, known);
  ensure(await changes.deletePermission(user, vhost, CHANGE_TIMEOUT_MS));
  return empty(204);
}

function permissionOf({ body }: HttpRequest, user: string, vhost: string): PermissionRecord {
  if (body.length > BODY_BYTES_MAX) throw bad(`a permission has at most ${BODY_BYTES_MAX} bytes`);
  const fields = fieldsIn(body, ['configure', 'write', 'read', 'user', 'vhost'], bad);
  if ((fields['user'] ?? user) !== user) throw bad('user: the path names another one');
  if ((fields['vhost'] ?? vhost) !== vhost) throw bad('vhost: the path names another one');
  const pattern = (name: 'configure' | 'write' | 'read'): string => {
    const value = fields[name];
    if (typeof value !== 'string') throw bad(`${name}: a regular expression is needed`);
    return value;
  };
  return {
    user,
    vhost,
    configure: pattern('configure'),
    write: pattern('write'),
    read: pattern('read'),
  };
}
