// What waits for a time to come is ticked then, and costs nothing until then.
import { expect, test } from 'vitest';
import { durable, encodeCommand } from '../../../src/actors/durable/event-sourced.ts';
import { ask, protocol } from '../../../src/actors/index.ts';
import { none, u32 } from '../../../src/codec/index.ts';
import { decodeUtf8 } from '../../../src/std/bytes.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

function said(rig: Rig, token: number): string {
  return decodeUtf8(rig.answer(1, token)?.['body'] as Uint8Array);
}

test('a log with nothing but a waiting command is left alone until something is due', async () => {
  await inRig(81, async (rig) => {
    await led(rig);
    const parked = rig.command(1, LOG, 'forget', 60_000);
    const alarm = rig.command(1, LOG, 'alarm 20000');
    await rig.advance(2_000);
    const before = rig.mischief(1).dueCalls;
    await rig.advance(17_500);
    expect(rig.mischief(1).dueCalls - before).toBe(0);
    expect(await rig.result(1, alarm)).toBe('ok');
    // In time, and not a tick later.
    expect(Number(said(rig, alarm).slice('rang '.length))).toBeLessThan(20);
    expect(rig.answer(1, parked)).toBeUndefined();
    await rig.advance(30_000);
    expect(rig.mischief(1).dueCalls - before).toBeLessThan(10);
    await rig.advance(12_000);
    expect(rig.answer(1, parked)?.['result']).toBe('timed-out');
  });
});

test('something that is due sooner than what a log sleeps for wakes it', async () => {
  await inRig(82, async (rig) => {
    await led(rig);
    rig.command(1, LOG, 'forget', 600_000);
    await rig.advance(5_000);
    const alarm = rig.command(1, LOG, 'alarm 3000');
    const short = rig.command(1, LOG, 'forget', 1_000);
    await rig.advance(2_500);
    expect(rig.answer(1, short)?.['result']).toBe('timed-out');
    expect(rig.answer(1, alarm)).toBeUndefined();
    await rig.advance(1_000);
    expect(rig.answer(1, alarm)?.['result']).toBe('ok');
    expect(rig.mischief(1).ticks.length).toBe(1);
  });
});

test('a log that is deleted while it sleeps is not woken', async () => {
  await inRig(83, async (rig) => {
    await led(rig);
    const parked = rig.command(1, LOG, 'alarm 5000');
    await rig.advance(2_000);
    rig.delete(LOG);
    await rig.advance(10_000);
    expect(rig.answer(1, parked)?.['result']).toBe('unknown-log');
    expect(rig.mischief(1).ticks).toEqual([]);
  });
});

test('a timer whose frame is refused is decided once a tick, and fires when it can be kept', async () => {
  let decided = 0;
  const Alarms = durable(protocol('alarms', 1, { set: ask(u32, none), ring: ask(none, none) }), {
    events: { rang: none },
    state: u32,
    initial: () => 0,
    decide: {
      set: (_rung, count) => ({
        timers: Array.from({ length: count }, (_, at) => {
          return { key: `${at}`, afterMs: 2_000, op: 'ring' as const };
        }),
        reply: undefined,
      }),
      ring() {
        decided += 1;
        return { events: [{ type: 'rang', value: undefined }], reply: undefined };
      },
    },
    apply: { rang: (rung) => rung + 1 },
  });
  const rung = (rig: Rig) => (rig.at(1).host.hosted(LOG)!.machine.state as { value: number }).value;
  const set = async (rig: Rig): Promise<void> => {
    const [op] = Alarms.protocol.table;
    const token = rig.commandBytes(1, LOG, encodeCommand(op!, 300));
    expect(await rig.result(1, token)).toBe('ok');
  };
  await inRig(
    84,
    async (rig) => {
      await led(rig, 1, { minInsync: 2 });
      await set(rig);
      for (const id of [2, 3]) rig.fence(id);
      await rig.advance(4_000);
      expect(rung(rig)).toBe(0);
      // A tick is every 100 ms.
      expect(decided).toBeGreaterThan(5);
      expect(decided).toBeLessThan(25);
      for (const id of [2, 3]) rig.unfence(id);
      const before = decided;
      await rig.until(() => rung(rig) === 300);
      expect(decided - before).toBeLessThan(310);
    },
    {},
    Alarms.behavior,
  );
});

test('a log without other replicas that is written to without a pause is ticked once a second', async () => {
  await inRig(85, async (rig) => {
    await led(rig, 1, { replicas: [1] });
    await rig.advance(2_000);
    const { ticks } = rig.at(1).host;
    const before = ticks.count;
    for (let i = 0; i < 75; i += 1) {
      const token = rig.command(1, LOG, 'add x');
      await rig.advance(67);
      expect(rig.answer(1, token)?.['result']).toBe('ok');
    }
    expect(ticks.count - before).toBeGreaterThan(2);
    // Two where a frame was not durable yet.
    expect(ticks.count - before).toBeLessThan(16);
    await rig.advance(2_000);
    const idle = ticks.count;
    await rig.advance(10_000);
    expect(ticks.count).toBe(idle);
  });
});

test('what is due of a log without other replicas is on time, however busy the log is', async () => {
  await inRig(86, async (rig) => {
    await led(rig, 1, { replicas: [1] });
    await rig.advance(2_000);
    const alarm = rig.command(1, LOG, 'alarm 1500');
    for (let i = 0; i < 21; i += 1) {
      rig.append(1, LOG, `v${i}`);
      await rig.advance(67);
    }
    expect(rig.answer(1, alarm)).toBeUndefined();
    await rig.advance(250);
    expect(rig.answer(1, alarm)?.['result']).toBe('ok');
    expect(Number(said(rig, alarm).slice('rang '.length))).toBeLessThan(110);
  });
});
