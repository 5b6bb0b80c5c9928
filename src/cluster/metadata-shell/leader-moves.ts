// Leaders of this node that have held their appends long enough ask for the next epochs of their logs: all that ask
// while one question is under way go with the next. What is heard of the answer is a refusal; that a log has moved shows
// in the metadata; and what is not answered is in doubt, which the leader ends itself.
import { encodeCommand, type LeaderMove, type MetadataImage } from '../metadata/index.ts';
import type { ProposeAnswer } from './metadata-protocol.ts';

/** Of one question. */
const MOVES_MAX = 1_000;
/** Who has waited so long for the question before is told that nothing was asked. */
const WAIT_MAX_MS = 1_000;
const CHANGE_MS = 2_000;

export interface LeaderMovesPort {
  readonly node: number;
  readonly image: MetadataImage;
  nowMs(): number;
  change(command: Uint8Array, timeoutMs: number): Promise<ProposeAnswer>;
  /** Nothing has changed by it, and nothing will. */
  refused(thread: number, move: LeaderMove): void;
  onFatal(error: Error): void;
}

interface Asking {
  readonly thread: number;
  readonly move: LeaderMove;
  readonly sinceMs: number;
}

export class LeaderMoves {
  readonly #port: LeaderMovesPort;
  #waiting: Asking[] = [];
  #isAsking = false;

  constructor(port: LeaderMovesPort) {
    this.#port = port;
  }

  ask(thread: number, move: LeaderMove): void {
    this.#waiting.push({ thread, move, sinceMs: this.#port.nowMs() });
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#run().catch((error: unknown) => this.#port.onFatal(error as Error));
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.#askNext();
    } finally {
      this.#isAsking = false;
    }
  }

  async #askNext(): Promise<void> {
    const { node, image } = this.#port;
    // Those of the same turn go along.
    await Promise.resolve();
    const asking: Asking[] = [];
    const nowMs = this.#port.nowMs();
    for (const each of this.#waiting.splice(0, MOVES_MAX)) {
      if (nowMs - each.sinceMs < WAIT_MAX_MS) asking.push(each);
      else this.#port.refused(each.thread, each.move);
    }
    if (asking.length === 0) return;
    const moves = asking.map(({ move }) => move);
    const command = encodeCommand({ kind: 'move-leaders', node, moves });
    const answer = await this.#port.change(command, CHANGE_MS);
    if (answer.kind === 'unavailable') return;
    for (const { thread, move } of asking) {
      if (image.log(move.logId)?.epoch === move.epoch) this.#port.refused(thread, move);
    }
  }
}
