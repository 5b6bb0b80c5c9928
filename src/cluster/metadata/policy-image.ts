// The policies of all vhosts, and which one a destination has.
import { assert } from '../../std/assert.ts';
import { Pattern } from '../../std/pattern.ts';
import { readDefinition } from './policy-definition.ts';
import type { PolicyRecord, PolicyRules } from './policy-types.ts';
import type { DestinationRecord } from './types.ts';

interface Ready {
  readonly record: PolicyRecord;
  readonly pattern: Pattern;
  readonly rules: PolicyRules;
}

/** What of a destination a policy looks at. */
export type Subject = Pick<DestinationRecord, 'vhost' | 'name' | 'kind' | 'isInternal' | 'queue'>;

const SILENT: PolicyRules = {
  durability: undefined,
  mirrors: undefined,
  deliveryLimit: undefined,
};

function byPrecedence(a: Ready, b: Ready): number {
  if (a.record.priority !== b.record.priority) return b.record.priority - a.record.priority;
  return a.record.name < b.record.name ? -1 : 1;
}

export class PolicyImage {
  /** By vhost, the first that matches first. */
  readonly #ready = new Map<string, readonly Ready[]>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Some policy mirrors queues. */
  get areMirroring(): boolean {
    for (const all of this.#ready.values()) {
      if (all.some(({ rules }) => rules.mirrors !== undefined)) return true;
    }
    return false;
  }

  policy(vhost: string, name: string): PolicyRecord | undefined {
    return this.#ready.get(vhost)?.find(({ record }) => record.name === name)?.record;
  }

  /** In order of vhost, then name. */
  policies(): readonly PolicyRecord[] {
    return [...this.#ready]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, all]) => {
        return all.map(({ record }) => record).sort((a, b) => (a.name < b.name ? -1 : 1));
      });
  }

  /** The policy of a destination. undefined: none matches. */
  match(subject: Subject): PolicyRecord | undefined {
    return this.#ready.get(subject.vhost)?.find((each) => isMatch(each, subject))?.record;
  }

  /** Does the policy of this name match, whatever else does? */
  doesMatch(name: string, subject: Subject): boolean {
    const found = this.#ready.get(subject.vhost)?.find(({ record }) => record.name === name);
    return found !== undefined && isMatch(found, subject);
  }

  rules(vhost: string, name: string | undefined): PolicyRules {
    if (name === undefined) return SILENT;
    return this.#ready.get(vhost)?.find(({ record }) => record.name === name)?.rules ?? SILENT;
  }

  /** Its pattern and its definition have been judged good. */
  put(record: PolicyRecord): void {
    this.remove(record.vhost, record.name);
    const rules = readDefinition(record.definition);
    assert(typeof rules !== 'string', 'a policy is judged before it is kept');
    const ready = { record, pattern: new Pattern(record.pattern), rules };
    const others = this.#ready.get(record.vhost) ?? [];
    this.#ready.set(record.vhost, [...others, ready].sort(byPrecedence));
    this.#count += 1;
  }

  remove(vhost: string, name: string): void {
    const all = this.#ready.get(vhost) ?? [];
    const rest = all.filter(({ record }) => record.name !== name);
    this.#count -= all.length - rest.length;
    if (rest.length === 0) this.#ready.delete(vhost);
    else this.#ready.set(vhost, rest);
  }

  clear(): void {
    this.#ready.clear();
    this.#count = 0;
  }
}

function isMatch(
  { record, pattern, rules }: Ready,
  { kind, isInternal, queue, name }: Subject,
): boolean {
  if (isInternal || (queue === undefined && kind !== 'partition')) return false;
  const type =
    queue === undefined
      ? 'streams'
      : queue.quorum === undefined
        ? 'classic_queues'
        : 'quorum_queues';
  const { applyTo } = record;
  if (applyTo !== 'all' && applyTo !== 'queues' && applyTo !== type) return false;
  // As RabbitMQ's `unsupported_policies`: a policy with a key that the kind has not is not for that kind.
  const isOfQuorum = rules.deliveryLimit !== undefined;
  const isOfOthers = rules.durability !== undefined || rules.mirrors !== undefined;
  if (type === 'quorum_queues' ? isOfOthers : isOfQuorum) return false;
  return pattern.test(name);
}
