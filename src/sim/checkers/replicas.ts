// Online invariants over all replicas of all logs, fed by probes that copy a few numbers out of each node:
//   one-leader          at most one node leads a log in one epoch
//   chain               one chain value per (log, epoch, seq), cluster-wide
//   committed-prefix    a committed seq holds the same frame on every replica, for ever
//   committed-backwards the committed seq of one life of a replica never falls
//   committed-past-end  nothing is committed beyond a replica's own end
//   acknowledged        a follower has on disk what its leader counts it for
//   safe-set            of the set that metadata counts as many as must have what is committed on disk
//   start-backwards     the start of one life of a replica never falls
//   start-undone        where any replica started once, a leader of a later epoch starts at the earliest
//   state               the replicated state of the metadata after one index is the same on every node
//   log-state           the replicated state of a queue after one frame is the same on every replica
// At rest, when the faults are over and everything is drained:
//   not-converged       the replicas of a log are not copies of one another, do not start at one offset, lack something
//                       from there on, or have not all committed
import type { Violation } from '../scenario.ts';

/** A frame's place in the history of its log. */
export interface FrameMark {
  readonly epoch: number;
  readonly chain: number;
}

/** A replica at one moment. Methods answer about that moment only. */
export interface ReplicaProbe {
  readonly node: string;
  /** Changes with every start of the process that holds the replica. */
  readonly life: number;
  readonly logId: number;
  /** Changes when the replica leaves the node and comes back, with nothing of what it had. */
  readonly tenure?: number;
  /** Epoch in which the replica acts; with `isLeader` the one in which it leads. */
  readonly epoch: number;
  readonly isLeader: boolean;
  readonly committedSeq: number;
  readonly endSeq: number;
  /** Last frame on this replica's disk, and its number and the name of its data in the eyes of leaders. */
  readonly durableSeq?: number;
  readonly number?: number;
  readonly incarnation?: number;
  /** What a leader takes that data of a node to have made durable; undefined where nobody leads. */
  heldBy?(node: number, incarnation: number): number | undefined;
  /** Undefined where the frame is no longer at hand (cut by a snapshot). */
  frameAt(seq: number): FrameMark | undefined;
  /** Where the replica's records start, and the first of them that cannot be read. */
  readonly startOffset?: number;
  /** The same of what an active leader has appended; undefined for others. */
  readonly tipStart?: number | undefined;
  firstHole?(): number | undefined;
  /** After which frame the replicated state is known, and its hash; undefined where nobody asks. */
  readonly applied?: { readonly seq: number; hash(): number } | undefined;
}

/** A node's replicated metadata at one moment. */
export interface StateProbe {
  readonly node: string;
  /** Index in the metadata log of the last command applied. */
  readonly index: number;
  readonly hash: number;
}

/** Who is counted for a log, in the eyes of whoever knows most. */
export interface SetProbe {
  /** So many of them hold each frame that is committed. */
  readonly holders: number;
  readonly members: readonly { readonly node: number; readonly incarnation: number }[];
}

interface LogMemory {
  readonly leaders: Map<number, string>;
  /** Chain by `epoch:seq`. */
  readonly chains: Map<string, { readonly chain: number; readonly node: string }>;
  readonly committed: Map<number, FrameMark & { readonly node: string }>;
  /** Hash of the state after a frame, by `epoch:seq`. */
  readonly states: Map<string, { readonly hash: number; readonly node: string }>;
  /** The highest start that a replica had, and in which epoch it was seen first. */
  start: { readonly offset: number; readonly epoch: number; readonly node: string };
}

interface LifeMemory {
  appliedSeq: number;
  startOffset: number;
  committedSeq: number;
  checkedSeq: number;
}

export class ReplicaChecker {
  readonly #logs = new Map<number, LogMemory>();
  readonly #lives = new Map<string, LifeMemory>();
  readonly #states = new Map<number, { readonly hash: number; readonly node: string }>();
  #frames = 0;
  #compared = 0;

  /** Frames compared so far: a checker that saw nothing has proven nothing. */
  get framesChecked(): number {
    return this.#frames;
  }

  /** States of queues that were compared with what another replica had after the same frame. */
  get statesCompared(): number {
    return this.#compared;
  }

  /** The first violation among the probes of one moment. */
  observe(
    probes: readonly ReplicaProbe[],
    setOf?: (logId: number) => SetProbe | undefined,
  ): Violation | undefined {
    for (const probe of probes) {
      const violation =
        this.#leader(probe) ??
        this.#progress(probe) ??
        this.#starts(probe) ??
        this.#frameChecks(probe) ??
        this.#stateCheck(probe);
      if (violation !== undefined) return violation;
    }
    const claimed = acknowledgedCheck(probes);
    return claimed === undefined && setOf !== undefined ? setCheck(probes, setOf) : claimed;
  }

  observeState(probe: StateProbe): Violation | undefined {
    const first = this.#states.get(probe.index);
    if (first === undefined) {
      this.#states.set(probe.index, { hash: probe.hash, node: probe.node });
      return undefined;
    }
    if (first.hash === probe.hash) return undefined;
    return broken('state', `index ${probe.index}: ${first.node} and ${probe.node} differ`);
  }

  /**
   * At rest: every log is on as many nodes as it is assigned to, one of them leads, all have the same
   * frames, all committed. `assigned`: nodes by log.
   */
  converged(
    probes: readonly ReplicaProbe[],
    assigned: ReadonlyMap<number, number>,
  ): Violation | undefined {
    const logs = new Map<number, ReplicaProbe[]>([...assigned.keys()].map((id) => [id, []]));
    for (const probe of probes) {
      const of = logs.get(probe.logId);
      if (of === undefined) logs.set(probe.logId, [probe]);
      else of.push(probe);
    }
    for (const [logId, of] of logs) {
      const why = unlike(of, assigned.get(logId) ?? 0);
      if (why !== undefined) return broken('not-converged', `log ${logId}: ${why}`);
    }
    return undefined;
  }

  #leader(probe: ReplicaProbe): Violation | undefined {
    if (!probe.isLeader) return undefined;
    const { leaders } = this.#log(probe.logId);
    // A restarted process is another leader: one epoch has one writer.
    const who = `${probe.node}/${probe.life}`;
    const known = leaders.get(probe.epoch);
    leaders.set(probe.epoch, known ?? who);
    if (known === undefined || known === who) return undefined;
    return broken('one-leader', `log ${probe.logId} epoch ${probe.epoch}: ${known} and ${who}`);
  }

  #progress(probe: ReplicaProbe): Violation | undefined {
    const { committedSeq, endSeq } = probe;
    const life = this.#life(probe);
    const before = life.committedSeq;
    life.committedSeq = Math.max(before, committedSeq);
    const who = `log ${probe.logId} on ${probe.node}`;
    if (committedSeq < before) {
      return broken('committed-backwards', `${who}: ${before}, then ${committedSeq}`);
    }
    if (committedSeq > endSeq) {
      return broken('committed-past-end', `${who}: committed ${committedSeq}, end ${endSeq}`);
    }
    return undefined;
  }

  #starts(probe: ReplicaProbe): Violation | undefined {
    const { logId, node, epoch, startOffset = 0, tipStart } = probe;
    const life = this.#life(probe);
    if (startOffset < life.startOffset) {
      const falls = `${life.startOffset}, then ${startOffset}`;
      return broken('start-backwards', `log ${logId} on ${node}: ${falls}`);
    }
    life.startOffset = startOffset;
    const log = this.#log(logId);
    if (startOffset > log.start.offset) log.start = { offset: startOffset, epoch, node };
    const { start } = log;
    if (tipStart === undefined || epoch <= start.epoch || tipStart >= start.offset)
      return undefined;
    const was = `${start.offset} on ${start.node} in epoch ${start.epoch}`;
    return broken('start-undone', `log ${logId}: ${was}, ${tipStart} on ${node} in epoch ${epoch}`);
  }

  #frameChecks(probe: ReplicaProbe): Violation | undefined {
    const log = this.#log(probe.logId);
    const life = this.#life(probe);
    for (let seq = life.checkedSeq + 1; seq <= probe.endSeq; seq += 1) {
      const frame = probe.frameAt(seq);
      if (frame === undefined) continue;
      this.#frames += 1;
      const violation =
        chainCheck(log, probe, seq, frame) ??
        (seq <= probe.committedSeq ? committedCheck(log, probe, seq, frame) : undefined);
      if (violation !== undefined) return violation;
    }
    // What is not committed may be cut and written anew: it is looked at again next time.
    life.checkedSeq = Math.max(life.checkedSeq, probe.committedSeq);
    return undefined;
  }

  /** A leader has applied what may be cut again: a frame is its epoch and its number. */
  #stateCheck({ applied, ...probe }: ReplicaProbe): Violation | undefined {
    const life = this.#life(probe);
    if (applied === undefined || applied.seq === life.appliedSeq) return undefined;
    const frame = probe.frameAt(applied.seq);
    if (frame === undefined) return undefined;
    life.appliedSeq = applied.seq;
    const { states } = this.#log(probe.logId);
    const key = `${frame.epoch}:${applied.seq}`;
    const known = states.get(key);
    const { node } = probe;
    if (known === undefined) {
      states.set(key, { hash: applied.hash(), node });
      return undefined;
    }
    if (known.node === node) return undefined;
    this.#compared += 1;
    if (known.hash === applied.hash()) return undefined;
    const where = `log ${probe.logId} epoch ${frame.epoch} seq ${applied.seq}`;
    return broken('log-state', `${where}: ${known.node} and ${node} differ`);
  }

  #log(logId: number): LogMemory {
    let log = this.#logs.get(logId);
    if (log === undefined) {
      const start = { offset: 0, epoch: 0, node: '' };
      const maps = { leaders: new Map(), chains: new Map(), committed: new Map() };
      log = { ...maps, states: new Map(), start };
      this.#logs.set(logId, log);
    }
    return log;
  }

  #life(probe: ReplicaProbe): LifeMemory {
    const key = `${probe.node}/${probe.life}/${probe.logId}/${probe.tenure ?? 0}`;
    let life = this.#lives.get(key);
    if (life === undefined) {
      life = { startOffset: 0, committedSeq: -1, checkedSeq: -1, appliedSeq: -1 };
      this.#lives.set(key, life);
    }
    return life;
  }
}

/** What makes the replicas of one log not copies of one another at rest. */
function unlike(of: readonly ReplicaProbe[], replicas: number): string | undefined {
  const names = of.map(({ node }) => node).join(' ') || 'none';
  if (of.length !== replicas) return `${replicas} replicas expected, found on ${names}`;
  const leaders = of.filter(({ isLeader }) => isLeader).length;
  if (leaders !== 1) return `${leaders} leaders among ${names}`;
  const [first, ...others] = of;
  const at = ({ node, committedSeq, endSeq }: ReplicaProbe) => `${node} ${committedSeq}/${endSeq}`;
  for (const other of of) {
    const isEqual = other.endSeq === first!.endSeq && other.committedSeq === other.endSeq;
    if (!isEqual) return `${at(first!)}, ${at(other)}`;
  }
  for (const { node, startOffset, firstHole } of of) {
    if (startOffset !== first!.startOffset) {
      return `${first!.node} starts at ${first!.startOffset}, ${node} at ${startOffset}`;
    }
    const hole = firstHole?.();
    if (hole !== undefined) return `${node} cannot read ${hole}`;
  }
  for (const other of others) {
    for (let seq = 1; seq <= first!.endSeq; seq += 1) {
      const [a, b] = [first!.frameAt(seq), other.frameAt(seq)];
      if (a === undefined || b === undefined) continue;
      if (a.chain !== b.chain || a.epoch !== b.epoch) {
        return `${first!.node} and ${other.node} differ at seq ${seq}`;
      }
    }
  }
  return undefined;
}

/** Messages take time, so a leader may know less than is true of a follower, and never more. */
function acknowledgedCheck(probes: readonly ReplicaProbe[]): Violation | undefined {
  const leaders = new Map<string, ReplicaProbe>();
  for (const probe of probes) {
    if (probe.isLeader) leaders.set(`${probe.logId}:${probe.epoch}`, probe);
  }
  for (const { logId, epoch, isLeader, node, number, incarnation = 0, durableSeq } of probes) {
    const leader = isLeader ? undefined : leaders.get(`${logId}:${epoch}`);
    if (number === undefined || durableSeq === undefined) continue;
    const heldSeq = leader?.heldBy?.(number, incarnation);
    if (leader === undefined || heldSeq === undefined || heldSeq <= durableSeq) continue;
    const claim = `${leader.node} counts ${node} for ${heldSeq}, durable is ${durableSeq}`;
    return broken('acknowledged', `log ${logId} epoch ${epoch}: ${claim}`);
  }
  return undefined;
}

/**
 * Whoever is elected comes from the set, so what is committed is with it at any moment: also while it is about to become
 * another one. Who is not there to be looked at, or has lost its data and another name since, may hold it.
 */
function setCheck(
  probes: readonly ReplicaProbe[],
  setOf: (logId: number) => SetProbe | undefined,
): Violation | undefined {
  const logs = new Map<number, ReplicaProbe[]>();
  for (const probe of probes) {
    const of = logs.get(probe.logId);
    if (of === undefined) logs.set(probe.logId, [probe]);
    else of.push(probe);
  }
  for (const [logId, of] of logs) {
    const set = setOf(logId);
    if (set === undefined) continue;
    let newest = of[0]!;
    for (const probe of of) if (probe.committedSeq > newest.committedSeq) newest = probe;
    const { committedSeq } = newest;
    const lacking = of.filter(({ number, incarnation, durableSeq = committedSeq }) => {
      const isMember = set.members.some((one) => {
        return one.node === number && one.incarnation === incarnation;
      });
      return isMember && durableSeq < committedSeq;
    });
    const holders = set.members.length - lacking.length;
    if (holders >= Math.min(set.holders, set.members.length)) continue;
    const who = lacking.map(({ node, durableSeq }) => `${node} has ${durableSeq}`).join(', ');
    const what = `${newest.node} knows ${committedSeq} as committed, ${who}`;
    const nodes = set.members.map(({ node }) => node).join(' ');
    return broken('safe-set', `log ${logId}, set ${nodes}: ${what}`);
  }
  return undefined;
}

function chainCheck(
  log: LogMemory,
  probe: ReplicaProbe,
  seq: number,
  frame: FrameMark,
): Violation | undefined {
  const key = `${frame.epoch}:${seq}`;
  const known = log.chains.get(key);
  if (known === undefined) log.chains.set(key, { chain: frame.chain, node: probe.node });
  if (known === undefined || known.chain === frame.chain) return undefined;
  return broken(
    'chain',
    `log ${probe.logId} epoch ${frame.epoch} seq ${seq}: ${known.node} and ${probe.node} differ`,
  );
}

function committedCheck(
  log: LogMemory,
  probe: ReplicaProbe,
  seq: number,
  frame: FrameMark,
): Violation | undefined {
  const known = log.committed.get(seq);
  if (known === undefined) log.committed.set(seq, { ...frame, node: probe.node });
  if (known === undefined || (known.chain === frame.chain && known.epoch === frame.epoch)) {
    return undefined;
  }
  return broken(
    'committed-prefix',
    `log ${probe.logId} seq ${seq}: epoch ${known.epoch} on ${known.node}, epoch ${frame.epoch} on ${probe.node}`,
  );
}

function broken(rule: string, message: string): Violation {
  return { check: `replicas/${rule}`, message };
}
