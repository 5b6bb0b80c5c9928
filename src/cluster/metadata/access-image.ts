// The vhosts, users and permissions of the metadata image, and the one question that is asked of them. The default vhost
// is there by definition; the default user is what an image begins with, and may be changed or deleted like any other.

import { isPasswordOf, passwordHash } from '../../std/password-hash.ts';
import { Pattern } from '../../std/pattern.ts';
import {
  type AccessVerb,
  DEFAULT_USER,
  DEFAULT_VHOST,
  type LoginFault,
  type PermissionRecord,
  type UserRecord,
} from './access-types.ts';

interface Ready {
  readonly record: PermissionRecord;
  /** undefined: matches no name. */
  readonly patterns: Readonly<Record<AccessVerb, Pattern | undefined>>;
}

/** The same in every cluster, as the password is: equal images have equal bytes. */
const FACTORY_SALT = new Uint8Array(4);
const FACTORY_USER: UserRecord = {
  name: DEFAULT_USER,
  passwordHash: passwordHash(FACTORY_SALT, DEFAULT_USER),
  tags: ['administrator'],
};
const FACTORY_PERMISSION: PermissionRecord = {
  user: DEFAULT_USER,
  vhost: DEFAULT_VHOST,
  configure: '.*',
  write: '.*',
  read: '.*',
};

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function keyOf(user: string, vhost: string): string {
  return `${user}\u0000${vhost}`;
}

export class AccessImage {
  /** Grows with every change: what was answered before may be another answer now. */
  version = 0;
  readonly #users = new Map<string, UserRecord>();
  readonly #vhosts = new Set<string>();
  readonly #permissions = new Map<string, Ready>();

  constructor() {
    this.clear();
  }

  // ---- Questions -------------------------------------------------------------------------------

  user(name: string): UserRecord | undefined {
    return this.#users.get(name);
  }

  /** In order of name. */
  users(): readonly UserRecord[] {
    return [...this.#users.values()].sort((a, b) => compareText(a.name, b.name));
  }

  refuseLogin(name: string, password: string, isLoopback: boolean): LoginFault | undefined {
    // As RabbitMQ's internal backend: whatever is kept, nothing is no password.
    if (password === '') return 'blank';
    const user = this.#users.get(name);
    if (user === undefined || !isPasswordOf(user.passwordHash, password)) return 'wrong';
    // RabbitMQ's `loopback_users`: everybody knows its first password.
    return name === DEFAULT_USER && !isLoopback ? 'remote' : undefined;
  }

  hasVhost(name: string): boolean {
    return name === DEFAULT_VHOST || this.#vhosts.has(name);
  }

  /** Sorted, the default one included. */
  vhosts(): readonly string[] {
    return [DEFAULT_VHOST, ...this.#vhosts].sort(compareText);
  }

  permission(user: string, vhost: string): PermissionRecord | undefined {
    return this.#permissions.get(keyOf(user, vhost))?.record;
  }

  /** In order of user, then vhost. */
  permissions(): readonly PermissionRecord[] {
    return [...this.#permissions.values()]
      .map(({ record }) => record)
      .sort((a, b) => compareText(a.user, b.user) || compareText(a.vhost, b.vhost));
  }

  get permissionCount(): number {
    return this.#permissions.size;
  }

  /** May the user do this to what has the name there? */
  allows(user: string, vhost: string, verb: AccessVerb, name: string): boolean {
    const ready = this.#permissions.get(keyOf(user, vhost));
    return ready?.patterns[verb]?.test(name) === true;
  }

  // ---- Changes: for apply and restore only -----------------------------------------------------

  putUser(user: UserRecord): void {
    this.#users.set(user.name, user);
    this.version += 1;
  }

  /** With its permissions. */
  removeUser(name: string): void {
    this.#users.delete(name);
    this.#removePermissions((record) => record.user === name);
  }

  putVhost(name: string): void {
    this.#vhosts.add(name);
    this.version += 1;
  }

  /** With the permissions for it. */
  removeVhost(name: string): void {
    this.#vhosts.delete(name);
    this.#removePermissions((record) => record.vhost === name);
  }

  #removePermissions(isOver: (record: PermissionRecord) => boolean): void {
    for (const [key, { record }] of this.#permissions) {
      if (isOver(record)) this.#permissions.delete(key);
    }
    this.version += 1;
  }

  /** Its patterns have been judged good. */
  putPermission(record: PermissionRecord): void {
    const { configure, write, read } = record;
    const patterns = { configure: ready(configure), write: ready(write), read: ready(read) };
    this.#permissions.set(keyOf(record.user, record.vhost), { record, patterns });
    this.version += 1;
  }

  removePermission(user: string, vhost: string): void {
    this.#permissions.delete(keyOf(user, vhost));
    this.version += 1;
  }

  /** What a new cluster begins with. */
  clear(): void {
    this.clearAll();
    this.putUser(FACTORY_USER);
    this.putPermission(FACTORY_PERMISSION);
  }

  /** Not even the default user. */
  clearAll(): void {
    this.#users.clear();
    this.#vhosts.clear();
    this.#permissions.clear();
    this.version += 1;
  }
}

/** As in RabbitMQ, where an empty one stands for `^$`: there is nothing without a name. */
function ready(pattern: string): Pattern | undefined {
  return pattern === '' ? undefined : new Pattern(pattern);
}
