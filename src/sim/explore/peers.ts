// The states of single peers and the messages between them, each made once and known by a number. A peer is a function:
// equal state and equal input give equal state and output, so the core runs once for each such pair, however many
// states of the whole cluster they are a part of.

import type { RaftMessage } from '../../raft/index.ts';
import { messageOf } from '../../std/errors.ts';
import { nameOfMessage, namerOf, RENAMINGS, renamed, type View, viewOf } from './encoding.ts';
import {
  type Disk,
  EMPTY_DISK,
  type Input,
  Life,
  type LifeOptions,
  numberOf,
  type Output,
  written,
} from './life.ts';

/** One state of one peer. */
export interface Peer {
  readonly id: number;
  readonly node: number;
  readonly view: View;
  readonly birth: Disk;
  readonly inputs: readonly Input[];
}

export interface Step {
  readonly peer: Peer;
  /** Numbers of messages. */
  readonly sent: readonly number[];
  readonly reads: readonly number[];
  /** What the core itself took for broken. */
  readonly broken: string | undefined;
}

export interface Sent {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  readonly message: RaftMessage;
}

const CODES_MAX = 2 ** 24;
/** Codes of inputs that are no messages; a crash that leaves n writes on the disk is `CRASH + n`. */
const INPUTS: readonly Input['kind'][] = ['persisted', 'campaign', 'heartbeat', 'read', 'shrink'];
const PROPOSE = 10;
const CRASH = 20;
const MESSAGE = 64;

export class Peers {
  readonly #options: LifeOptions;
  readonly #peers: Peer[] = [];
  readonly #peerIds = new Map<string, number>();
  /** For each peer and renaming the name, as a number. */
  readonly #peerNames: number[][] = [];
  readonly #messages: Sent[] = [];
  readonly #messageIds = new Map<string, number>();
  readonly #messageNames: number[][] = [];
  readonly #steps = new Map<number, Step>();

  constructor(options: LifeOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#peers.length;
  }

  /** How often a core did a step that it had not done before. */
  get steps(): number {
    return this.#steps.size;
  }

  first(node: number): Peer {
    return this.#born(node, EMPTY_DISK).peer;
  }

  message(id: number): Sent {
    return this.#messages[id]!;
  }

  /** The number of a peer's state as it is called after that renaming. */
  peerName(id: number, renaming: number): number {
    return this.#peerNames[id]![renaming]!;
  }

  messageName(id: number, renaming: number): number {
    return this.#messageNames[id]![renaming]!;
  }

  step(peer: Peer, input: Input): Step {
    const code = input.kind === 'propose' ? PROPOSE + input.command : INPUTS.indexOf(input.kind);
    return this.#once(peer, code, () => this.#next(peer, input));
  }

  receive(peer: Peer, id: number): Step {
    const { message } = this.message(id);
    return this.#once(peer, MESSAGE + id, () => this.#next(peer, { kind: 'message', message }));
  }

  /** The process ends and starts again; the first `kept` of its writes have reached the disk, the others are lost. */
  crash(peer: Peer, kept: number): Step {
    return this.#once(peer, CRASH + kept, () => {
      const life = this.#live(peer);
      return this.#born(peer.node, written(life.disk, life.pending, kept));
    });
  }

  #once(peer: Peer, code: number, run: () => Step): Step {
    const key = peer.id * CODES_MAX + code;
    let step = this.#steps.get(key);
    if (step === undefined) {
      step = run();
      this.#steps.set(key, step);
    }
    return step;
  }

  #born(node: number, disk: Disk): Step {
    const output: Output = { messages: [], reads: [] };
    const life = new Life(node, disk, this.#options, output);
    return this.#known(life, disk, [], output);
  }

  #live({ node, birth, inputs }: Peer): Life {
    const past: Output = { messages: [], reads: [] };
    const life = new Life(node, birth, this.#options, past);
    for (const input of inputs) life.step(input, past);
    return life;
  }

  #next(peer: Peer, input: Input): Step {
    const life = this.#live(peer);
    const output: Output = { messages: [], reads: [] };
    try {
      life.step(input, output);
    } catch (error) {
      return { peer, sent: [], reads: [], broken: messageOf(error) };
    }
    return this.#known(life, peer.birth, [...peer.inputs, input], output);
  }

  #known(life: Life, birth: Disk, inputs: readonly Input[], output: Output): Step {
    const { node } = life;
    const view = viewOf(life);
    const nameIn = namerOf(life);
    const held = drained(life);
    const names = RENAMINGS.map((names) => nameIn(names, held));
    const ids = names.map((name) => numbered(this.#peerIds, name));
    const id = ids[0]!;
    const known = this.#peers[id];
    const peer = known ?? { id, node, view, birth, inputs };
    this.#peers[id] = peer;
    this.#peerNames[id] ??= ids;
    const sent = output.messages.map((message) => this.#sent(message));
    return { peer, sent, reads: output.reads, broken: undefined };
  }

  #sent(message: RaftMessage): number {
    const ids = RENAMINGS.map((names) => numbered(this.#messageIds, nameOfMessage(message, names)));
    const id = ids[0]!;
    const [from, to] = [numberOf(message.from), numberOf(message.to)];
    this.#messages[id] ??= { id, from, to, message };
    this.#messageNames[id] ??= ids;
    return id;
  }
}

/** What leaves as the writes that are on their way are done. The life is used up by that. */
function drained(life: Life): RaftMessage[][] {
  const held: RaftMessage[][] = [];
  while (life.pending.length > 0) {
    const output: Output = { messages: [], reads: [] };
    try {
      life.step({ kind: 'persisted' }, output);
    } catch {
      // What breaks later is found by the act that breaks it.
      break;
    }
    held.push(output.messages);
  }
  return held;
}

function numbered(ids: Map<string, number>, name: string): number {
  const known = ids.get(name);
  if (known !== undefined) return known;
  ids.set(name, ids.size);
  return ids.size - 1;
}

/** The renamings that a scope allows: a witness is nobody's mirror image. */
export function renamingsOf(hasWitness: boolean): readonly number[] {
  const all = RENAMINGS.map((_, index) => index);
  return hasWitness ? all.filter((index) => renamed(2, RENAMINGS[index]!) === 2) : all;
}
