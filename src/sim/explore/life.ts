// One life of one peer: a real core, its disk, and the writes that are on their way to it. What it was told since it
// started is all there is to know of it, so a life is made again whenever it is needed, and nothing is ever copied out
// of a core. Time stands still: elections and heartbeats are acts of the exploration, not of a clock.
import { Core } from '../../raft/core.ts';
import {
  configurationOf,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  NO_PEER,
  nodeOfPeer,
  type PeerId,
  peerOf,
  RAFT_DEFAULTS,
  type RaftFaults,
  type RaftMessage,
  type Write,
} from '../../raft/index.ts';

/** Peers are numbered from 0 here. */
const PEERS: readonly PeerId[] = [peerOf(1, 1), peerOf(2, 1), peerOf(3, 1)];
/** Nobody, where a peer could stand. */
export const NOBODY = -1;
const NEVER_MS = 1e9;

export interface Disk {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

export const EMPTY_DISK: Disk = { hardState: INITIAL_HARD_STATE, entries: [] };

/** What may happen to a peer, besides a crash. */
export type Input =
  | { readonly kind: 'message'; readonly message: RaftMessage }
  /** The oldest write that is on its way is durable. */
  | { readonly kind: 'persisted' }
  /** It stands for election, whoever leads: no clock and no lease keeps it from that. */
  | { readonly kind: 'campaign' }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'propose'; readonly command: number }
  | { readonly kind: 'read' }
  /** The leader asks to be the only voter, with the others as learners. */
  | { readonly kind: 'shrink' };

/** What came out of a peer by one input. */
export interface Output {
  readonly messages: RaftMessage[];
  /** Indexes at which reads may be answered. */
  readonly reads: number[];
}

export interface LifeOptions {
  readonly isDiskInstant: boolean;
  /** The third peer keeps no commands. */
  readonly hasWitness: boolean;
  readonly faults: RaftFaults | undefined;
}

export function numberOf(peer: PeerId): number {
  return peer === NO_PEER ? NOBODY : nodeOfPeer(peer) - 1;
}

/** `disk` with the first `count` of the writes on it. */
export function written(disk: Disk, writes: readonly Write[], count: number): Disk {
  let { hardState, entries } = disk;
  for (const write of writes.slice(0, count)) {
    const { truncateFrom = Number.POSITIVE_INFINITY } = write;
    entries = [...entries.filter(({ index }) => index < truncateFrom), ...write.entries];
    hardState = write.hardState ?? hardState;
  }
  return { hardState, entries };
}

export class Life {
  readonly node: number;
  readonly core: Core;
  disk: Disk;
  readonly pending: Write[] = [];
  readonly #isDiskInstant: boolean;
  #nowMs = 0;

  /** Starts from a disk. `output` takes what comes out at once. */
  constructor(node: number, disk: Disk, options: LifeOptions, output: Output) {
    const { hasWitness, isDiskInstant, faults } = options;
    this.node = node;
    this.disk = disk;
    this.#isDiskInstant = isDiskInstant;
    const witness = PEERS[2]!;
    const config = {
      ...RAFT_DEFAULTS,
      self: PEERS[node]!,
      electionTimeoutMs: NEVER_MS,
      heartbeatMs: 1,
      ...(faults === undefined ? {} : { faults }),
      ...(hasWitness && node === 2 ? { isWitness: true } : {}),
    };
    const configuration = configurationOf(PEERS, [], [], hasWitness ? [witness] : []);
    this.core = new Core(config, { ...disk, configuration }, { below: () => 0 }, 0);
    this.#pump(output);
  }

  step(input: Input, output: Output): void {
    const { core } = this;
    switch (input.kind) {
      case 'message':
        core.step(input, this.#nowMs);
        break;
      case 'persisted':
        this.#persist();
        break;
      case 'campaign': {
        const { leader, term } = core.state;
        const to = core.state.self;
        // A hand-over is the one election that asks neither a clock nor the lease of a leader.
        const from = leader === NO_PEER ? PEERS[(this.node + 1) % 3]! : leader;
        core.step({ kind: 'message', message: { kind: 'timeout-now', from, to, term } }, 0);
        break;
      }
      case 'heartbeat':
        this.#nowMs += 2;
        core.step({ kind: 'tick' }, this.#nowMs);
        break;
      case 'propose': {
        const data = Uint8Array.of(input.command);
        core.step({ kind: 'propose', requestId: 0, data }, this.#nowMs);
        break;
      }
      case 'read':
        core.step({ kind: 'read-index', requestId: 0 }, this.#nowMs);
        break;
      case 'shrink': {
        const voters = [PEERS[this.node]!];
        const learners = PEERS.filter((peer) => peer !== voters[0]);
        core.step({ kind: 'change-membership', requestId: 0, voters, learners }, this.#nowMs);
        break;
      }
    }
    this.#pump(output);
  }

  #persist(): void {
    const write = this.pending.shift()!;
    this.disk = written(this.disk, [write], 1);
    this.core.step({ kind: 'persisted', attempt: write.attempt }, this.#nowMs);
  }

  #pump(output: Output): void {
    for (;;) {
      const ready = this.core.takeReady();
      if (ready === undefined) return;
      if (ready.write !== undefined) this.pending.push(ready.write);
      output.messages.push(...ready.messages);
      output.reads.push(...ready.reads.map(({ index }) => index));
      const last = ready.committed.at(-1);
      if (last !== undefined) this.core.step({ kind: 'applied', index: last.index }, this.#nowMs);
      while (this.#isDiskInstant && this.pending.length > 0) this.#persist();
    }
  }
}
