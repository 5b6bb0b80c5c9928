// Numbered batches to a stream: stored once, behind what came before them, by the rules for plain ones. Random
// histories of them are in test/broker/view/histories.test.ts.
import { describe, expect, it } from 'vitest';
import type { Decision } from '../../../src/actors/durable/behavior.ts';
import { createPartitionBehavior } from '../../../src/broker/destination/partition.ts';
import { decodeQueueAnswer } from '../../../src/broker/view/answers.ts';
import { encodeQueueCommand } from '../../../src/broker/view/commands.ts';
import type { BatchFields } from '../../../src/records/batch-builder.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

const CLIENTS_MAX = 4_096;

class Stream {
  readonly behavior = createPartitionBehavior({
    rulesOf: () => ({ messageBytesMax: 1_000, needsKeys: false }),
  });
  state = this.behavior.initial();
  end = 0;
  #seq = 0;

  get #position() {
    const { end: endOffset, end: committedOffset } = this;
    const seqs = { endSeq: this.#seq, committedSeq: this.#seq };
    return {
      logId: 2,
      epoch: 1,
      logTimeMs: 0,
      startOffset: 0,
      endOffset,
      committedOffset,
      ...seqs,
    };
  }

  decide(body: Uint8Array): Decision {
    const local = this.behavior.promote(this.state, this.#position);
    return this.behavior.decide(this.state, local, { token: 1, body }, this.#position);
  }

  apply({ events, batch }: Decision, records: number): void {
    this.#seq += 1;
    this.behavior.apply(this.state, {
      seq: this.#seq,
      epoch: 1,
      logTimeMs: 0,
      events: events!,
      batch,
      baseOffset: this.end,
      nextOffset: this.end + records,
    });
    this.end += records;
  }

  /** As [outcome, offset, the number that is wanted next], with `!` if it was stored now. */
  publish(clientId: number, incarnation: number, firstNumber: number, batch: Uint8Array): string {
    const level = 'committed';
    const command = { kind: 'publish', level, clientId, incarnation, firstNumber, batch } as const;
    const decision = this.decide(encodeQueueCommand(command));
    const [reply] = decision.replies!;
    const answer = decodeQueueAnswer(reply!.body);
    if (answer.kind !== 'published') throw new Error(`the answer is a ${answer.kind}`);
    expect(reply!.level).toBe(answer.outcome === 'ok' ? 'committed' : 'none');
    const isNew = decision.batch !== undefined;
    if (isNew) this.apply(decision, Math.round(batch.length / 70));
    return `${answer.outcome} ${answer.offset} ${answer.expected}${isNew ? '!' : ''}`;
  }
}

/** Of about 70 bytes for each record. */
function batch(count: number, fields: BatchFields = {}): Uint8Array {
  const size = Math.floor((70 * count - 61) / count) - 6;
  const record = { timestampMs: 1, key: null, value: new Uint8Array(Math.max(0, size)) };
  return encodeBatch(new Array(count).fill(record), crc32c, fields).slice();
}

describe('a numbered batch', () => {
  it('is stored once, in its turn, and told where it is as long as that is remembered', () => {
    const stream = new Stream();
    expect(stream.publish(7, 1, 1, batch(2))).toBe('ok 0 3!');
    expect(stream.publish(8, 1, 1, batch(1))).toBe('ok 2 2!');
    expect(stream.publish(7, 1, 3, batch(1))).toBe('ok 3 4!');
    expect(stream.publish(7, 1, 1, batch(2))).toBe('ok 0 4');
    expect(stream.publish(7, 1, 5, batch(1))).toBe('number-gap -1 4');
    for (let number = 4; number < 70; number += 1) stream.publish(7, 1, number, batch(1));
    expect(stream.publish(7, 1, 1, batch(2))).toBe('ok -1 70');
    expect(stream.publish(7, 1, 69, batch(1))).toBe('ok 69 70');
  });

  it('of a new life starts over, and that of an old one is refused', () => {
    const stream = new Stream();
    stream.publish(7, 5, 1, batch(1));
    expect(stream.publish(7, 6, 1, batch(1))).toBe('ok 1 2!');
    expect(stream.publish(7, 5, 2, batch(1))).toBe('stale-client -1 2');
  });

  it('is refused as a plain one is, and takes no number then', () => {
    const stream = new Stream();
    expect(stream.publish(7, 1, 1, batch(20))).toBe('batch-too-large -1 1');
    const producer = { producerId: 5, producerEpoch: 0, baseSequence: 0 };
    const cut = batch(1).subarray(0, 66);
    for (const bad of [
      batch(1, { isControl: true }),
      batch(1, producer),
      cut,
      cut.subarray(0, 5),
    ]) {
      expect(stream.publish(7, 1, 1, bad)).toBe('bad-batch -1 1');
    }
    expect(stream.publish(7, 1, 0, batch(1))).toBe('bad-batch -1 1');
    expect(stream.publish(7, 1, 1, batch(1))).toBe('ok 0 2!');
  });

  it('whose bytes are cut, anywhere, is answered as what is no command, or as a bad batch', () => {
    const stream = new Stream();
    const level = 'committed';
    const client = { clientId: 300, incarnation: 70_000, firstNumber: 1 };
    const whole = encodeQueueCommand({ kind: 'publish', level, ...client, batch: batch(1) });
    for (let size = 1; size < whole.length; size += 1) {
      const { replies, batch: stored } = stream.decide(whole.subarray(0, size));
      expect(stored).toBeUndefined();
      const { outcome } = decodeQueueAnswer(replies![0]!.body);
      expect(['bad-command', 'bad-batch']).toContain(outcome);
    }
    const bad = whole.slice();
    bad[1] = 9;
    expect(decodeQueueAnswer(stream.decide(bad).replies![0]!.body).outcome).toBe('bad-command');
  });

  it('is remembered by a snapshot; of too many clients the one that was silent for longest is forgotten', () => {
    const stream = new Stream();
    for (let id = 1; id <= CLIENTS_MAX; id += 1) stream.publish(id, 1, 1, batch(1));
    stream.publish(1, 1, 2, batch(1));
    stream.publish(CLIENTS_MAX + 1, 1, 1, batch(1));
    const { behavior } = stream;
    const bytes = behavior.snapshot(stream.state);
    stream.state = behavior.restore(bytes);
    expect(behavior.snapshot(stream.state)).toEqual(bytes);
    expect(stream.state.clients.count).toBe(CLIENTS_MAX);
    expect(stream.publish(1, 1, 2, batch(1))).toBe(`ok ${CLIENTS_MAX} 3`);
    expect(stream.publish(2, 1, 2, batch(1))).toBe('number-gap -1 1');
  });
});

describe('events of a newer version', () => {
  it('stop the log instead of being passed over', () => {
    const stream = new Stream();
    const unknown = { events: Uint8Array.of(17, 0, 0, 0) };
    expect(() => stream.apply(unknown, 0)).toThrow(/newer version/);
  });
});
