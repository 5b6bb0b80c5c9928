// What a queue answers, and the bytes of it. Deliveries are offsets with their leases: whoever gets them
// reads the records from the log itself.
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { Runs } from './runs.ts';

/** Everything that can become of a command. Protocols map each to a number of their own. */
const QUEUE_OUTCOMES = [
  'ok',
  /** The bytes are no command, or name too many messages. */
  'bad-command',
  'bad-batch',
  'batch-too-large',
  /** The number is not the next one of its client, nor one that is stored: see `expected`. */
  'number-gap',
  /** A later incarnation of the client has published. */
  'stale-client',
  /** A later incarnation of the node is here, or this one was given up. */
  'stale-owner',
  /** It is not attached: the leader may have moved. */
  'unknown-consumer',
  /** An exclusive consumer is here, or others are and this one wants to be exclusive. */
  'exclusive',
  'too-many-consumers',
  /** Nothing more is given out until something of what is out is settled. */
  'too-many-leases',
  /** A later receive of the same consumer took its place. */
  'replaced',
  /** The consumer was detached or its node given up. */
  'detached',
  /** This node leads the queue no more. */
  'moved',
  'in-use',
  'not-empty',
  /** So many groups have a view of the log that no more are let in. */
  'too-many-groups',
] as const;
export type QueueOutcome = (typeof QUEUE_OUTCOMES)[number];

export interface PublishedAnswer {
  readonly kind: 'published';
  readonly outcome: QueueOutcome;
  /** Of the first record; -1 if it is not known any more, or nothing was stored. */
  readonly offset: number;
  /** The number that the client's next message must have. */
  readonly expected: number;
}

export interface AttachedAnswer {
  readonly kind: 'attached';
  readonly outcome: QueueOutcome;
  /** Lease numbers are those of this epoch, and above `seen`. */
  readonly epoch: number;
  readonly seen: number;
}

export interface DeliveriesAnswer {
  readonly kind: 'deliveries';
  readonly outcome: QueueOutcome;
  readonly epoch: number;
  /** Messages that are left and wait. */
  readonly ready: number;
  readonly runs: Runs;
}

export interface SettledAnswer {
  readonly kind: 'settled';
  readonly outcome: QueueOutcome;
  /** Messages that were settled as asked, now or before. */
  readonly count: number;
  /** Rows of the command with messages that another holds, or that are not held where that is needed. */
  readonly refused: readonly number[];
}

/** Of a detach or a release: how many messages came back. Of a purge: went. Of a check: are ready. */
export interface CountAnswer {
  readonly kind: 'count';
  readonly outcome: QueueOutcome;
  readonly count: number;
}

export interface StatsAnswer {
  readonly kind: 'stats';
  readonly outcome: QueueOutcome;
  readonly ready: number;
  readonly leased: number;
  readonly consumers: number;
  /** Receives that wait. */
  readonly waiting: number;
  readonly startOffset: number;
  readonly endOffset: number;
  /** Messages that came back too often and are gone, since the queue was made. */
  readonly dropped: number;
}

export type QueueAnswer =
  | PublishedAnswer
  | AttachedAnswer
  | DeliveriesAnswer
  | SettledAnswer
  | CountAnswer
  | StatsAnswer;

const KINDS = [
  'published',
  'attached',
  'deliveries',
  'settled',
  'count',
  'stats',
] as const satisfies readonly QueueAnswer['kind'][];

const NO_ROWS: readonly number[] = [];
const out = new ByteWriter(256);

export function encodeQueueAnswer(answer: QueueAnswer): Uint8Array {
  out.reset();
  out.u8(KINDS.indexOf(answer.kind));
  out.u8(QUEUE_OUTCOMES.indexOf(answer.outcome));
  switch (answer.kind) {
    case 'published':
      out.varI53(answer.offset);
      out.varU53(answer.expected);
      break;
    case 'attached':
      out.varU53(answer.epoch);
      out.varU53(answer.seen);
      break;
    case 'deliveries':
      out.varU53(answer.epoch);
      out.varU53(answer.ready);
      putDeliveries(out, answer.runs);
      break;
    case 'settled':
      out.varU53(answer.count);
      out.varU53(answer.refused.length);
      for (const row of answer.refused) out.varU53(row);
      break;
    case 'count':
      out.varU53(answer.count);
      break;
    case 'stats':
      out.varU53(answer.ready);
      out.varU53(answer.leased);
      out.varU53(answer.consumers);
      out.varU53(answer.waiting);
      out.varU53(answer.startOffset);
      out.varU53(answer.endOffset);
      out.varU53(answer.dropped);
      break;
  }
  return out.toBytes();
}

/** `runs` is filled and lent where the answer has runs. Throws BytesError or RangeError. */
export function decodeQueueAnswer(body: Uint8Array, runs: Runs = new Runs()): QueueAnswer {
  const from = new ByteReader(body);
  const kind = KINDS[from.u8()];
  const outcome = QUEUE_OUTCOMES[from.u8()];
  if (outcome === undefined) throw new RangeError('unknown queue outcome');
  switch (kind) {
    case 'published':
      return { kind, outcome, offset: from.varI53(), expected: from.varU53() };
    case 'attached':
      return { kind, outcome, epoch: from.varU53(), seen: from.varU53() };
    case 'deliveries': {
      const epoch = from.varU53();
      const ready = from.varU53();
      getDeliveries(from, runs);
      return { kind, outcome, epoch, ready, runs };
    }
    case 'settled': {
      const count = from.varU53();
      const rows = from.varU53();
      const refused = rows === 0 ? NO_ROWS : Array.from({ length: rows }, () => from.varU53());
      return { kind, outcome, count, refused };
    }
    case 'count':
      return { kind, outcome, count: from.varU53() };
    case 'stats':
      return {
        kind,
        outcome,
        ready: from.varU53(),
        leased: from.varU53(),
        consumers: from.varU53(),
        waiting: from.varU53(),
        startOffset: from.varU53(),
        endOffset: from.varU53(),
        dropped: from.varU53(),
      };
    default:
      throw new RangeError('unknown queue answer');
  }
}

/** As runs are put, with the returns of each; the lowest bit of the count says whether it is redelivered. */
function putDeliveries(out: ByteWriter, runs: Runs): void {
  out.varU53(runs.size);
  let offset = 0;
  let number = 0;
  for (let row = 0; row < runs.size; row += 1) {
    const count = runs.count[row]!;
    out.varI53(runs.offset[row]! - offset);
    out.varU53(count * 2 + runs.redelivered[row]!);
    out.varI53(runs.number[row]! - number);
    out.varU53(runs.returns[row]!);
    offset = runs.offset[row]! + count;
    number = runs.number[row]! + count;
  }
}

function getDeliveries(from: ByteReader, into: Runs): void {
  into.clear();
  const rows = from.varU53();
  let offset = 0;
  let number = 0;
  for (let row = 0; row < rows; row += 1) {
    offset += from.varI53();
    const packed = from.varU53();
    const count = Math.floor(packed / 2);
    number += from.varI53();
    into.push(offset, count, number, from.varU53(), packed % 2);
    offset += count;
    number += count;
  }
}
