// Configurations as plain data: who counts, who wins, and how one configuration becomes another.
// The only way is joint consensus (Raft 6): C(old, new) and then C(new), each an entry that takes
// effect when it is appended. A decision in a joint configuration needs both majorities.
import { assert } from '../std/assert.ts';
import { type Configuration, EMPTY_CONFIGURATION, type PeerId } from './types.ts';

function sorted(peers: readonly PeerId[]): PeerId[] {
  return [...new Set(peers)].sort((a, b) => a - b);
}

/** A configuration with sorted, distinct lists, in which a voter is never also a learner. */
export function configurationOf(
  voters: readonly PeerId[],
  learners: readonly PeerId[] = [],
  outgoing: readonly PeerId[] = [],
  witnesses: readonly PeerId[] = [],
): Configuration {
  const counted = new Set(voters);
  const members = new Set([...voters, ...learners, ...outgoing]);
  return {
    voters: sorted(voters),
    outgoing: sorted(outgoing),
    learners: sorted(learners).filter((peer) => !counted.has(peer)),
    witnesses: sorted(witnesses).filter((peer) => members.has(peer)),
  };
}

export function isWitness(configuration: Configuration, peer: PeerId): boolean {
  return configuration.witnesses.includes(peer);
}

/** Fewer witnesses than others vote: whatever is committed, somebody who may lead has it whole. */
export function hasEnoughData({ voters, witnesses }: Configuration): boolean {
  const lacking = voters.filter((peer) => witnesses.includes(peer)).length;
  return lacking * 2 < voters.length;
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

export function isVoter(configuration: Configuration, peer: PeerId): boolean {
  return configuration.voters.includes(peer) || configuration.outgoing.includes(peer);
}

/** Everybody who receives the log. */
export function membersOf(configuration: Configuration): PeerId[] {
  return sorted([...configuration.voters, ...configuration.outgoing, ...configuration.learners]);
}

function majorityValue(peers: readonly PeerId[], reached: (peer: PeerId) => number): number {
  if (peers.length === 0) return Number.POSITIVE_INFINITY;
  const values = peers.map(reached).sort((a, b) => b - a);
  return values[Math.floor(peers.length / 2)]!;
}

/** The highest value that a quorum has reached; for match indexes: what may be committed. */
export function quorumValue(
  configuration: Configuration,
  reached: (peer: PeerId) => number,
): number {
  assert(configuration.voters.length > 0, 'raft: a quorum of nobody decides nothing');
  return Math.min(
    majorityValue(configuration.voters, reached),
    majorityValue(configuration.outgoing, reached),
  );
}

/** Do the peers for which `holds` is true form a quorum? */
export function hasQuorum(configuration: Configuration, holds: (peer: PeerId) => boolean): boolean {
  if (configuration.voters.length === 0) return false;
  return quorumValue(configuration, (peer) => (holds(peer) ? 1 : 0)) === 1;
}

export type VoteOutcome = 'won' | 'lost' | 'open';

/** `votes`: true granted, false refused, absent not heard. */
export function voteOutcome(
  configuration: Configuration,
  votes: ReadonlyMap<PeerId, boolean>,
): VoteOutcome {
  if (hasQuorum(configuration, (peer) => votes.get(peer) === true)) return 'won';
  const isOpen = hasQuorum(configuration, (peer) => votes.get(peer) !== false);
  return isOpen ? 'open' : 'lost';
}

/** The joint configuration that leads from `current` to the wanted one. */
export function enterJoint(
  current: Configuration,
  voters: readonly PeerId[],
  learners: readonly PeerId[],
  witnesses: readonly PeerId[] = [],
): Configuration {
  assert(!isJoint(current), 'raft: one membership change at a time');
  const both = [...witnesses, ...current.witnesses];
  return configurationOf(voters, learners, current.voters, both);
}

export function leaveJoint(joint: Configuration): Configuration {
  return configurationOf(joint.voters, joint.learners, [], joint.witnesses);
}

/** Configurations by the index of their entry: the last one is in force, a truncation takes it back. */
export class ConfigurationHistory {
  #steps: { index: number; configuration: Configuration }[];

  constructor(index: number, configuration: Configuration) {
    this.#steps = [{ index, configuration }];
  }

  get current(): Configuration {
    return this.#steps[this.#steps.length - 1]?.configuration ?? EMPTY_CONFIGURATION;
  }

  /** Index of the entry that brought the current configuration. */
  get currentIndex(): number {
    return this.#steps[this.#steps.length - 1]?.index ?? 0;
  }

  at(index: number): Configuration {
    const step = this.#steps[this.#positionAt(index)];
    assert(step !== undefined, 'raft: the configuration at a kept index is known', { index });
    return step.configuration;
  }

  push(index: number, configuration: Configuration): void {
    assert(index > this.currentIndex, 'raft: configurations follow the log', { index });
    this.#steps.push({ index, configuration });
  }

  /** Returns whether the current configuration changed. */
  truncateFrom(index: number): boolean {
    const before = this.#steps.length;
    this.#steps = this.#steps.filter((step, i) => i === 0 || step.index < index);
    return this.#steps.length !== before;
  }

  /** Forgets what nobody below `index` needs any more. */
  compactThrough(index: number): void {
    const first = this.#positionAt(index);
    if (first > 0) this.#steps.splice(0, first);
  }

  reset(index: number, configuration: Configuration): void {
    this.#steps = [{ index, configuration }];
  }

  /** Position of the step in force at `index`, or -1. */
  #positionAt(index: number): number {
    let at = this.#steps.length - 1;
    while (at >= 0 && this.#steps[at]!.index > index) at -= 1;
    return at;
  }
}
