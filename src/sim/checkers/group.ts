// Online invariants of the metadata group, fed by probes that copy a few numbers out of each peer. Shares no code with
// what it checks:
//   two-leaders     at most one peer leads in one term
//   vote            a peer has one vote a term on its disk, for ever, whatever it has been through
//   committed       one term at one committed index, on every peer
//   lacks-committed who leads has everything that was committed in earlier terms
//   acknowledged    a follower has on disk what its leader counts it for
//   few-disks       what a leader has committed is on the disks of a majority of the voters
//   old-term        a leader commits by counting nothing but entries of its own term, and what is below them
import type { Violation } from '../scenario.ts';

/** A peer at one moment. Methods answer about that moment only. */
export interface PeerProbe {
  readonly node: string;
  /** Changes with every start of the process. */
  readonly life: number;
  /** Names the data of the node as well: another one after a loss. */
  readonly peer: number;
  readonly role: string;
  readonly term: number;
  readonly commit: number;
  readonly lastIndex: number;
  readonly durableIndex: number;
  readonly durableTerm: number;
  /** 0: for nobody. */
  readonly durableVote: number;
  readonly configuration: {
    readonly voters: readonly number[];
    readonly outgoing: readonly number[];
  };
  /** Leader only: up to where each peer is taken to have everything on its disk. */
  readonly progress: ReadonlyMap<number, { readonly match: number }>;
  /** Undefined above the end, and where it is compacted. */
  termAt(index: number): number | undefined;
}

interface Committed {
  readonly term: number;
  readonly node: string;
  /** The term of the peer on which it was seen first. */
  readonly seenIn: number;
}

interface LifeMemory {
  checked: number;
  /** The term in which it led when it was looked at last, or -1, and its commit then. */
  ledIn: number;
  commit: number;
}

export class GroupChecker {
  readonly #leaders = new Map<number, string>();
  readonly #votes = new Map<string, number>();
  readonly #committed = new Map<number, Committed>();
  readonly #lives = new Map<string, LifeMemory>();

  /** Entries that were seen committed: a checker that saw nothing has proven nothing. */
  get entriesChecked(): number {
    return this.#committed.size;
  }

  observe(probes: readonly PeerProbe[]): Violation | undefined {
    for (const probe of probes) {
      const violation = this.#vote(probe) ?? this.#committedOf(probe) ?? this.#leader(probe);
      if (violation !== undefined) return violation;
    }
    for (const leader of probes) {
      if (leader.role !== 'leader') continue;
      const violation = acknowledged(leader, probes) ?? fewDisks(leader, probes);
      if (violation !== undefined) return violation;
    }
    return undefined;
  }

  #vote({ node, peer, durableTerm, durableVote }: PeerProbe): Violation | undefined {
    const key = `${peer}/${durableTerm}`;
    const known = this.#votes.get(key);
    if (known === undefined) {
      if (durableVote !== 0) this.#votes.set(key, durableVote);
      return undefined;
    }
    if (known === durableVote) return undefined;
    const then = durableVote === 0 ? 'knows nothing of it' : `for ${durableVote}`;
    return broken('vote', `${node} voted in term ${durableTerm} for ${known}, then ${then}`);
  }

  #committedOf(probe: PeerProbe): Violation | undefined {
    const { node, commit, term } = probe;
    const life = this.#life(probe);
    for (let index = life.checked + 1; index <= commit; index += 1) {
      const here = probe.termAt(index);
      if (here === undefined) continue;
      const known = this.#committed.get(index);
      if (known === undefined) {
        this.#committed.set(index, { term: here, node, seenIn: term });
      } else if (known.term !== here) {
        const two = `term ${known.term} on ${known.node}, term ${here} on ${node}`;
        return broken('committed', `index ${index}: ${two}`);
      }
    }
    life.checked = Math.max(life.checked, commit);
    return undefined;
  }

  #leader(probe: PeerProbe): Violation | undefined {
    const life = this.#life(probe);
    const { node, term, commit, role } = probe;
    const { ledIn, commit: before } = life;
    life.ledIn = role === 'leader' ? term : -1;
    life.commit = commit;
    if (role !== 'leader') return undefined;
    // A restarted process leads in another term.
    const who = `${node}/${probe.life}`;
    const known = this.#leaders.get(term);
    this.#leaders.set(term, known ?? who);
    if (known !== undefined && known !== who) {
      return broken('two-leaders', `term ${term}: ${known} and ${who}`);
    }
    if (ledIn !== term) return this.#complete(probe);
    const newest = probe.termAt(commit);
    if (commit > before && newest !== undefined && newest < term) {
      return broken('old-term', `${node} leads in term ${term} and commits ${commit} of ${newest}`);
    }
    return undefined;
  }

  /** What it does not have any more is in its snapshot. */
  #complete({ node, term, lastIndex, termAt }: PeerProbe): Violation | undefined {
    for (const [index, committed] of this.#committed) {
      if (committed.seenIn >= term) continue;
      const here = index > lastIndex ? 0 : (termAt(index) ?? committed.term);
      if (here === committed.term) continue;
      const has = here === 0 ? 'nothing' : `an entry of term ${here}`;
      const what = `${index} of term ${committed.term}`;
      return broken('lacks-committed', `${node} leads in term ${term}, has ${has} for ${what}`);
    }
    return undefined;
  }

  #life(probe: PeerProbe): LifeMemory {
    const key = `${probe.node}/${probe.life}`;
    let life = this.#lives.get(key);
    if (life === undefined) {
      life = { checked: 0, ledIn: -1, commit: 0 };
      this.#lives.set(key, life);
    }
    return life;
  }
}

/** Messages take time: a leader may know less than is true of a follower in its term, and never more. */
function acknowledged(leader: PeerProbe, probes: readonly PeerProbe[]): Violation | undefined {
  for (const { node, peer, term, durableIndex } of probes) {
    const match = leader.progress.get(peer)?.match ?? 0;
    if (term !== leader.term || match <= durableIndex) continue;
    const claim = `${leader.node} counts ${node} for ${match}, durable is ${durableIndex}`;
    return broken('acknowledged', `term ${term}: ${claim}`);
  }
  return undefined;
}

/** Who is not there to be looked at may hold it. */
function fewDisks(leader: PeerProbe, probes: readonly PeerProbe[]): Violation | undefined {
  const { commit, configuration } = leader;
  const { voters, outgoing } = configuration;
  const term = leader.termAt(commit);
  if (outgoing.length > 0 || term === undefined) return undefined;
  const holders = voters.filter((voter) => {
    const probe = probes.find(({ peer }) => peer === voter);
    if (probe === undefined) return true;
    return probe.durableIndex >= commit && (probe.termAt(commit) ?? term) === term;
  });
  if (holders.length * 2 > voters.length) return undefined;
  const where = `${holders.length} of ${voters.length} disks`;
  return broken('few-disks', `${leader.node} has committed ${commit}, which is on ${where}`);
}

function broken(rule: string, message: string): Violation {
  return { check: `group/${rule}`, message };
}
