// One ref in front of many: spreads the messages of a protocol over several actors. A router is a
// plain value of its owner, not an actor, so it adds no hop. Members may live anywhere.
import { fnv1a32 } from '../std/hash.ts';
import type { Input, Ops, TellOp } from './protocol.ts';
import type { Admission, Ref } from './ref.ts';

/**
 * `round-robin` takes turns. `hash` keeps equal keys together and moves the fewest when members change.
 * `least-depth` compares how many messages wait, as `depthOf` tells.
 */
export type Routing<O extends Ops> =
  | { readonly kind: 'round-robin' }
  | { readonly kind: 'hash'; readonly keyOf: (op: string, input: unknown) => string }
  | { readonly kind: 'least-depth'; readonly depthOf: (ref: Ref<O>) => number };

export class Router<O extends Ops> {
  readonly #routing: Routing<O>;
  #members: readonly Ref<O>[];
  #next = 0;

  constructor(members: readonly Ref<O>[], routing: Routing<O>) {
    this.#members = members;
    this.#routing = routing;
  }

  get members(): readonly Ref<O>[] {
    return this.#members;
  }

  setMembers(members: readonly Ref<O>[]): void {
    this.#members = members;
    this.#next = 0;
  }

  /** Who gets this message; undefined without members. */
  pick(op: string, input: unknown): Ref<O> | undefined {
    const members = this.#members;
    const routing = this.#routing;
    if (members.length === 0) return undefined;
    if (routing.kind === 'round-robin') {
      const member = members[this.#next % members.length];
      this.#next = (this.#next + 1) % members.length;
      return member;
    }
    if (routing.kind === 'hash') return best(members, scoreByKey(routing.keyOf(op, input)));
    return best(members, (member) => -routing.depthOf(member));
  }

  /** Tells the picked member; false when there is none. */
  tell<K extends TellOp<O>>(op: K, input: Input<O[K]>): boolean {
    const member = this.pick(op, input);
    member?.tell(op, input);
    return member !== undefined;
  }

  /**
   * Offers to the picked member. With round robin a full or gone member is passed over, so `full`
   * means that all are; the other routings have one right member only.
   */
  offer<K extends TellOp<O>>(op: K, input: Input<O[K]>): Admission {
    const tries = this.#routing.kind === 'round-robin' ? this.#members.length : 1;
    let answer: Admission = 'gone';
    for (let i = 0; i < tries; i += 1) {
      const admission = this.pick(op, input)?.offer(op, input) ?? 'gone';
      if (admission === 'accepted') return admission;
      if (admission === 'full') answer = 'full';
    }
    return answer;
  }
}

/** Rendezvous hashing over the slots of the members. */
function scoreByKey(key: string): (member: { readonly path: string }) => number {
  return (member) => fnv1a32(`${key}\u0000${member.path}`);
}

function best<T>(members: readonly T[], score: (member: T) => number): T {
  let winner = members[0]!;
  let highest = score(winner);
  for (let i = 1; i < members.length; i += 1) {
    const candidate = score(members[i]!);
    if (candidate <= highest) continue;
    winner = members[i]!;
    highest = candidate;
  }
  return winner;
}
