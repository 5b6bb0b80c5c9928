// Judges a walk by what is on the disks and what was announced. Shares no code and no state with
// the cores: it never asks a core for a number. The first violation stands.
import type { ReplicaId } from '../../src/replication/types.ts';
import type { WorldDisk, WorldFrame } from './world-disk.ts';

export interface JudgedNode {
  readonly node: number;
  readonly incarnation: number;
  readonly disk: WorldDisk;
}

export class WorldChecker {
  violation: string | undefined;
  /** Off where a test wants to see the harm of a second writer, and not the writer. */
  judgesWriters = true;
  readonly #names = new Map<string, number>();
  readonly #writers = new Map<number, string>();
  /** What is committed, by seq - 1, with the epoch whose leader announced it first. */
  readonly committed: { readonly frame: WorldFrame; readonly epoch: number }[] = [];
  readonly #acked: WorldFrame[] = [];

  #found(what: string): void {
    this.violation ??= what;
  }

  /** One writer per epoch, one frame per (epoch, seq). */
  written(node: number, writer: string, frame: WorldFrame): void {
    const known = this.#writers.get(frame.epoch);
    if (this.judgesWriters && known !== undefined && known !== writer) {
      this.#found(`epoch ${frame.epoch} is written by ${known} and ${writer}`);
    }
    this.#writers.set(frame.epoch, writer);
    const name = `${frame.epoch}:${frame.seq}`;
    const chain = this.#names.get(name);
    if (chain !== undefined && chain !== frame.chain) {
      this.#found(`node ${node} writes a second frame ${name}`);
    }
    this.#names.set(name, frame.chain);
  }

  /** A leader that begins an epoch has what leaders of earlier epochs committed. */
  began(node: number, epoch: number, frames: readonly WorldFrame[]): void {
    this.committed.forEach((entry, i) => {
      if (entry.epoch < epoch && frames[i]?.chain !== entry.frame.chain) {
        this.#found(`leader ${node} of epoch ${epoch} lacks committed seq ${i + 1}`);
      }
    });
  }

  announced(epoch: number, seq: number, frames: readonly WorldFrame[]): void {
    for (let i = 0; i < seq; i += 1) {
      const frame = frames[i];
      const entry = this.committed[i];
      if (frame === undefined) this.#found(`epoch ${epoch} commits seq ${i + 1} without having it`);
      else if (entry === undefined) this.committed[i] = { frame, epoch };
      else if (entry.frame.chain !== frame.chain) {
        this.#found(`epoch ${epoch} commits another frame at ${i + 1}`);
      }
    }
  }

  /** Applied frames are committed ones. */
  applied(node: number, fromSeq: number, throughSeq: number, frames: readonly WorldFrame[]): void {
    for (let seq = fromSeq; seq <= throughSeq; seq += 1) {
      const entry = this.committed[seq - 1];
      if (entry === undefined) this.#found(`node ${node} applies uncommitted seq ${seq}`);
      else if (frames[seq - 1]?.chain !== entry.frame.chain) {
        this.#found(`node ${node} applies another frame at ${seq}`);
      }
    }
  }

  /** No safe member cuts what is committed. */
  cuts(judged: JudgedNode, toSeq: number, safeSet: readonly ReplicaId[]): void {
    const isSafe = safeSet.some(
      (member) => member.node === judged.node && member.incarnation === judged.incarnation,
    );
    if (!isSafe) return;
    for (let i = toSeq; i < judged.disk.frames.length; i += 1) {
      if (this.committed[i]?.frame.chain === judged.disk.frames[i]!.chain) {
        this.#found(`safe member ${judged.node} cuts committed seq ${i + 1}`);
      }
    }
  }

  answeredCommitted(frame: WorldFrame): void {
    if (this.committed[frame.seq - 1]?.frame.chain !== frame.chain) {
      this.#found(`seq ${frame.seq} is answered at a level that it has not reached`);
    }
    this.#acked.push(frame);
  }

  answeredLocal(judged: JudgedNode, frame: WorldFrame): void {
    if (judged.disk.durable[frame.seq - 1]?.chain !== frame.chain) {
      this.#found(`seq ${frame.seq} is answered as local and is not durable`);
    }
  }

  /**
   * `all`: each safe member has all that is committed. `quorum`: k of the set, less the lost ones.
   */
  heldBySet(safeSet: readonly ReplicaId[], k: number, nodes: readonly JudgedNode[]): void {
    let holders = 0;
    let lost = 0;
    for (const { node, incarnation } of safeSet) {
      const judged = nodes.find((candidate) => candidate.node === node)!;
      if (judged.incarnation !== incarnation) lost += 1;
      else if (this.#holds(judged)) holders += 1;
    }
    if (holders < k - lost) {
      this.#found(`${holders} of ${safeSet.length} safe members hold ${this.committed.length}`);
    }
  }

  #holds(judged: JudgedNode): boolean {
    return this.committed.every((entry, i) => judged.disk.durable[i]?.chain === entry.frame.chain);
  }

  /** The set never shrinks below m; loss of data alone brings it there. */
  setChanged(sizeBefore: number, newSet: readonly ReplicaId[], minInsync: number): void {
    if (newSet.length < Math.min(sizeBefore, minInsync))
      this.#found(`the safe set shrank to ${newSet.length}`);
  }

  /** After healing: every replica has the same committed log, with all that was answered. */
  finished(nodes: readonly JudgedNode[], committedSeq: number): void {
    for (const { node, disk } of nodes) {
      for (let i = 0; i < committedSeq; i += 1) {
        if (disk.durable[i]?.chain !== this.committed[i]?.frame.chain) {
          this.#found(`node ${node} differs at seq ${i + 1} after healing`);
        }
      }
      for (const frame of this.#acked) {
        if (disk.durable[frame.seq - 1]?.value !== frame.value) {
          this.#found(`seq ${frame.seq} was answered as committed and is lost on node ${node}`);
        }
      }
    }
  }
}
