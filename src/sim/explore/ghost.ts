// What has happened, as far as the rules of Raft speak of it: who led, who voted for whom, what was committed. Not a part
// of any peer, and shares no code with the core. Each rule is looked at after every act:
//   election safety      one leader a term
//   votes                one vote a term; a vote and what is acknowledged are on the disk of who says so
//   log matching         equal index and term: equal entries up to there, in memory and on disks
//   leader append-only   a leader never changes what it has
//   leader completeness  who leads has everything that was committed in earlier terms
//   state machine safety one value is committed at an index, and is on the disks of a majority then
//   monotony             term and commit of a life never fall
//   reads                answered at or above what was committed when they were asked for
import { type Renaming, renamed, type View } from './encoding.ts';
import { NOBODY } from './life.ts';
import type { Peer, Sent, Step } from './peers.ts';

export interface Ghost {
  /** By term, from 1: who led. */
  readonly leaders: readonly number[];
  /** By peer, then by term: for whom it voted. */
  readonly votes: readonly (readonly number[])[];
  /** By index, from 1: what is committed, and in which term that was seen. */
  readonly committed: readonly { readonly entry: string; readonly term: number }[];
  /** What was committed when the last read began. */
  readonly readFloor: number;
}

export function firstGhost(terms: number): Ghost {
  const none = Array.from({ length: terms + 1 }, () => NOBODY);
  return { leaders: none, votes: [none, none, none], committed: [], readFloor: 0 };
}

export function nameOfGhost(ghost: Ghost, names: Renaming): string {
  const votes: string[] = [];
  ghost.votes.forEach((of, voter) => {
    votes[renamed(voter, names)] = of.map((node) => renamed(node, names)).join();
  });
  const leaders = ghost.leaders.map((node) => renamed(node, names)).join();
  const committed = ghost.committed.map(({ entry, term }) => `${entry}@${term}`).join(' ');
  return `${leaders}|${votes.join(';')}|${committed}|${ghost.readFloor}`;
}

export function replaced<T>(list: readonly T[], at: number, by: T): T[] {
  return list.map((item, i) => (i === at ? by : item));
}

/** A rule that does not hold any more. */
export class BrokenRuleError extends Error {
  override readonly name = 'BrokenRuleError';
}

function broken(why: string): never {
  throw new BrokenRuleError(why);
}

/** What has happened after an act of one peer. Throws BrokenRuleError. */
export function observed(
  ghost: Ghost,
  before: Peer,
  after: readonly Peer[],
  step: Step,
  act: { readonly isCrash: boolean; readonly isMajorityKnown: boolean },
  messages: readonly Sent[],
): Ghost {
  if (step.broken !== undefined) broken(step.broken);
  const { node, view } = step.peer;
  let next = ghost;
  for (const sent of messages) next = spoken(next, view, sent);
  if (!act.isCrash) alive(before.view, view);
  if (view.role === 'leader') next = leading(next, node, view.term);
  next = committing(next, view, after, act.isMajorityKnown);
  for (const index of step.reads) {
    if (index < next.readFloor) broken(`a read at ${index}, committed was ${next.readFloor}`);
  }
  for (const other of after) {
    if (other.node !== node) matching(view, other.view);
    complete(next, other);
  }
  return next;
}

function spoken(ghost: Ghost, view: View, { from, to, message }: Sent): Ghost {
  const { term } = message;
  if (message.kind === 'vote-response' && message.isGranted && !message.isPreVote) {
    const isBound = view.diskTerm > term || (view.diskTerm === term && view.diskVote === to);
    if (!isBound) broken(`peer ${from} votes in term ${term} before that is on its disk`);
    return voted(ghost, from, term, to);
  }
  if (message.kind === 'append-response' && !message.isRejected) {
    for (let index = 1; index <= message.index; index += 1) {
      if (view.diskLog[index] === undefined || view.diskLog[index] !== view.log[index]) {
        broken(`peer ${from} acknowledges ${message.index} before ${index} is on its disk`);
      }
    }
  }
  return ghost;
}

function voted(ghost: Ghost, voter: number, term: number, candidate: number): Ghost {
  const known = ghost.votes[voter]![term]!;
  if (known === candidate) return ghost;
  if (known !== NOBODY) broken(`peer ${voter} votes in term ${term} for ${known} and ${candidate}`);
  const votes = ghost.votes.map((of, i) => (i === voter ? replaced(of, term, candidate) : of));
  return { ...ghost, votes };
}

function leading(ghost: Ghost, node: number, term: number): Ghost {
  const known = ghost.leaders[term]!;
  if (known === node) return ghost;
  if (known !== NOBODY) broken(`two leaders in term ${term}: ${known} and ${node}`);
  return voted({ ...ghost, leaders: replaced(ghost.leaders, term, node) }, node, term, node);
}

function alive(before: View, view: View): void {
  if (view.term < before.term) broken(`the term falls from ${before.term} to ${view.term}`);
  if (view.commit < before.commit) broken(`the commit falls to ${view.commit}`);
  if (view.role !== 'leader' || before.role !== 'leader' || view.term !== before.term) return;
  if (before.log.some((entry, index) => view.log[index] !== entry)) broken('a leader cuts its log');
}

function committing(
  ghost: Ghost,
  { commit, log, term }: View,
  after: readonly Peer[],
  isMajorityKnown: boolean,
): Ghost {
  let { committed } = ghost;
  for (let index = 1; index <= commit; index += 1) {
    const entry = log[index];
    if (entry === undefined) broken(`committed ${index} is beyond the log`);
    const known = committed[index - 1];
    if (known === undefined) {
      const holders = after.filter(({ view }) => same(view.diskLog[index], entry));
      if (isMajorityKnown && holders.length < 2) {
        broken(`${index} is committed and on ${holders.length} disks only`);
      }
      committed = [...committed, { entry, term }];
    } else if (!same(known.entry, entry)) {
      broken(`two values committed at ${index}: ${known.entry} and ${entry}`);
    }
  }
  return committed === ghost.committed ? ghost : { ...ghost, committed };
}

/** A witness keeps the term of a command only. */
function same(a: string | undefined, b: string | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  const isWithheld = a.endsWith('w') || b.endsWith('w');
  return isWithheld && Number.parseInt(a, 10) === Number.parseInt(b, 10);
}

function matching(a: View, b: View): void {
  for (const [left, right] of [
    [a.log, b.log],
    [a.diskLog, b.log],
    [a.log, b.diskLog],
  ] as const) {
    let index = Math.min(left.length, right.length) - 1;
    while (index > 0 && termOf(left[index]!) !== termOf(right[index]!)) index -= 1;
    for (; index > 0; index -= 1) {
      if (!same(left[index], right[index])) broken(`log matching fails at ${index}`);
    }
  }
}

function termOf(entry: string): number {
  return Number.parseInt(entry, 10);
}

function complete({ committed }: Ghost, { node, view }: Peer): void {
  if (view.role !== 'leader') return;
  committed.forEach(({ entry, term }, i) => {
    // Whole: who has no bytes of it, as a witness, cannot lead.
    if (term < view.term && view.log[i + 1] !== entry) {
      broken(`leader ${node} of term ${view.term} lacks committed ${i + 1}`);
    }
  });
}
