// A queue where it lives: hosted on three simulated nodes, its frames replicated and committed by the real
// hosts, its records in the real stores.
import { expect, test } from 'vitest';
import { decodeQueueAnswer } from '../../../src/broker/view/answers.ts';
import { createQueueBehavior } from '../../../src/broker/view/behavior.ts';
import { encodeQueueCommand, type QueueCommand } from '../../../src/broker/view/commands.ts';
import { QUEUE_DEFAULTS } from '../../../src/broker/view/config.ts';
import type { QueueState } from '../../../src/broker/view/queue-state.ts';
import type { ShardStoreOptions } from '../../../src/storage/api.ts';
import { inRig, LOG, led, type Rig } from '../../cluster/replica/rig.ts';
import { batchOf, type Got, listOf, NODE, runsOf } from './harness.ts';

class Hosted {
  readonly rig: Rig;
  leader = 1;
  #number = 1;

  constructor(rig: Rig) {
    this.rig = rig;
  }

  send(command: QueueCommand): number {
    return this.rig.commandBytes(this.leader, LOG, encodeQueueCommand(command));
  }

  async ask(command: QueueCommand) {
    return this.answer(this.send(command));
  }

  async answer(token: number) {
    expect(await this.rig.result(this.leader, token)).toBe('ok');
    return decodeQueueAnswer(this.rig.answer(this.leader, token)!['body'] as Uint8Array);
  }

  publish(count: number, bytes = 1): number {
    const firstNumber = this.#number;
    this.#number += count;
    const batch = batchOf(count, () => new Uint8Array(bytes).fill(7));
    return this.publishAgain(firstNumber, batch);
  }

  publishAgain(firstNumber: number, batch: Uint8Array): number {
    const client = { clientId: 5, incarnation: 1, firstNumber };
    return this.send({ kind: 'publish', level: 'committed', ...client, batch });
  }

  attach(consumerId = 1) {
    return this.ask({
      kind: 'attach',
      owner: NODE,
      consumerId,
      isAutoAcknowledging: false,
      isExclusive: false,
      isPassive: false,
      priority: 0,
    });
  }

  receive(credit: number, waitMs = 30_000): number {
    const seen = Number.MAX_SAFE_INTEGER;
    const consumer = { owner: NODE, consumerId: 1, seen };
    return this.send({ kind: 'receive', ...consumer, credit, waitMs, leaseMs: 0 });
  }

  async got(token: number): Promise<Got[]> {
    const answer = await this.answer(token);
    if (answer.kind !== 'deliveries') throw new Error(`a ${answer.kind}`);
    return listOf(answer.runs, answer.epoch);
  }

  acknowledge(messages: readonly Got[], level: 'none' | 'committed' = 'committed') {
    return this.ask({ kind: 'acknowledge', level, ...runsOf(messages) });
  }

  stateOf(id: number): QueueState {
    return this.rig.at(id).host.hosted(LOG)!.machine.state as QueueState;
  }

  async moveTo(id: number): Promise<void> {
    this.rig.kill(this.leader);
    this.rig.fence(this.leader);
    this.rig.grant(LOG, id);
    await this.rig.until(() => this.rig.isLeading(id, LOG));
    this.leader = id;
  }
}

function hosted(
  seed: number,
  body: (queue: Hosted, rig: Rig) => Promise<void>,
  store: Partial<ShardStoreOptions> = {},
): Promise<void> {
  return inRig(
    seed,
    async (rig) => {
      await led(rig);
      await body(new Hosted(rig), rig);
    },
    store,
    createQueueBehavior(QUEUE_DEFAULTS),
  );
}

test('a receive that waits is answered when its messages are committed', async () => {
  await hosted(71, async (queue, rig) => {
    await queue.attach();
    const waiting = queue.receive(10);
    await rig.advance(300);
    expect(rig.answer(1, waiting)).toBeUndefined();
    rig.world.node('n3').pause();
    const published = queue.publish(3);
    await rig.advance(1_000);
    expect(rig.answer(1, waiting)).toBeUndefined();
    rig.world.node('n3').resume();
    const got = await queue.got(waiting);
    expect(await queue.answer(published)).toMatchObject({ outcome: 'ok', offset: 0 });
    expect(got.map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [0, false],
      [1, false],
      [2, false],
    ]);
  });
});

test('the leader dies: what it had delivered comes again, marked, and what it had confirmed is there', async () => {
  await hosted(72, async (queue, rig) => {
    await queue.attach();
    const tokens = Array.from({ length: 5 }, () => queue.publish(2));
    for (const token of tokens) await queue.answer(token);
    const got = await queue.got(queue.receive(6));
    await queue.acknowledge(got.slice(0, 3));
    await queue.moveTo(2);
    expect(queue.stateOf(2).floor).toBe(3);
    await queue.attach();
    const again = await queue.got(queue.receive(100));
    expect(again.map(({ offset }) => offset)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(again.every(({ redelivered }) => redelivered)).toBe(true);
    // The client sends again what it has no answer for: it is known, and is where it was.
    expect(await queue.answer(queue.publishAgain(9, batchOf(2)))).toMatchObject({ offset: 8 });
    expect(await queue.acknowledge(again)).toMatchObject({ count: 7 });
    const fresh = await queue.answer(queue.publish(1));
    expect(fresh).toMatchObject({ outcome: 'ok', offset: 10 });
    const [last] = await queue.got(queue.receive(1));
    expect(last).toMatchObject({ offset: 10, epoch: 3 });
    await rig.startNode(1);
    // The old leader holds what the others hold, byte for byte.
    const hashOf = (id: number) => rig.at(id).host.hosted(LOG)?.machine.stateHash();
    await rig.until(() => [1, 3].every((id) => hashOf(id) === hashOf(2)));
    expect(queue.stateOf(1)).toMatchObject({ floor: 10, endOffset: 11 });
  });
});

test('what is acknowledged leaves the disk: in time it never reaches a segment, later its segments go', async () => {
  const store = { segmentBytesMax: 64 * 1024, settleAgeMs: 2_000, settleBytes: 4 * 1024 * 1024 };
  await hosted(
    73,
    async (queue, rig) => {
      await queue.attach();
      const settle = async (count: number) => {
        for (let i = 0; i < count; i += 1) await queue.answer(queue.publish(10, 1_000));
        const got: Got[] = [];
        return async () => {
          while (got.length < count * 10) got.push(...(await queue.got(queue.receive(1_000))));
          await queue.acknowledge(got);
        };
      };
      const inTime = await settle(20);
      await inTime();
      await rig.advance(10_000);
      for (const id of [1, 2, 3]) {
        const log = rig.at(id).store.log(LOG)!;
        expect([log.startOffset, log.settledOffset, log.segmentBytes]).toEqual([200, 200, 0]);
      }
      const late = await settle(40);
      await rig.advance(10_000);
      expect(rig.at(2).store.log(LOG)!.segmentBytes).toBeGreaterThan(400_000);
      await late();
      await rig.advance(5_000);
      for (const id of [1, 2, 3]) {
        const log = rig.at(id).store.log(LOG)!;
        expect(log.startOffset).toBe(600);
        expect(log.segmentBytes).toBe(0);
      }
    },
    store,
  );
});

test('a receive waits in log time and is answered empty', async () => {
  await hosted(74, async (queue, rig) => {
    await queue.attach();
    const waiting = queue.receive(1, 2_000);
    await rig.advance(1_900);
    expect(rig.answer(1, waiting)).toBeUndefined();
    expect(await queue.got(waiting)).toEqual([]);
  });
});
