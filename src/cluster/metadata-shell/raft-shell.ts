// The shell around the Raft core on a node's main thread: obeys each Ready (write, send, apply), wakes the
// core at its deadlines, and turns proposals into promises. It knows no command: a machine applies bytes.
// Invariant: a proposal resolves `done` only when its very entry (index and term) was applied here.
import type { System } from '../../actors/system.ts';
import type { Deadline } from '../../actors/timers.ts';
import type { Configuration, Snapshot } from '../../raft/index.ts';
import {
  configurationOf,
  createRaft,
  type Entry,
  hasQuorum,
  isWitness,
  nodeOfPeer,
  type PeerId,
  type RaftConfig,
  type RaftCore,
  type RaftInput,
  type RaftMessage,
  type RaftStatus,
  type Ready,
} from '../../raft/index.ts';
import type { StoredLog } from '../../storage/api.ts';
import { type ProposeAnswer, UNAVAILABLE } from './metadata-protocol.ts';
import type { Refused } from './metadata-replica.ts';
import { RaftStore } from './raft-store.ts';

const COMPACT_ENTRIES = 1000;
const STATE_POLL_MS = 10;
/** A state that is not durable by then is put again: most likely the disk was full. */
const STATE_RETRY_MS = 500;
const HAND_OVER_POLL_MS = 5;
/**
 * A peer that starts asks for votes this often, this many times, and each rank of the voters this much
 * later than the one before: in a cluster that starts as a whole nobody waits for a timeout to pass.
 */
const CAMPAIGN_MS = 120;
const CAMPAIGNS = 10;
const CAMPAIGN_RANK_MS = 40;

/** What the log of metadata drives. */
export interface AppliedMachine {
  /** Applies one committed command. Total: an unacceptable command answers a refusal and changes nothing. */
  apply(command: Uint8Array, index: number): Refused | undefined;
  snapshot(): Uint8Array;
  restore(bytes: Uint8Array): void;
  /** Called after a run of entries was applied, once. */
  applied(index: number): void;
  leadershipChanged(controllerId: number, isLeader: boolean): void;
}

export interface RaftShellConfig {
  readonly system: System;
  readonly raft: RaftConfig;
  readonly bootstrap: Configuration;
  readonly stored: StoredLog;
  readonly machine: AppliedMachine;
  send(node: number, message: RaftMessage): void;
  /** A rule of Raft was broken or the disk failed: the node must end. */
  onFatal(error: Error): void;
}

interface Proposal {
  readonly resolve: (answer: ProposeAnswer) => void;
  index: number;
  term: number;
}

export class RaftShell {
  readonly #config: RaftShellConfig;
  readonly #store: RaftStore;
  #core: RaftCore | undefined;
  #requestId = 1;
  readonly #proposals = new Map<number, Proposal>();
  readonly #byIndex = new Map<number, Proposal>();
  #deadline: Deadline | undefined;
  #appliedIndex = 0;
  #compactedIndex = 0;
  #controllerId = -1;
  #isLeader = false;
  #isStopped = false;
  #isPumping = false;
  /** It takes no part in the group: it hears nothing, votes for nobody, answers nobody. */
  #isHeld = false;
  readonly #inputs: RaftInput[] = [];

  constructor(config: RaftShellConfig) {
    this.#config = config;
    this.#store = new RaftStore(config.stored, (attempt) =>
      this.#step({ kind: 'persisted', attempt }),
    );
  }

  get isNew(): boolean {
    return this.#store.isEmpty;
  }

  get controllerId(): number {
    return this.#controllerId;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Another node leads, as far as is known, and was heard within the time of an election. */
  get hearsLeader(): boolean {
    const status = this.#core?.status;
    if (status === undefined || this.#controllerId < 0 || this.#isLeader) return false;
    const { system, raft } = this.#config;
    return system.clock.monotonicMs() - status.leaderHeardMs < raft.electionTimeoutMs;
  }

  /** A leader that has a quorum, as far as can be known here, gave a sign of life in that time. */
  hasQuorumWithin(timeMs: number): boolean {
    const status = this.#core?.status;
    if (status === undefined || this.#isHeld || this.#controllerId < 0) return false;
    const sinceMs = this.#config.system.clock.monotonicMs() - timeMs;
    if (!this.#isLeader) return status.leaderHeardMs >= sinceMs;
    const { self } = this.#config.raft;
    return hasQuorum(status.configuration, (peer) => {
      return peer === self || (status.progress.get(peer)?.lastHeardMs ?? -1) >= sinceMs;
    });
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** It leads, and its own no-op is committed: asked for with every entry that is applied. */
  get isReady(): boolean {
    return this.#core?.isReady === true;
  }

  get status(): RaftStatus | undefined {
    return this.#core?.status;
  }

  /** For simulations: what its peer of the group holds now; undefined while it takes no part. */
  look(): (RaftStatus & { peer: number; termAt(index: number): number | undefined }) | undefined {
    const core = this.#core;
    if (core === undefined || this.#isHeld) return undefined;
    const termAt = (index: number) => core.termAt(index);
    return { ...core.status, peer: this.#config.raft.self, termAt };
  }

  /**
   * Recovers, and takes part unless `isHeld`: then `release` begins that, at once where nobody else votes unless
   * what it remembers `isLost`. The first entries are applied before this resolves if they are known.
   */
  async start(isHeld = false, isLost = false): Promise<void> {
    const { raft, bootstrap, system, machine } = this.#config;
    const { hardState, snapshot, entries } = await this.#store.recover();
    // What a witness keeps has no image.
    if (snapshot !== undefined && raft.isWitness !== true) this.#install(snapshot);
    const initial = { hardState, configuration: bootstrap, entries };
    this.#core = createRaft(
      raft,
      snapshot === undefined ? initial : { ...initial, snapshot },
      system.random.fork('raft'),
      system.clock.monotonicMs(),
    );
    machine.applied(this.#appliedIndex);
    this.#isHeld = isLost || (isHeld && this.#hasOtherVoters());
    if (this.#isHeld) this.#pump();
    else this.release();
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  #hasOtherVoters(): boolean {
    const { self } = this.#config.raft;
    return this.membership()?.voters.some((voter) => voter !== self) ?? false;
  }

  /** From now on it takes part. */
  release(): void {
    this.#isHeld = false;
    this.#step({ kind: 'tick' });
    this.#campaign();
  }

  /** The link to the leader ended: most likely its process did. */
  leaderLost(): void {
    this.#step({ kind: 'leader-lost' });
    this.#campaign();
  }

  #campaign(): void {
    const { raft, system } = this.#config;
    const rank = this.membership()?.voters.indexOf(raft.self) ?? -1;
    if (rank < 0) return;
    let left = CAMPAIGNS;
    const attempt = () => {
      if (this.#isStopped || this.#controllerId >= 0) return;
      this.#step({ kind: 'campaign' });
      left -= 1;
      if (left > 0) system.deadlines.after(CAMPAIGN_MS, attempt);
    };
    if (rank === 0) attempt();
    else system.deadlines.after(rank * CAMPAIGN_RANK_MS, attempt);
  }

  // ---- Inputs -------------------------------------------------------------------------------------

  receive(message: RaftMessage): void {
    this.#step({ kind: 'message', message });
  }

  /** Only useful on the leader; elsewhere answers 'not-leader' at once. */
  propose(command: Uint8Array): Promise<ProposeAnswer> {
    if (this.#core === undefined || this.#isStopped || this.#isHeld)
      return Promise.resolve(UNAVAILABLE);
    const requestId = this.#requestId;
    this.#requestId += 1;
    return new Promise((resolve) => {
      this.#proposals.set(requestId, { resolve, index: 0, term: 0 });
      this.#step({ kind: 'propose', requestId, data: command });
    });
  }

  /** The whole wanted membership; answered like a proposal. `witnesses`: of all of them; absent: those that are stay. */
  changeMembership(
    voters: readonly number[],
    learners: readonly number[],
    witnesses?: readonly number[],
  ): Promise<ProposeAnswer> {
    if (this.#core === undefined || this.#isStopped || this.#isHeld)
      return Promise.resolve(UNAVAILABLE);
    const requestId = this.#requestId;
    this.#requestId += 1;
    return new Promise((resolve) => {
      this.#proposals.set(requestId, { resolve, index: 0, term: 0 });
      const whole = { voters, learners, ...(witnesses === undefined ? {} : { witnesses }) };
      this.#step({ kind: 'change-membership', requestId, ...whole });
    });
  }

  /**
   * Gives the leadership, if it has it, to the member that has most of the log. True if somebody else is known to
   * lead within the time; else the group finds a leader by itself, as after a crash.
   */
  async handOver(timeoutMs: number): Promise<boolean> {
    const { deadlines, clock } = this.#config.system;
    const untilMs = clock.monotonicMs() + timeoutMs;
    const tried = new Set<PeerId>();
    while (this.#isLeader && !this.#isStopped && clock.monotonicMs() < untilMs) {
      let heir = this.#heir(tried);
      if (heir === undefined) {
        tried.clear();
        heir = this.#heir(tried);
      }
      if (heir === undefined) return false;
      tried.add(heir);
      const requestId = this.#requestId;
      this.#requestId += 1;
      this.#step({ kind: 'transfer', requestId, target: heir });
      const { electionTimeoutMs } = this.#config.raft;
      const heirUntilMs = Math.min(untilMs, clock.monotonicMs() + electionTimeoutMs);
      while (!this.#isHandedOver() && !this.#isStopped && clock.monotonicMs() < heirUntilMs) {
        await new Promise<void>((resolve) => deadlines.after(HAND_OVER_POLL_MS, () => resolve()));
      }
    }
    return this.#isHandedOver();
  }

  #isHandedOver(): boolean {
    return !this.#isLeader && this.#controllerId >= 0;
  }

  /** Of the others that may lead and answer, the one with most of the log. */
  #heir(tried: ReadonlySet<PeerId>): PeerId | undefined {
    const status = this.#core?.status;
    if (status === undefined) return undefined;
    const { raft, system } = this.#config;
    const { configuration, progress } = status;
    const sinceMs = system.clock.monotonicMs() - raft.electionTimeoutMs;
    let best: PeerId | undefined;
    for (const peer of configuration.voters) {
      const { lastHeardMs = Number.NEGATIVE_INFINITY, match = 0 } = progress.get(peer) ?? {};
      const isFit = lastHeardMs >= sinceMs && !tried.has(peer) && !isWitness(configuration, peer);
      if (!isFit) continue;
      if (best === undefined || match > (progress.get(best)?.match ?? 0)) best = peer;
    }
    return best;
  }

  /** The store made something durable. */
  durable(): void {
    this.#store.poll();
  }

  stateWanted(): { seq: number; bytes: Uint8Array } | undefined {
    return this.#store.stateWanted();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#deadline !== undefined) this.#config.system.deadlines.cancel(this.#deadline);
    for (const proposal of this.#proposals.values()) proposal.resolve(UNAVAILABLE);
    for (const proposal of this.#byIndex.values()) proposal.resolve(UNAVAILABLE);
    this.#proposals.clear();
    this.#byIndex.clear();
  }

  // ---- The core -----------------------------------------------------------------------------------

  /** Obeying a Ready may lead to new inputs: they wait until the whole Ready is obeyed. */
  #step(input: RaftInput): void {
    if (this.#core === undefined || this.#isStopped) return;
    // What the store has to say is part of the start.
    if (this.#isHeld && input.kind !== 'persisted') return;
    this.#inputs.push(input);
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        this.#core.step(next, this.#config.system.clock.monotonicMs());
        this.#pump();
        if (this.#isStopped) return;
      }
    } catch (error) {
      this.stop();
      this.#config.onFatal(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#isPumping = false;
    }
  }

  #pump(): void {
    const core = this.#core;
    if (core === undefined) return;
    for (let ready = core.takeReady(); ready !== undefined; ready = core.takeReady()) {
      this.#obey(core, ready);
      if (this.#isStopped) return;
    }
    this.#compactIfLong(core);
    this.#arm(core);
    this.#config.system.turn.request();
  }

  #obey(core: RaftCore, ready: Ready): void {
    if (ready.write !== undefined) {
      this.#store.write(ready.write);
      if (ready.write.snapshot !== undefined) this.#pollState();
    }
    for (const message of ready.messages) this.#config.send(nodeOfPeer(message.to), message);
    if (ready.soft !== undefined) this.#softChanged(ready.soft);
    for (const { requestId, index, term } of ready.accepted) {
      const proposal = this.#proposals.get(requestId);
      if (proposal === undefined) continue;
      this.#proposals.delete(requestId);
      proposal.index = index;
      proposal.term = term;
      this.#byIndex.set(index, proposal);
    }
    for (const { requestId, reason } of ready.refusals) {
      const proposal = this.#proposals.get(requestId);
      this.#proposals.delete(requestId);
      const kind = reason === 'not-leader' ? 'not-leader' : 'unavailable';
      const code = `RAFT_${reason.toUpperCase().replaceAll('-', '_')}`;
      proposal?.resolve({
        kind,
        index: 0,
        code,
        message: `the metadata group answered: ${reason}`,
        difference: undefined,
      });
    }
    if (ready.install !== undefined) {
      this.#install(ready.install);
      core.step(
        { kind: 'applied', index: ready.install.index },
        this.#config.system.clock.monotonicMs(),
      );
      this.#config.machine.applied(this.#appliedIndex);
    }
    if (ready.committed.length > 0) {
      for (const entry of ready.committed) this.#apply(entry);
      core.step(
        { kind: 'applied', index: this.#appliedIndex },
        this.#config.system.clock.monotonicMs(),
      );
      this.#config.machine.applied(this.#appliedIndex);
    }
  }

  #softChanged(soft: { readonly role: string; readonly leader: number }): void {
    const controllerId = soft.leader === 0 ? -1 : nodeOfPeer(soft.leader);
    const isLeader = soft.role === 'leader';
    if (controllerId === this.#controllerId && isLeader === this.#isLeader) return;
    this.#controllerId = controllerId;
    this.#isLeader = isLeader;
    if (!isLeader) {
      // Entries may still commit under the next leader: the outcome of these is unknown.
      for (const proposal of this.#byIndex.values()) proposal.resolve(UNAVAILABLE);
      this.#byIndex.clear();
    }
    this.#config.machine.leadershipChanged(controllerId, isLeader);
  }

  #install(snapshot: Snapshot): void {
    // Whoever is told of the new image asks what it holds.
    this.#appliedIndex = snapshot.index;
    this.#compactedIndex = snapshot.index;
    this.#config.machine.restore(snapshot.data);
  }

  #apply(entry: Entry): void {
    this.#appliedIndex = entry.index;
    const proposal = this.#byIndex.get(entry.index);
    this.#byIndex.delete(entry.index);
    const refusal =
      entry.kind === 'command' ? this.#config.machine.apply(entry.data, entry.index) : undefined;
    if (proposal === undefined) return;
    if (proposal.term !== entry.term) {
      proposal.resolve({ ...UNAVAILABLE, message: 'another leader took the place of this change' });
    } else if (refusal !== undefined) {
      proposal.resolve({ kind: 'refused', index: entry.index, ...refusal });
    } else {
      const nothing = { code: '', message: '', difference: undefined };
      proposal.resolve({ kind: 'done', index: entry.index, ...nothing });
    }
  }

  #compactIfLong(core: RaftCore): void {
    if (this.#appliedIndex - this.#compactedIndex < COMPACT_ENTRIES) return;
    this.#compactedIndex = this.#appliedIndex;
    const data = this.#config.machine.snapshot();
    core.step(
      { kind: 'compact', index: this.#appliedIndex, data },
      this.#config.system.clock.monotonicMs(),
    );
    for (let ready = core.takeReady(); ready !== undefined; ready = core.takeReady()) {
      this.#obey(core, ready);
    }
  }

  /** A large state goes to a file of its own, whose end nobody announces. */
  #pollState(waitedMs = 0): void {
    this.#config.system.deadlines.after(STATE_POLL_MS, () => {
      if (this.#isStopped) return;
      this.#store.poll();
      if (!this.#store.isWaitingForState) return;
      const isRetry = waitedMs >= STATE_RETRY_MS;
      if (isRetry) this.#store.putAgain();
      this.#pollState(isRetry ? 0 : waitedMs + STATE_POLL_MS);
    });
  }

  #arm(core: RaftCore): void {
    const { system } = this.#config;
    if (this.#deadline !== undefined) system.deadlines.cancel(this.#deadline);
    this.#deadline = undefined;
    if (this.#isHeld || !Number.isFinite(core.deadlineMs)) return;
    const delayMs = Math.max(0, core.deadlineMs - system.clock.monotonicMs());
    this.#deadline = system.deadlines.after(delayMs, () => {
      this.#deadline = undefined;
      this.#step({ kind: 'tick' });
    });
  }

  /** Voters and learners as this node knows them. */
  membership(): Configuration | undefined {
    const status = this.#core?.status;
    return status === undefined ? undefined : status.configuration;
  }
}

export { configurationOf };
