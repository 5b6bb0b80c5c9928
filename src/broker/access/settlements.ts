// What sessions of a shard say about messages of one queue: gathered in a turn, sent as one command for
// each thing that can be said. What got no answer is said again, to the next leader too: it may count
// there, if nobody else holds the message.
import { added, noItems } from '../../std/short-list.ts';
import type { QueueCommand } from '../view/commands.ts';
import { Runs } from '../view/runs.ts';

/** What is said, about leases of which epoch. */
export interface Settlement {
  readonly isAcknowledged: boolean;
  readonly isRequeued: boolean;
  readonly counts: boolean;
  readonly epoch: number;
  readonly runs: Runs;
}

/** Of all queues. */
const spare: Runs[] = [];
const SPARE_MAX = 256;
const SPARE_ROWS_MAX = 256;

export class Settlements {
  #open: Settlement[] = noItems();

  get isEmpty(): boolean {
    return this.#open.length === 0;
  }

  acknowledge(epoch: number, offset: number, lease: number): void {
    this.#runsOf(true, false, false, epoch).add(offset, 1, lease);
  }

  return(epoch: number, offset: number, lease: number, isRequeued: boolean, counts: boolean): void {
    this.#runsOf(false, isRequeued, counts, epoch).add(offset, 1, lease);
  }

  #runsOf(isAcknowledged: boolean, isRequeued: boolean, counts: boolean, epoch: number): Runs {
    for (const each of this.#open) {
      const isSame =
        each.isAcknowledged === isAcknowledged &&
        each.isRequeued === isRequeued &&
        each.counts === counts &&
        each.epoch === epoch;
      if (isSame) return each.runs;
    }
    const runs = spare.pop() ?? new Runs();
    this.#open = added(this.#open, { isAcknowledged, isRequeued, counts, epoch, runs });
    return runs;
  }

  /** Everything that is to be said now. */
  take(): readonly Settlement[] {
    const open = this.#open;
    this.#open = noItems();
    return open;
  }

  /** It was heard. */
  done({ runs }: Settlement): void {
    runs.clear();
    const isSmall = runs.offset.length <= SPARE_ROWS_MAX;
    if (isSmall && spare.length < SPARE_MAX) spare.push(runs);
  }

  /**
   * Nobody answered; `epoch` is that of the leader who is asked next. A message that was to come back is
   * back already where nobody knows its lease.
   */
  again(settlement: Settlement, epoch: number): void {
    const { isAcknowledged, isRequeued, counts, epoch: ofEpoch, runs } = settlement;
    if (!isRequeued || ofEpoch === epoch) {
      const into = this.#runsOf(isAcknowledged, isRequeued, counts, ofEpoch);
      for (let row = 0; row < runs.size; row += 1) {
        into.add(runs.offset[row]!, runs.count[row]!, runs.number[row]!);
      }
    }
    this.done(settlement);
  }

  clear(): void {
    this.#open = noItems();
  }
}

export function settleCommand(settlement: Settlement): QueueCommand {
  const { isAcknowledged, isRequeued, counts, epoch, runs } = settlement;
  if (isAcknowledged) return { kind: 'acknowledge', level: 'none', epoch, runs };
  return { kind: 'return', level: 'none', isRequeued, counts, epoch, runs };
}
