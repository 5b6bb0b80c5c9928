// The scopes that are explored: each small enough that all of it is visited. A state space is a product, so what one
// scope has much of another one has little of.
import type { RaftFaults } from '../../raft/index.ts';
import { type Bounds, NO_BOUNDS } from './explore.ts';

export interface Scope {
  readonly name: string;
  readonly what: string;
  readonly bounds: Bounds;
  /** Visited in seconds: a part of the quick tests. */
  readonly isQuick: boolean;
}

const AT_ONCE = { isDiskInstant: true, inFlight: 1 } as const;

export const SCOPES: readonly Scope[] = [
  {
    name: 'crash',
    what: 'one term, a command, a crash that loses what is not written',
    bounds: { ...NO_BOUNDS, commands: 1, crashes: 1, inFlight: 1 },
    isQuick: false,
  },
  {
    name: 'twice',
    what: 'one term, a crash, a message that comes twice',
    bounds: { ...NO_BOUNDS, crashes: 1, duplicates: 1, inFlight: 1 },
    isQuick: true,
  },
  {
    name: 'overtaking',
    what: 'two terms, messages that overtake each other, disks that are done at once',
    bounds: { ...NO_BOUNDS, terms: 2, isDiskInstant: true, inFlight: 2 },
    isQuick: false,
  },
  {
    name: 'witness',
    what: 'two terms, and one of the three is a witness',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, hasWitness: true },
    isQuick: true,
  },
  {
    name: 'command',
    what: 'two terms and a command, disks that are done at once',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, commands: 1 },
    isQuick: false,
  },
  {
    name: 'read',
    what: 'two terms and a read',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, reads: 1 },
    isQuick: false,
  },
  {
    name: 'whole',
    what: 'two terms, the entry that each opens with, a crash that loses what is not written',
    bounds: { ...NO_BOUNDS, terms: 2, crashes: 1, inFlight: 1 },
    isQuick: false,
  },
];

/** The mistakes that a scope can show, each with the smallest that does, and the words of the rule that it breaks. */
export const SHOWN: readonly {
  readonly fault: keyof RaftFaults;
  readonly bounds: Bounds;
  readonly foundBy: RegExp;
  /** Found after less than some 20,000 states. */
  readonly isQuick: boolean;
}[] = [
  {
    fault: 'forgetVote',
    bounds: { ...NO_BOUNDS, crashes: 1, inFlight: 1 },
    foundBy: /votes in term 1 before that is on its disk/,
    isQuick: true,
  },
  {
    fault: 'ackBeforeDurable',
    bounds: NO_BOUNDS,
    foundBy: /before that is on its disk/,
    isQuick: true,
  },
  {
    fault: 'countUnwritten',
    bounds: NO_BOUNDS,
    foundBy: /is committed and on 1 disks only/,
    isQuick: true,
  },
  {
    fault: 'voteForBehind',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2 },
    foundBy: /lacks committed 1/,
    isQuick: true,
  },
  {
    fault: 'trustOldTerms',
    bounds: { ...NO_BOUNDS, terms: 2, isDiskInstant: true },
    foundBy: /is committed and on 1 disks only/,
    isQuick: true,
  },
  {
    fault: 'noJoint',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, shrinks: 1 },
    foundBy: /lacks committed 2/,
    isQuick: true,
  },
  {
    fault: 'readUnconfirmed',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, reads: 1 },
    foundBy: /a read at 1, committed was 2/,
    isQuick: false,
  },
  {
    fault: 'readyAtOnce',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, reads: 1 },
    foundBy: /a read at 0, committed was 1/,
    isQuick: false,
  },
  {
    fault: 'witnessLeads',
    bounds: { ...NO_BOUNDS, ...AT_ONCE, terms: 2, commands: 1, hasWitness: true },
    foundBy: /lacks committed 2/,
    isQuick: false,
  },
];
