import { expect, test } from 'vitest';
import { decodeUtf8 } from '../../../src/std/bytes.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

const OTHER = 8;

function said(rig: Rig, token: number): string {
  return decodeUtf8(rig.answer(1, token)?.['body'] as Uint8Array);
}

test('what waits for the commit inside a behavior goes on when the log is committed further', async () => {
  await inRig(61, async (rig) => {
    await led(rig);
    await rig.advance(200);
    const wake = rig.command(1, LOG, 'wake');
    await rig.advance(500);
    expect(rig.answer(1, wake)).toBeUndefined();
    rig.world.node('n3').pause();
    const local = rig.append(1, LOG, 'a', 'local');
    expect(await rig.result(1, local)).toBe('ok');
    expect(rig.answer(1, wake)).toBeUndefined();
    rig.world.node('n3').resume();
    expect(await rig.result(1, wake)).toBe('ok');
    expect(said(rig, wake)).toBe('committed 1');
  });
});

test('a behavior is told once per turn, not per frame, and only where it leads', async () => {
  await inRig(62, async (rig) => {
    await led(rig);
    await rig.advance(200);
    const before = rig.mischief(1).committedCalls;
    const tokens = Array.from({ length: 50 }, (_, i) => rig.append(1, LOG, `v${i}`));
    for (const token of tokens) expect(await rig.result(1, token)).toBe('ok');
    const calls = rig.mischief(1).committedCalls - before;
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThan(10);
    expect([rig.mischief(2).committedCalls, rig.mischief(3).committedCalls]).toEqual([0, 0]);
  });
});

test('a released log starts later on every replica, and what lies below cannot be read', async () => {
  await inRig(63, async (rig) => {
    await led(rig);
    for (let i = 0; i < 10; i += 1) await rig.result(1, rig.append(1, LOG, `v${i}`));
    expect(await rig.result(1, rig.command(1, LOG, 'release 7'))).toBe('ok');
    const startOf = (id: number) => rig.at(id).host.hosted(LOG)?.machine.startOffset;
    await rig.until(() => [1, 2, 3].every((id) => startOf(id) === 7));
    for (const id of [1, 2, 3]) expect(rig.at(id).store.log(LOG)?.startOffset).toBe(7);
    // Going back is no move, and no frame.
    const endSeq = rig.at(1).host.hosted(LOG)!.stored.endSeq;
    expect(await rig.result(1, rig.command(1, LOG, 'release 3'))).toBe('ok');
    await rig.advance(500);
    expect(rig.at(1).host.hosted(LOG)!.stored.endSeq).toBe(endSeq + 1);
    expect(startOf(1)).toBe(7);
    // The start lasts: it is in the state that a later leader begins with.
    rig.kill(1);
    rig.fence(1);
    rig.grant(LOG, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    expect(startOf(2)).toBe(7);
  });
});

test('F1: a log is not released before what makes its records needless is committed', async () => {
  await inRig(64, async (rig) => {
    await led(rig);
    for (let i = 0; i < 5; i += 1) await rig.result(1, rig.append(1, LOG, `v${i}`));
    rig.world.node('n3').pause();
    rig.append(1, LOG, 'held back');
    rig.command(1, LOG, 'release 5');
    const later = rig.command(1, LOG, 'release 6');
    await rig.advance(3_000);
    const startOf = (id: number) => rig.at(id).host.hosted(LOG)?.machine.startOffset;
    expect(startOf(1)).toBe(0);
    rig.world.node('n3').resume();
    expect(await rig.result(1, later)).toBe('ok');
    await rig.until(() => [1, 2, 3].every((id) => startOf(id) === 6));
  });
});

test('a start that may wait rides with the next frame, and has none of its own', async () => {
  await inRig(66, async (rig) => {
    await led(rig);
    for (let i = 0; i < 10; i += 1) await rig.result(1, rig.append(1, LOG, `v${i}`));
    const endSeq = () => rig.at(1).host.hosted(LOG)!.stored.endSeq;
    const startOf = (id: number) => rig.at(id).host.hosted(LOG)?.machine.startOffset;
    // The last frame is committed, so what it made needless goes with this one.
    const first = endSeq();
    expect(await rig.result(1, rig.command(1, LOG, 'offer 7'))).toBe('ok');
    await rig.until(() => [1, 2, 3].every((id) => startOf(id) === 7));
    expect(endSeq()).toBe(first + 1);
    for (const id of [2, 3]) {
      const { machine } = rig.at(id).host.hosted(LOG)!;
      expect((machine.state as { values: string[] }).values.at(-1)).toBe('offer 7');
    }
    // What is not committed rides with nothing.
    rig.world.node('n3').pause();
    rig.append(1, LOG, 'held back');
    rig.command(1, LOG, 'offer 9');
    const later = rig.command(1, LOG, 'word');
    await rig.advance(2_000);
    const before = endSeq();
    expect(startOf(1)).toBe(7);
    rig.world.node('n3').resume();
    expect(await rig.result(1, later)).toBe('ok');
    await rig.advance(3_000);
    expect([endSeq(), startOf(1)]).toEqual([before, 7]);
    expect(await rig.result(1, rig.command(1, LOG, 'word'))).toBe('ok');
    await rig.until(() => [1, 2, 3].every((id) => startOf(id) === 9));
  });
});

test('records below the start leave the disk: consumed in time they never reach a segment', async () => {
  const store = { segmentBytesMax: 64 * 1024, settleAgeMs: 3_000, settleBytes: 1024 * 1024 };
  await inRig(
    65,
    async (rig) => {
      await led(rig);
      rig.create(OTHER);
      rig.grant(OTHER, 1);
      await rig.until(() => rig.isLeading(1, OTHER));
      const value = 'x'.repeat(1_000);
      for (const logId of [LOG, OTHER]) {
        for (let i = 0; i < 200; i += 1) rig.append(1, logId, value);
        expect(await rig.result(1, rig.append(1, logId, value))).toBe('ok');
      }
      expect(await rig.result(1, rig.command(1, LOG, 'release 201'))).toBe('ok');
      await rig.advance(10_000);
      for (const id of [1, 2, 3]) {
        const { store: disk } = rig.at(id);
        expect(disk.log(LOG)!.settledOffset).toBe(201);
        expect(disk.log(LOG)!.segmentBytes).toBe(0);
        // The other log was not released, so its bytes are in files, until it is.
        expect(disk.log(OTHER)!.segmentBytes).toBeGreaterThan(200_000);
      }
      expect(await rig.result(1, rig.command(1, OTHER, 'release 201'))).toBe('ok');
      await rig.advance(1_000);
      for (const id of [1, 2, 3]) {
        expect(rig.at(id).store.log(OTHER)!.segmentBytes).toBe(0);
      }
    },
    store,
  );
});
