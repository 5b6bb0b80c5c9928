// One message of a queue waits while many pass: every replica lets go of the bytes of those that are acknowledged for
// good, and of no others, and whoever leads next has the one that waits.
import { expect, test } from 'vitest';
import { decodeQueueAnswer } from '../../../src/broker/view/answers.ts';
import { createQueueBehavior } from '../../../src/broker/view/behavior.ts';
import { encodeQueueCommand, type QueueCommand } from '../../../src/broker/view/commands.ts';
import { QUEUE_DEFAULTS } from '../../../src/broker/view/config.ts';
import type { QueueState } from '../../../src/broker/view/queue-state.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { heldRecords } from './held-records.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

const SEGMENT_BYTES = 16 * 1024;
const SMALL = {
  settleBytes: 2_048,
  settleAgeMs: 200,
  checkpointMs: 1_000,
  checkpointBytes: 64 * 1024,
  walFileBytesMin: 64 * 1024,
  walFileBytesMax: 64 * 1024,
  segmentBytesMax: SEGMENT_BYTES,
};
const OWNER = { node: 1, incarnation: 1 };

async function publish(rig: Rig, leader: number, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const value = encodeUtf8('x'.repeat(1_000));
    const bytes = encodeBatch([{ timestampMs: 1, key: null, value }], crc32c);
    expect(await rig.result(leader, rig.appendBatch(leader, LOG, bytes))).toBe('ok');
  }
}

function command(rig: Rig, leader: number, body: QueueCommand): number {
  return rig.commandBytes(leader, LOG, encodeQueueCommand(body).slice());
}

/** Takes the first message that is there, and keeps it; answers its offset. */
async function takeOne(rig: Rig, leader: number, consumerId: number): Promise<number> {
  const of = { owner: OWNER, consumerId };
  const flags = { isAutoAcknowledging: false, isExclusive: false, isPassive: false, priority: 0 };
  const attached = command(rig, leader, { kind: 'attach', ...of, ...flags });
  expect(await rig.result(leader, attached)).toBe('ok');
  const wait = { seen: Number.MAX_SAFE_INTEGER, credit: 1, waitMs: 30_000, leaseMs: 0 };
  const token = command(rig, leader, { kind: 'receive', ...of, ...wait });
  expect(await rig.result(leader, token)).toBe('ok');
  const runs = new Runs();
  decodeQueueAnswer(rig.answer(leader, token)!['body'] as Uint8Array, runs);
  return runs.offset[0]!;
}

/** Acknowledges all that nobody holds. */
const purge = (rig: Rig, leader: number) => command(rig, leader, { kind: 'purge' });

/** Offsets whose records replica `id` has. */
const held = (rig: Rig, id: number) => heldRecords(rig, id).map(({ offset }) => offset);

const countersOf = (rig: Rig, id: number) => rig.at(id).host.compactions.needless.counters;

test('each replica lets go of what is acknowledged behind a message that waits, and it survives its leader', async () => {
  await inRig(
    95,
    async (rig) => {
      await led(rig);
      await publish(rig, 1, 1);
      expect(await takeOne(rig, 1, 1)).toBe(0);
      await publish(rig, 1, 150);
      expect(await rig.result(1, purge(rig, 1))).toBe('ok');
      await publish(rig, 1, 3);
      for (const id of [1, 2, 3]) {
        expect(rig.at(id).store.log(LOG)!.segmentBytes).toBeGreaterThan(100_000);
      }
      await rig.advance(180_000);
      for (const id of [1, 2, 3]) {
        const log = rig.at(id).store.log(LOG)!;
        expect(log.startOffset).toBe(0);
        expect(log.segmentBytes).toBeLessThan(2 * SEGMENT_BYTES);
        expect(held(rig, id)[0]).toBe(0);
        expect(held(rig, id).slice(-3)).toEqual([151, 152, 153]);
        const { passes, segments, recordsGone, bytesIn, bytesOut } = countersOf(rig, id);
        expect(passes).toBeGreaterThan(0);
        expect(segments).toBeGreaterThan(5);
        expect(recordsGone).toBeGreaterThan(100);
        expect(bytesOut).toBeLessThan(bytesIn / 4);
      }
      // What was looked into is not looked into again for nothing.
      const { passes } = countersOf(rig, 1);
      await publish(rig, 1, 1);
      await rig.advance(300_000);
      expect(countersOf(rig, 1).passes).toBe(passes);
      expect(rig.at(1).host.compactions.waiting).toBe(0);
      rig.kill(1);
      rig.fence(1);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      expect(await takeOne(rig, 2, 9)).toBe(0);
    },
    SMALL,
    createQueueBehavior(QUEUE_DEFAULTS),
  );
});

test('F1: what is acknowledged and not committed stays', async () => {
  await inRig(
    96,
    async (rig) => {
      await led(rig, 1, { mode: 'quorum', minInsync: 2 });
      await publish(rig, 1, 1);
      expect(await takeOne(rig, 1, 1)).toBe(0);
      await publish(rig, 1, 100);
      await rig.advance(90_000);
      rig.kill(2);
      rig.kill(3);
      purge(rig, 1);
      await rig.advance(300_000);
      const state = rig.at(1).host.hosted(LOG)!.machine.state as QueueState;
      expect(state.messages).toBe(1);
      expect(countersOf(rig, 1).passes).toBe(0);
      expect(held(rig, 1)).toHaveLength(101);
    },
    SMALL,
    createQueueBehavior(QUEUE_DEFAULTS),
  );
});

test('a queue that is consumed in order is left alone', async () => {
  await inRig(
    97,
    async (rig) => {
      await led(rig);
      for (let i = 0; i < 12; i += 1) {
        await publish(rig, 1, 30);
        await rig.advance(25_000);
        expect(await rig.result(1, purge(rig, 1))).toBe('ok');
      }
      expect(countersOf(rig, 1)).toMatchObject({ passes: 0, segments: 0 });
    },
    SMALL,
    createQueueBehavior(QUEUE_DEFAULTS),
  );
});
