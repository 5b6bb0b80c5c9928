// How many messages a second does a queue publish, deliver and acknowledge through its pure behavior alone:
// no store, no threads, every frame committed at once? 64 messages to a batch, one consumer with 192 out,
// acknowledged 64 at a time. Once with nothing waiting, and once behind ten million that wait: what only
// waits must cost nothing.
import type { Decision } from '../dist/actors/durable/behavior.js';
import { decodeQueueAnswer } from '../dist/broker/view/answers.js';
import { createQueueBehavior } from '../dist/broker/view/behavior.js';
import { encodeQueueCommand, type QueueCommand } from '../dist/broker/view/commands.js';
import { QUEUE_DEFAULTS } from '../dist/broker/view/config.js';
import { Runs } from '../dist/broker/view/runs.js';
import { recordCount, stampBatch } from '../dist/records/batch.js';
import { encodeBatch } from '../dist/records/records.js';
import { crc32c } from '../dist/std/crc32c.js';
import { run, timed } from './lib/harness.ts';

const MESSAGES = 960_000;
const BATCH = 64;
const OUTSTANDING = 192;
const owner = { node: 1, incarnation: 1 };
const NO_EVENTS = new Uint8Array(0);

function batchOf(count: number): Uint8Array {
  const record = { timestampMs: 1, key: null, value: new Uint8Array(12) };
  return encodeBatch(
    Array.from({ length: count }, () => record),
    crc32c,
  ).slice();
}

/** A queue whose frames are committed as soon as they are applied. */
class Queue {
  readonly #behavior = createQueueBehavior(QUEUE_DEFAULTS);
  readonly #state = this.#behavior.initial();
  readonly #answers = new Map<number, Uint8Array>();
  readonly #batch = batchOf(BATCH);
  readonly #held = new Runs();
  readonly #got = new Runs();
  #seq = 1;
  #token = 0;
  #number = 1;
  #seen = 0;
  settled = 0;
  readonly #local = this.#behavior.promote(this.#state, this.#position());

  constructor() {
    const options = { isAutoAcknowledging: false, isExclusive: false, isPassive: false };
    this.#tell({ kind: 'attach', owner, consumerId: 1, ...options, priority: 0 });
  }

  get ready(): number {
    return this.#state.messages - this.#local.leases.count;
  }

  #position() {
    const { endOffset } = this.#state;
    return {
      logId: 1,
      epoch: 1,
      logTimeMs: 1_000,
      endOffset,
      committedOffset: endOffset,
      startOffset: 0,
      endSeq: this.#seq,
      committedSeq: this.#seq,
    };
  }

  #take(decision: Decision): void {
    const { events, batch } = decision;
    if (events !== undefined || batch !== undefined) {
      this.#seq += 1;
      const baseOffset = this.#state.endOffset;
      if (batch !== undefined) stampBatch(batch, 0, baseOffset, 1);
      this.#behavior.apply(this.#state, {
        seq: this.#seq,
        epoch: 1,
        logTimeMs: 1_000,
        events: events ?? NO_EVENTS,
        batch,
        baseOffset,
        nextOffset: batch === undefined ? baseOffset : baseOffset + recordCount(batch, 0),
      });
    }
    for (const { token, body } of decision.replies ?? []) this.#answers.set(token, body);
  }

  #tell(command: QueueCommand): number {
    this.#token += 1;
    const told = { token: this.#token, body: encodeQueueCommand(command) };
    this.#take(this.#behavior.decide(this.#state, this.#local, told, this.#position()));
    this.#take(this.#behavior.committed!(this.#state, this.#local, this.#position()));
    return this.#token;
  }

  publish(batch = this.#batch): void {
    const firstNumber = this.#number;
    this.#number += recordCount(batch, 0);
    const client = { clientId: 1, incarnation: 1, firstNumber };
    this.#answers.delete(this.#tell({ kind: 'publish', level: 'committed', ...client, batch }));
  }

  receive(): void {
    const credit = OUTSTANDING - this.#held.total;
    const options = { seen: this.#seen, credit, waitMs: 30_000, leaseMs: 0 };
    const token = this.#tell({ kind: 'receive', owner, consumerId: 1, ...options });
    const body = this.#answers.get(token);
    if (body === undefined) return;
    this.#answers.delete(token);
    const answer = decodeQueueAnswer(body, this.#got);
    if (answer.kind !== 'deliveries') throw new Error(`a ${answer.kind}`);
    for (let row = 0; row < this.#got.size; row += 1) {
      const count = this.#got.count[row]!;
      const number = this.#got.number[row]!;
      this.#held.add(this.#got.offset[row]!, count, number);
      this.#seen = number + count - 1;
    }
  }

  /** The oldest messages that are out, `BATCH` of them. */
  acknowledge(): void {
    const runs = new Runs();
    const rest = new Runs();
    for (let row = 0; row < this.#held.size; row += 1) {
      const offset = this.#held.offset[row]!;
      const number = this.#held.number[row]!;
      const count = this.#held.count[row]!;
      const now = Math.min(count, BATCH - runs.total);
      if (now > 0) runs.add(offset, now, number);
      if (count > now) rest.add(offset + now, count - now, number + now);
    }
    this.settled += runs.total;
    this.#answers.delete(this.#tell({ kind: 'acknowledge', level: 'none', epoch: 1, runs }));
    this.#held.clear();
    for (let row = 0; row < rest.size; row += 1) {
      this.#held.add(rest.offset[row]!, rest.count[row]!, rest.number[row]!);
    }
  }

  get outstanding(): number {
    return this.#held.total;
  }
}

async function measure(name: string, waiting: number, floor: number): Promise<void> {
  const queue = new Queue();
  const many = batchOf(10_000);
  for (let i = 0; i < waiting; i += 10_000) queue.publish(many);
  await run({
    name,
    unit: 'msg',
    floor,
    async round() {
      const before = queue.settled;
      const ms = await timed(() => {
        for (let sent = 0; sent < MESSAGES; sent += BATCH) {
          queue.publish();
          queue.receive();
          if (queue.outstanding >= OUTSTANDING) queue.acknowledge();
        }
      });
      while (queue.outstanding > 0 && waiting === 0) queue.acknowledge();
      const count = queue.settled - before;
      if (count < MESSAGES - OUTSTANDING) throw new Error(`${count} were acknowledged`);
      if (queue.ready < waiting - OUTSTANDING) throw new Error(`${queue.ready} wait`);
      return { count, ms };
    },
  });
}

await measure('queue-view', 0, 1_000_000);
await measure('queue-view-10m-waiting', 10_000_000, 900_000);
