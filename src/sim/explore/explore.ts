// Visits every state that three peers can come to within bounds, breadth first, so that the first history that breaks a
// rule is a shortest one. Messages are delivered in any order, once or (within a bound) twice, or never; what a disk has
// not finished is lost by a crash, from any write on. Mirror images are one state.
//
// Two states are taken for one when 64 bits of hash of their names agree: among ten million states the chance that any
// two are taken for one wrongly is below one in 100,000.
import type { RaftFaults } from '../../raft/index.ts';
import { nameOfMessage, RENAMINGS, renamed } from './encoding.ts';
import {
  BrokenRuleError,
  firstGhost,
  type Ghost,
  nameOfGhost,
  observed,
  replaced,
} from './ghost.ts';
import type { Input } from './life.ts';
import { type Peer, Peers, renamingsOf, type Sent, type Step } from './peers.ts';
import { Visited } from './visited.ts';

/** How far an exploration goes. Counts are for the whole of a history. */
export interface Bounds {
  readonly terms: number;
  /** Commands that leaders append, besides the entry that opens each term. */
  readonly commands: number;
  readonly crashes: number;
  /**
   * Messages that are on their way from one peer to another at a time; what is sent beyond that is lost. Within it
   * messages are lost and overtake each other at will.
   */
  readonly inFlight: number;
  /** Messages that arrive twice. */
  readonly duplicates: number;
  readonly heartbeats: number;
  readonly reads: number;
  readonly shrinks: number;
  readonly hasWitness: boolean;
  /** Writes are done at once; else they are acts of their own, and a crash may come first. */
  readonly isDiskInstant: boolean;
}

export const NO_BOUNDS: Bounds = {
  terms: 1,
  commands: 0,
  crashes: 0,
  inFlight: 2,
  duplicates: 0,
  heartbeats: 0,
  reads: 0,
  shrinks: 0,
  hasWitness: false,
  isDiskInstant: false,
};

export interface Explored {
  readonly states: number;
  /** Acts tried, from all of them. */
  readonly acts: number;
  /** The longest of the shortest histories. */
  readonly depth: number;
  /** States in which something is committed. */
  readonly commits: number;
  /** Different states of single peers, and steps of cores. */
  readonly peers: number;
  readonly steps: number;
  /** False when the limit of states ended it. */
  readonly isComplete: boolean;
  readonly broken: string | undefined;
  /** The history that breaks a rule. */
  readonly history: readonly string[];
}

const SPENT = ['commands', 'crashes', 'duplicates', 'heartbeats', 'reads', 'shrinks'] as const;
type Spent = (typeof SPENT)[number];

interface State {
  readonly peers: readonly [Peer, Peer, Peer];
  /** Messages that are on their way, ascending; the same one may be there twice. */
  readonly messages: readonly number[];
  readonly ghost: number;
  readonly spent: readonly number[];
  readonly from: State | undefined;
  readonly act: string;
}

/** `onLevel` hears of progress: how deep, and how many states so far. */
export function explore(
  bounds: Bounds,
  options: {
    readonly faults?: RaftFaults;
    readonly statesMax?: number;
    /** Without it no history is kept, and memory suffices for more states. */
    readonly keepsHistory?: boolean;
    readonly onLevel?: (depth: number, states: number, wide: number) => void;
  } = {},
): Explored {
  return new Exploration(bounds, options.faults, options.keepsHistory ?? false).run(
    options.statesMax ?? Number.POSITIVE_INFINITY,
    options.onLevel,
  );
}

class Exploration {
  readonly #bounds: Bounds;
  readonly #obeysOldTerms: boolean;
  readonly #keepsHistory: boolean;
  readonly #peers: Peers;
  readonly #renamings: readonly number[];
  readonly #ghosts: Ghost[] = [];
  readonly #ghostIds = new Map<string, number>();
  readonly #ghostNames: number[][] = [];
  readonly #visited = new Visited();
  #next: State[] = [];
  #acts = 0;
  #commits = 0;

  constructor(bounds: Bounds, faults: RaftFaults | undefined, keepsHistory: boolean) {
    this.#bounds = bounds;
    this.#keepsHistory = keepsHistory;
    this.#obeysOldTerms = faults?.trustOldTerms === true;
    const { hasWitness, isDiskInstant } = bounds;
    this.#peers = new Peers({ hasWitness, isDiskInstant, faults });
    this.#renamings = renamingsOf(hasWitness);
  }

  run(
    statesMax: number,
    onLevel: ((depth: number, states: number, wide: number) => void) | undefined,
  ): Explored {
    const peers = [0, 1, 2].map((node) => this.#peers.first(node));
    this.#visit({
      peers: [peers[0]!, peers[1]!, peers[2]!],
      messages: [],
      ghost: this.#ghost(firstGhost(this.#bounds.terms)),
      spent: SPENT.map(() => 0),
      from: undefined,
      act: 'start',
    });
    let depth = 0;
    for (;;) {
      const level = this.#next;
      if (level.length === 0) return this.#explored(depth - 1, true);
      onLevel?.(depth, this.#visited.count, level.length);
      this.#next = [];
      for (const state of level) {
        if (this.#visited.count >= statesMax) return this.#explored(depth, false);
        try {
          this.#expand(state);
        } catch (error) {
          if (!(error instanceof BrokenRuleError)) throw error;
          return { ...this.#explored(depth, false), ...this.#broken(state, error.message) };
        }
      }
      depth += 1;
    }
  }

  #explored(depth: number, isComplete: boolean): Explored {
    return {
      states: this.#visited.count,
      acts: this.#acts,
      depth,
      commits: this.#commits,
      peers: this.#peers.count,
      steps: this.#peers.steps,
      isComplete,
      broken: undefined,
      history: [],
    };
  }

  #broken(last: State, broken: string): Pick<Explored, 'broken' | 'history'> {
    const history = [`${this.#trying}: ${broken}`];
    for (let state: State | undefined = last; state !== undefined; state = state.from) {
      history.push(state.act);
    }
    return { broken, history: history.reverse() };
  }

  // ---- acts ------------------------------------------------------------------------------------

  #trying = '';

  #expand(state: State): void {
    const { bounds } = this;
    for (const peer of state.peers) {
      const { view } = peer;
      if (view.pending > 0) this.#input(state, peer, { kind: 'persisted' });
      if (view.role !== 'leader' && view.term < bounds.terms) {
        this.#input(state, peer, { kind: 'campaign' });
      }
      if (view.role === 'leader') {
        const command = state.spent[SPENT.indexOf('commands')]!;
        this.#input(state, peer, { kind: 'propose', command }, 'commands');
        this.#input(state, peer, { kind: 'heartbeat' }, 'heartbeats');
        this.#input(state, peer, { kind: 'read' }, 'reads');
        this.#input(state, peer, { kind: 'shrink' }, 'shrinks');
      }
      this.#crash(state, peer);
    }
    state.messages.forEach((id, at) => {
      if (id === state.messages[at - 1]) return;
      const left = [...state.messages.slice(0, at), ...state.messages.slice(at + 1)];
      this.#deliver(state, id, left);
      this.#lose(state, id, left);
      if (this.#mayStill(state, 'duplicates')) this.#deliver(state, id, state.messages, true);
    });
  }

  get bounds(): Bounds {
    return this.#bounds;
  }

  #mayStill(state: State, what: Spent): boolean {
    return state.spent[SPENT.indexOf(what)]! < this.#bounds[what];
  }

  #input(state: State, peer: Peer, input: Input, spends?: Spent): void {
    if (spends !== undefined && !this.#mayStill(state, spends)) return;
    this.#trying = `${input.kind} at ${peer.node}`;
    this.#go(state, peer, this.#peers.step(peer, input), state.messages, spends);
  }

  /** Of what is on its way to the disk any first part is there in the end. */
  #crash(state: State, peer: Peer): void {
    if (!this.#mayStill(state, 'crashes')) return;
    for (let kept = 0; kept <= peer.view.pending; kept += 1) {
      this.#trying = `crash of ${peer.node}, ${kept} of ${peer.view.pending} writes kept`;
      this.#go(state, peer, this.#peers.crash(peer, kept), state.messages, 'crashes');
    }
  }

  /** To make room for others: where there is room, a message that never arrives is as good as lost. */
  #lose(state: State, id: number, left: readonly number[]): void {
    const lost = this.#peers.message(id);
    if (!this.#isFull(lost, state.messages)) return;
    this.#acts += 1;
    const act = this.#keepsHistory ? `lost: ${nameOfMessage(lost.message, RENAMINGS[0]!)}` : '';
    this.#visit({ ...state, messages: left, from: this.#keepsHistory ? state : undefined, act });
  }

  #deliver(state: State, id: number, left: readonly number[], isTwice = false): void {
    const sent = this.#peers.message(id);
    const peer = state.peers[sent.to]!;
    if (this.#keepsHistory) {
      const once = isTwice ? ', and stays' : '';
      this.#trying = `arrives${once}: ${nameOfMessage(sent.message, RENAMINGS[0]!)}`;
    }
    this.#go(state, peer, this.#peers.receive(peer, id), left, isTwice ? 'duplicates' : undefined);
  }

  #go(state: State, before: Peer, step: Step, left: readonly number[], spends?: Spent): void {
    this.#acts += 1;
    const { node } = before;
    const peers = replaced(state.peers, node, step.peer) as unknown as State['peers'];
    const sent = step.sent.map((id) => this.#peers.message(id));
    const isRead = spends === 'reads';
    const known = this.#ghosts[state.ghost]!;
    const asked = isRead ? { ...known, readFloor: known.committed.length } : known;
    const ghost = observed(
      asked,
      before,
      peers,
      step,
      { isCrash: spends === 'crashes', isMajorityKnown: this.#bounds.shrinks === 0 },
      sent,
    );
    const at = spends === undefined ? -1 : SPENT.indexOf(spends);
    this.#visit({
      peers,
      messages: this.#live(peers, this.#sent(left, step.sent)),
      ghost: ghost === known ? state.ghost : this.#ghost(ghost),
      spent: at < 0 ? state.spent : replaced(state.spent, at, state.spent[at]! + 1),
      from: this.#keepsHistory ? state : undefined,
      act: this.#keepsHistory ? this.#trying : '',
    });
  }

  #sent(messages: readonly number[], sent: readonly number[]): readonly number[] {
    let all = messages;
    for (const id of sent) if (!this.#isFull(this.#peers.message(id), all)) all = [...all, id];
    return all;
  }

  #isFull({ from, to }: Sent, messages: readonly number[]): boolean {
    let count = 0;
    for (const id of messages) {
      const other = this.#peers.message(id);
      if (other.from === from && other.to === to) count += 1;
    }
    return count >= this.#bounds.inFlight;
  }

  /** Without those that can change nothing any more, whenever they arrive. */
  #live(peers: State['peers'], messages: readonly number[]): number[] {
    return messages
      .filter((id) => !this.#isDead(peers, this.#peers.message(id)))
      .sort((a, b) => a - b);
  }

  #isDead(peers: State['peers'], { from, to, message }: Sent): boolean {
    const { view } = peers[to]!;
    const { term, kind } = message;
    if (kind.endsWith('-response')) {
      if (term < view.term) return true;
      // Nobody becomes a candidate or a leader of a term in which it was asked for an answer before.
      const wanted = kind === 'vote-response' ? 'candidate' : 'leader';
      return term === view.term && view.role !== wanted;
    }
    if (this.#obeysOldTerms) return false;
    // The answer could only tell of a newer term, and who would hear it is in the last one for good.
    return term < view.diskTerm && peers[from]!.view.diskTerm >= this.#bounds.terms;
  }

  // ---- names -----------------------------------------------------------------------------------

  #ghost(ghost: Ghost): number {
    const ids = RENAMINGS.map((names) => {
      const name = nameOfGhost(ghost, names);
      const known = this.#ghostIds.get(name);
      if (known !== undefined) return known;
      this.#ghostIds.set(name, this.#ghostIds.size);
      return this.#ghostIds.size - 1;
    });
    const id = ids[0]!;
    this.#ghosts[id] ??= ghost;
    this.#ghostNames[id] ??= ids;
    return id;
  }

  #visit(state: State): void {
    if (!this.#visited.add(this.#name(state))) return;
    if (this.#ghosts[state.ghost]!.committed.length > 0) this.#commits += 1;
    this.#next.push(state);
  }

  /** The least of the names that its mirror images have. */
  #name(state: State): readonly number[] {
    let least: number[] | undefined;
    for (const renaming of this.#renamings) {
      const names = RENAMINGS[renaming]!;
      const name = [0, 0, 0, this.#ghostNames[state.ghost]![renaming]!];
      for (const peer of state.peers) {
        name[renamed(peer.node, names)] = this.#peers.peerName(peer.id, renaming);
      }
      if (least !== undefined && isBelow(least, name)) continue;
      const messages = state.messages.map((id) => this.#peers.messageName(id, renaming));
      name.push(...messages.sort((a, b) => a - b));
      if (least === undefined || isBelow(name, least)) least = name;
    }
    least!.push(...state.spent);
    return least!;
  }
}

/** By the first number that differs, as far as both go. */
function isBelow(a: readonly number[], b: readonly number[]): boolean {
  const count = Math.min(a.length, b.length);
  for (let i = 0; i < count; i += 1) {
    if (a[i] !== b[i]) return a[i]! < b[i]!;
  }
  return false;
}
