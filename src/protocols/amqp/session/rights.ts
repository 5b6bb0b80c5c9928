// What one user may do in one vhost: RabbitMQ's three patterns over names, asked for once for each name and change of
// who may do what. A publish looks at one number; no pattern is tried for a message.
import type { AccessVerb, AccessView } from '../../../broker/ports.ts';
import { type Named, type Refusal, refusals } from '../codec/index.ts';

/** What the exchange without a name is to permissions. */
const DEFAULT_EXCHANGE = 'amq.default';
/** Answers that are kept; names that the server makes up never end. */
const ANSWERS_MAX = 1_024;
const VERBS = ['configure', 'write', 'read'] as const;

/** Why a client may not open a vhost. */
export function refuseVhost(access: AccessView, user: string, vhost: string): Refusal | undefined {
  if (!access.hasVhost(vhost)) return refusals.noVhost(vhost);
  if (access.permission(user, vhost) !== undefined) return undefined;
  return refusals.vhostRefused(vhost, user);
}

export class Rights {
  readonly user: string;
  readonly vhost: string;
  readonly #access: AccessView;
  /** Of `access`: the answers were right at it. */
  #version = -1;
  readonly #answers = new Map<string, boolean>();
  /** By index of the exchange: publishes to it are allowed. Good for one version of the routes. */
  #publishes: boolean[] = [];
  #routesVersion = -1;

  constructor(access: AccessView, user: string, vhost: string) {
    this.#access = access;
    this.user = user;
    this.vhost = vhost;
  }

  /** Why not; undefined: it may be done. */
  refuse(verb: AccessVerb, kind: Named['kind'], name: string): Refusal | undefined {
    if (this.allows(verb, kind, name)) return undefined;
    return this.#refusal(verb, kind, name);
  }

  /** Whoever may do nothing to it need not know whether it is there. RabbitMQ asks for this from 4.3 on. */
  refuseLook(kind: Named['kind'], name: string): Refusal | undefined {
    if (VERBS.some((verb) => this.allows(verb, kind, name))) return undefined;
    return this.#refusal('read', kind, name);
  }

  #refusal(verb: AccessVerb, kind: Named['kind'], name: string): Refusal {
    const named = { kind, name: shownName(kind, name), vhost: this.vhost };
    return refusals.noAccess(verb, named, this.user);
  }

  allows(verb: AccessVerb, kind: Named['kind'], name: string): boolean {
    this.#look();
    const asked = shownName(kind, name);
    const key = `${verb} ${asked}`;
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      answer = this.#access.allows(this.user, this.vhost, verb, asked);
      if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
      this.#answers.set(key, answer);
    }
    return answer;
  }

  /** May it publish to the exchange that has this index in the routes of this version? */
  mayPublish(exchange: number, routesVersion: number, name: string): boolean {
    this.#look();
    if (routesVersion !== this.#routesVersion) {
      this.#routesVersion = routesVersion;
      this.#publishes = [];
    }
    if (this.#publishes[exchange] === true) return true;
    if (!this.allows('write', 'exchange', name)) return false;
    this.#publishes[exchange] = true;
    return true;
  }

  /** Why a connection ends that is there, in RabbitMQ's words (rabbit_connection_tracking.erl). */
  whyOver(): string | undefined {
    if (this.#access.user(this.user) === undefined) return `user '${this.user}' is deleted`;
    return this.#access.hasVhost(this.vhost) ? undefined : `vhost '${this.vhost}' is deleted`;
  }

  /** Nothing is known any more when something has changed. */
  #look(): void {
    if (this.#version === this.#access.version) return;
    this.#version = this.#access.version;
    this.#answers.clear();
    this.#publishes = [];
  }
}

function shownName(kind: Named['kind'], name: string): string {
  return kind === 'exchange' && name === '' ? DEFAULT_EXCHANGE : name;
}
