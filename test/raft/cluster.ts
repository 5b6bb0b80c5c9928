// An in-memory Raft cluster for tests: a network that is a list, disks that finish when told, and
// the safety checkers of Raft, which share no code with the core. Every violation throws.
import {
  configurationOf,
  createRaft,
  decodeMessage,
  type Entry,
  encodeMessage,
  type HardState,
  INITIAL_HARD_STATE,
  nodeOfPeer,
  type PeerId,
  peerOf,
  RAFT_DEFAULTS,
  type RaftConfig,
  type RaftCore,
  type RaftInput,
  type RaftMessage,
  type Ready,
  type Refusal,
  type Snapshot,
  type Write,
} from '../../src/raft/index.ts';

export interface Disk {
  hardState: HardState;
  snapshot: Snapshot | undefined;
  entries: Entry[];
}

export interface Node {
  readonly peer: PeerId;
  core: RaftCore | undefined;
  disk: Disk;
  /** The log as it will be once all pending writes are done. */
  shadow: { snapshot: Snapshot | undefined; entries: Entry[] };
  pendingWrites: Write[];
  /** Applied commands; a snapshot is their JSON. */
  applied: string[];
  appliedIndex: number;
  accepted: { requestId: number; index: number; term: number }[];
  refusals: Refusal[];
  reads: { requestId: number; index: number }[];
}

export interface ClusterOptions {
  readonly ids: readonly number[];
  readonly voters?: readonly number[];
  readonly learners?: readonly number[];
  readonly witnesses?: readonly number[];
  readonly config?: Partial<RaftConfig>;
  readonly random: (id: number) => { below(n: number): number };
  /** Writes finish at once; else call `finishWrite`. */
  readonly isDiskInstant: boolean;
  readonly onReady?: (id: number, ready: Ready) => void;
  /** Pass every message through its bytes. */
  readonly isEncoded?: boolean;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function emptyDisk(): Disk {
  return { hardState: INITIAL_HARD_STATE, snapshot: undefined, entries: [] };
}

function overwrite(target: { snapshot: Snapshot | undefined; entries: Entry[] }, write: Write) {
  if (write.truncateFrom !== undefined) {
    const from = write.truncateFrom;
    target.entries = target.entries.filter((entry) => entry.index < from);
  }
  const last = target.entries.at(-1)?.index ?? target.snapshot?.index ?? 0;
  if (write.entries.length > 0 && write.entries[0].index !== last + 1) {
    throw new Error(`storage: entry ${write.entries[0].index} does not follow ${last}`);
  }
  target.entries.push(...write.entries);
  if (write.snapshot === undefined) return;
  const { snapshot, replacesLog, keepFrom } = write.snapshot;
  target.snapshot = snapshot;
  target.entries = replacesLog ? [] : target.entries.filter((entry) => entry.index >= keepFrom);
}

export class Cluster {
  readonly nodes = new Map<number, Node>();
  network: RaftMessage[] = [];
  nowMs = 0;
  readonly options: ClusterOptions;
  readonly #bootstrap;
  // What the checkers know. Chains name whole prefixes, so equal chains mean equal logs.
  readonly #leaders = new Map<number, PeerId>();
  readonly #chains = new Map<string, number>([['0/0', 0]]);
  readonly #committed = new Map<number, { chain: number; term: number; seenTerm: number }>();
  readonly #readFloor = new Map<number, number>();
  committedMax = 0;

  constructor(options: ClusterOptions) {
    this.options = options;
    const voters = options.voters ?? options.ids;
    this.#bootstrap = configurationOf(
      voters.map((id) => peerOf(id, 1)),
      (options.learners ?? []).map((id) => peerOf(id, 1)),
      [],
      (options.witnesses ?? []).map((id) => peerOf(id, 1)),
    );
    for (const id of options.ids) this.start(id, 1, emptyDisk(), voters.includes(id));
  }

  start(id: number, incarnation: number, disk: Disk, isMember = true): Node {
    const peer = peerOf(id, incarnation);
    const isKnown = isMember || this.#bootstrap.learners.includes(peer);
    const node: Node = {
      peer,
      core: undefined,
      disk,
      shadow: { snapshot: disk.snapshot, entries: [...disk.entries] },
      pendingWrites: [],
      applied:
        disk.snapshot === undefined || this.isWitness(id)
          ? []
          : JSON.parse(decoder.decode(disk.snapshot.data)),
      appliedIndex: disk.snapshot?.index ?? 0,
      accepted: [],
      refusals: [],
      reads: [],
    };
    this.nodes.set(id, node);
    node.core = createRaft(
      {
        ...RAFT_DEFAULTS,
        ...this.options.config,
        self: peer,
        ...(this.isWitness(id) ? { isWitness: true } : {}),
      },
      {
        hardState: disk.hardState,
        configuration: isKnown ? this.#bootstrap : configurationOf([]),
        entries: disk.entries,
        ...(disk.snapshot === undefined ? {} : { snapshot: disk.snapshot }),
      },
      this.options.random(id),
      this.nowMs,
    );
    this.#pump(id);
    return node;
  }

  isWitness(id: number): boolean {
    return this.options.witnesses?.includes(id) ?? false;
  }

  node(id: number): Node {
    return this.nodes.get(id)!;
  }

  core(id: number): RaftCore {
    const { core } = this.node(id);
    if (core === undefined) throw new Error(`node ${id} is down`);
    return core;
  }

  step(id: number, input: RaftInput): void {
    const { core } = this.node(id);
    if (core === undefined) return;
    if (input.kind === 'read-index') this.#readFloor.set(input.requestId, this.committedMax);
    core.step(input, this.nowMs);
    this.#pump(id);
  }

  propose(id: number, text: string, requestId = 0): void {
    this.step(id, { kind: 'propose', requestId, data: encoder.encode(text) });
  }

  deliver(message: RaftMessage): void {
    const id = Math.floor(message.to / 2 ** 32);
    if (!this.nodes.has(id)) return;
    const arrived = this.options.isEncoded ? decodeMessage(encodeMessage(message)) : message;
    if (arrived === undefined) throw new Error('codec: a message does not survive its bytes');
    this.step(id, { kind: 'message', message: arrived });
  }

  /** Delivers until silence. `isLost` decides message by message. */
  settle(isLost: (message: RaftMessage) => boolean = () => false): void {
    for (let rounds = 0; rounds < 10_000; rounds += 1) {
      const message = this.network.shift();
      if (message === undefined) return;
      if (!isLost(message)) this.deliver(message);
    }
    throw new Error('the cluster never falls silent');
  }

  /** Moves time and ticks everybody who is due. */
  advance(ms: number): void {
    this.nowMs += ms;
    for (const [id, node] of this.nodes) {
      if (node.core !== undefined && node.core.deadlineMs <= this.nowMs) {
        this.step(id, { kind: 'tick' });
      }
    }
  }

  /** Time and delivery until `id` leads with a committed no-op. */
  elect(id: number): void {
    const target = this.core(id);
    const others = [...this.nodes.keys()].filter((other) => other !== id);
    const wait = 2 * (this.options.config?.electionTimeoutMs ?? RAFT_DEFAULTS.electionTimeoutMs);
    // Only the wanted node's clock runs out, while the others forget their leader.
    this.nowMs += wait;
    for (const other of others) this.core(other).step({ kind: 'applied', index: 0 }, this.nowMs);
    this.step(id, { kind: 'tick' });
    this.settle();
    if (target.status.role !== 'leader') throw new Error(`node ${id} was not elected`);
  }

  finishWrite(id: number): boolean {
    const node = this.node(id);
    const write = node.pendingWrites.shift();
    if (write === undefined) return false;
    overwrite(node.disk, write);
    if (write.hardState !== undefined) node.disk.hardState = write.hardState;
    this.step(id, { kind: 'persisted', attempt: write.attempt });
    return true;
  }

  crash(id: number): void {
    const node = this.node(id);
    node.core = undefined;
    node.pendingWrites = [];
  }

  restart(id: number): void {
    const { peer, disk } = this.node(id);
    this.start(id, peer % 2 ** 32, disk);
  }

  compact(id: number): void {
    if (this.isWitness(id)) return;
    const { applied, appliedIndex } = this.node(id);
    const data = encoder.encode(JSON.stringify(applied));
    this.step(id, { kind: 'compact', index: appliedIndex, data });
  }

  leaders(): number[] {
    return [...this.nodes.keys()].filter((id) => {
      return this.node(id).core?.status.role === 'leader';
    });
  }

  #pump(id: number): void {
    const node = this.node(id);
    for (;;) {
      const ready = node.core?.takeReady();
      if (ready === undefined) break;
      this.options.onReady?.(id, ready);
      if (ready.write !== undefined) {
        node.pendingWrites.push(ready.write);
        overwrite(node.shadow, ready.write);
        this.#checkLog(node);
      }
      if (ready.soft?.role === 'leader') this.#checkLeader(node, ready.soft.term);
      this.network.push(...ready.messages);
      this.#apply(node, ready);
      node.accepted.push(...ready.accepted);
      node.refusals.push(...ready.refusals);
      for (const read of ready.reads) {
        const floor = this.#readFloor.get(read.requestId) ?? 0;
        if (read.index < floor) throw new Error(`stale read: ${read.index} < ${floor}`);
        node.reads.push(read);
      }
      if (this.options.isDiskInstant) while (this.finishWrite(id));
    }
  }

  #apply(node: Node, ready: Ready): void {
    if (ready.install !== undefined) {
      node.applied = JSON.parse(decoder.decode(ready.install.data));
      node.appliedIndex = ready.install.index;
      node.core!.step({ kind: 'applied', index: node.appliedIndex }, this.nowMs);
    }
    for (const entry of ready.committed) {
      if (entry.index !== node.appliedIndex + 1) throw new Error('apply: entries in order');
      node.appliedIndex = entry.index;
      const isHere = node.disk.entries.some(
        ({ index, term }) => index === entry.index && term === entry.term,
      );
      if (!isHere) throw new Error(`index ${entry.index} is applied before it is durable here`);
      this.#checkCommitted(node, entry);
      if (entry.kind === 'command') node.applied.push(decoder.decode(entry.data));
    }
    if (ready.committed.length > 0) {
      node.core!.step({ kind: 'applied', index: node.appliedIndex }, this.nowMs);
    }
  }

  // ---- Checkers --------------------------------------------------------------------------------

  /** Log matching: the same (index, term) names the same prefix everywhere. */
  #checkLog(node: Node): void {
    const { snapshot, entries } = node.shadow;
    let key = '0/0';
    let known = 0;
    const first = entries[0]?.index ?? 0;
    if (snapshot !== undefined) {
      key = `${snapshot.index}/${snapshot.term}`;
      known = this.#chains.get(key) ?? -1;
      if (known === -1) throw new Error(`log matching: snapshot of an unknown prefix ${key}`);
    }
    let chain = known;
    for (const entry of entries) {
      if (snapshot !== undefined && entry.index <= snapshot.index) continue;
      if (first === 0) break;
      key = `${entry.index}/${entry.term}`;
      if (entry.kind === 'withheld') {
        // Without its bytes there is only the name; who has them was looked at before.
        chain = this.#chains.get(key) ?? -1;
        if (chain === -1) throw new Error(`log matching: a witness has an unknown entry ${key}`);
        continue;
      }
      chain = mix(chain, entry.index, entry.term, entry.data);
      const other = this.#chains.get(key);
      if (other !== undefined && other !== chain) throw new Error(`log matching fails at ${key}`);
      this.#chains.set(key, chain);
    }
  }

  #chainsOf(node: Node): Map<number, number> {
    const found = new Map<number, number>();
    for (const { index, term } of node.shadow.entries) {
      found.set(index, this.#chains.get(`${index}/${term}`)!);
    }
    return found;
  }

  /** Election safety and leader completeness. */
  #checkLeader(node: Node, term: number): void {
    if (this.isWitness(nodeOfPeer(node.peer))) throw new Error('a witness leads');
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== node.peer) throw new Error(`two leaders in term ${term}`);
    this.#leaders.set(term, node.peer);
    const chains = this.#chainsOf(node);
    const below = node.shadow.snapshot?.index ?? 0;
    for (const [index, committed] of this.#committed) {
      if (index <= below || committed.seenTerm >= term) continue;
      if (chains.get(index) !== committed.chain) {
        throw new Error(`leader of term ${term} misses committed index ${index}`);
      }
    }
  }

  /** State machine safety, and: committed means durable on a majority of the bootstrap voters. */
  #checkCommitted(node: Node, entry: Entry): void {
    const chain = this.#chains.get(`${entry.index}/${entry.term}`)!;
    const known = this.#committed.get(entry.index);
    if (known !== undefined && known.chain !== chain) {
      throw new Error(`two values committed at ${entry.index}`);
    }
    if (known !== undefined) return;
    const seenTerm = node.core!.status.term;
    this.#committed.set(entry.index, { chain, term: entry.term, seenTerm });
    this.committedMax = Math.max(this.committedMax, entry.index);
    if (!this.options.isDiskInstant && this.options.voters === undefined) this.#checkDurable(entry);
  }

  #checkDurable(entry: Entry): void {
    const holders = [...this.nodes.values()].filter(({ disk }) => {
      const isInSnapshot = (disk.snapshot?.index ?? 0) >= entry.index;
      return (
        isInSnapshot || disk.entries.some((e) => e.index === entry.index && e.term === entry.term)
      );
    });
    if (holders.length * 2 <= this.nodes.size) {
      throw new Error(`index ${entry.index} is committed but durable on ${holders.length} only`);
    }
    if (holders.every(({ peer }) => this.isWitness(nodeOfPeer(peer)))) {
      throw new Error(`index ${entry.index} is committed and nobody has its bytes`);
    }
  }
}

function mix(chain: number, index: number, term: number, data: Uint8Array): number {
  let hash = (chain ^ 0x811c9dc5) | 0;
  for (const value of [index, term, ...data]) hash = Math.imul(hash ^ value, 0x01000193);
  return hash >>> 0;
}
