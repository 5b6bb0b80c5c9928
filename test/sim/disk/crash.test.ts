import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PAGE_BYTES } from '../../../src/sim/disk/pages.ts';
import { inWorld } from '../../../src/sim/runner.ts';
import type { World } from '../../../src/sim/world.ts';

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      sector: fc.nat(3),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sync' as const) }) },
);

test('after a power cut each sector holds its synced value or one written after the last sync', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 12 }), async (seed, steps) => {
      await inWorld(seed, {}, async (world) => {
        const node = world.node('n1');
        const { disk } = node.start().environment;
        const file = disk.open('data', { mode: 'create' });
        disk.syncDirectory('');
        // Per sector: the value that is surely durable, and those that may have replaced it.
        const sure = new Map<number, number>();
        const maybe = new Map<number, number[]>();
        let value = 0;
        for (const each of steps) {
          if (each.kind === 'sync') {
            file.sync(() => undefined);
            await world.advance(100);
            for (const [sector, values] of maybe) sure.set(sector, values.at(-1)!);
            maybe.clear();
            continue;
          }
          value += 1;
          file.write(
            new Uint8Array(each.count * PAGE_BYTES).fill(value),
            each.sector * PAGE_BYTES,
            () => undefined,
          );
          await world.advance(100);
          for (let i = each.sector; i < each.sector + each.count; i += 1) {
            maybe.set(i, [...(maybe.get(i) ?? []), value]);
          }
        }
        node.powerCut();
        const after = node.start().environment.disk.open('data', { mode: 'read' });
        const sector = new Uint8Array(PAGE_BYTES);
        for (let i = 0; i < 6; i += 1) {
          sector.fill(0);
          after.readSync(sector, i * PAGE_BYTES);
          const allowed = [sure.get(i) ?? 0, ...(maybe.get(i) ?? [])];
          expect(allowed).toContain(sector[0]);
          expect(sector.every((byte) => byte === sector[0])).toBe(true);
        }
      });
    }),
    { numRuns: 60 },
  );
});

test('every fate occurs: over many seeds an unsynced write is kept, dropped and torn', async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 40; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const node = world.node('n1');
      const { disk } = node.start().environment;
      const file = disk.open('data', { mode: 'create' });
      disk.syncDirectory('');
      file.write(new Uint8Array(PAGE_BYTES * 4).fill(1), 0, () => undefined);
      await world.advance(100);
      node.powerCut();
      const bytes = node.start().environment.disk.readFile('data')!;
      const ones = bytes.filter((byte) => byte === 1).length;
      seen.add(ones === 0 ? 'dropped' : ones === PAGE_BYTES * 4 ? 'kept' : 'torn');
    });
  }
  expect([...seen].sort()).toEqual(['dropped', 'kept', 'torn']);
});

test('a dsync write is durable when its callback fires; one under way is not yet', async () => {
  const lost = new Set<boolean>();
  for (let seed = 0; seed < 20; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const node = world.node('n1');
      const { disk } = node.start().environment;
      const file = disk.open('wal', { mode: 'create', dsync: true });
      disk.syncDirectory('');
      let done = 0;
      file.write(new Uint8Array(PAGE_BYTES).fill(1), 0, () => {
        done += 1;
      });
      await world.advance(100);
      expect(done).toBe(1);
      file.write(new Uint8Array(PAGE_BYTES).fill(2), PAGE_BYTES, () => {
        done += 1;
      });
      node.powerCut();
      await world.advance(100);
      expect(done).toBe(1);
      const bytes = node.start().environment.disk.readFile('wal')!;
      expect(bytes[0]).toBe(1);
      lost.add(bytes[PAGE_BYTES] !== 2);
    });
  }
  expect(lost.size).toBe(2);
});

test('a kill keeps what was written, synced or not', async () => {
  await inWorld(5, {}, async (world) => {
    const node = world.node('n1');
    const { disk } = node.start().environment;
    disk.open('data', { mode: 'create' }).writeSync(new Uint8Array([9]), 0);
    node.kill();
    expect(node.start().environment.disk.readFile('data')).toEqual(new Uint8Array([9]));
  });
});

test('an unsynced name may be gone after a power cut, a synced one never', async () => {
  const kept = new Set<boolean>();
  for (let seed = 0; seed < 30; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const node = world.node('n1');
      const { disk } = node.start().environment;
      disk.makeDirectory('a/b');
      disk.syncDirectory('');
      disk.syncDirectory('a');
      disk.open('a/b/sure', { mode: 'create' });
      disk.syncDirectory('a/b');
      disk.open('a/b/maybe', { mode: 'create' });
      node.powerCut();
      const after = node.start().environment.disk;
      expect(after.exists('a/b/sure')).toBe(true);
      kept.add(after.exists('a/b/maybe'));
    });
  }
  expect(kept.size).toBe(2);
});

test('a rename is whole or not at all, and carries only synced content', async () => {
  for (let seed = 0; seed < 30; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const node = world.node('n1');
      const { disk } = node.start().environment;
      disk.replaceFile('state', new Uint8Array([1]));
      const temp = disk.open('state.new', { mode: 'create' });
      temp.writeSync(new Uint8Array([2]), 0);
      temp.sync(() => undefined);
      await world.advance(100);
      disk.rename('state.new', 'state');
      node.powerCut();
      const content = node.start().environment.disk.readFile('state');
      expect([1, 2]).toContain(content![0]);
    });
  }
});

test('a replaced file is the old or the new one after a power cut at any moment', async () => {
  await inWorld(1, {}, async (world) => {
    const node = world.node('n1');
    node.start().environment.disk.replaceFile('state', new Uint8Array([3]));
    node.powerCut();
    expect(node.start().environment.disk.readFile('state')).toEqual(new Uint8Array([3]));
  });
});

test('after a failed sync the content counts as clean and is gone with the power', async () => {
  await inWorld(2, {}, async (world) => {
    const { file, node } = await prepared(world);
    node.device.arm('sync-error');
    const codes: (string | undefined)[] = [];
    file.writeSync(new Uint8Array(PAGE_BYTES).fill(2), 0);
    file.sync((error) => codes.push(error?.code));
    await world.advance(100);
    file.sync((error) => codes.push(error?.code));
    await world.advance(100);
    expect(codes).toEqual(['EIO', undefined]);
    node.powerCut();
    expect(node.start().environment.disk.readFile('data')![0]).toBe(1);
  });
});

test('a write that fails may have left any of its pages; one without room only those that need none', async () => {
  const left = new Set<string>();
  for (let seed = 0; seed < 40; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const { file, node } = await prepared(world);
      const byteAt = (page: number): number => {
        const byte = new Uint8Array(1);
        return file.readSync(byte, page * PAGE_BYTES) === 0 ? -1 : byte[0]!;
      };
      node.device.arm('write-error');
      expect(() => file.writeSync(new Uint8Array(PAGE_BYTES * 4).fill(2), 0)).toThrow('EIO');
      left.add(`EIO ${[0, 1, 2, 3].map(byteAt).join('')}`);
      node.device.fill();
      // Two pages that are there, two that are not.
      expect(() => file.writeSync(new Uint8Array(PAGE_BYTES * 4).fill(3), 2 * PAGE_BYTES)).toThrow(
        'ENOSPC',
      );
      left.add(`ENOSPC ${[2, 3].map((page) => (byteAt(page) === 3 ? 'new' : 'old')).join(' ')}`);
      expect([byteAt(4), byteAt(5)]).toEqual([-1, -1]);
    });
  }
  const full = [...left].filter((each) => each.startsWith('ENOSPC')).sort();
  expect(full).toEqual(['ENOSPC new new', 'ENOSPC new old', 'ENOSPC old old']);
  expect([...left].filter((each) => each.startsWith('EIO')).length).toBeGreaterThan(8);
});

test('a lost write is seen until the cache is gone, a misdirected one hits another page', async () => {
  await inWorld(3, {}, async (world) => {
    const { file, node } = await prepared(world);
    const byte = new Uint8Array(1);
    node.device.arm('lost-write');
    file.writeSync(new Uint8Array(PAGE_BYTES).fill(2), 0);
    file.readSync(byte, 0);
    expect(byte[0]).toBe(2);
    node.device.arm('misdirected-write');
    file.writeSync(new Uint8Array(PAGE_BYTES).fill(3), PAGE_BYTES);
    node.powerCut();
    const bytes = node.start().environment.disk.readFile('data')!;
    expect(bytes[0] === 1 || bytes[0] === 3).toBe(true);
    expect(bytes[PAGE_BYTES]).toBe(1);
    expect(bytes.includes(3)).toBe(true);
    expect(bytes.includes(2)).toBe(false);
  });
});

test('bit rot changes durable bytes and is read at once', async () => {
  await inWorld(4, {}, async (world) => {
    const { node } = await prepared(world);
    expect(node.device.rot((path) => path === 'data')).toBe('data');
    const bytes = node.process!.environment.disk.readFile('data')!;
    expect(bytes.every((each) => each === 1)).toBe(false);
  });
});

test('a full device takes overwrites and refuses growth until space returns', async () => {
  await inWorld(6, {}, async (world) => {
    const { file, node } = await prepared(world);
    const { disk } = node.process!.environment;
    const free = node.device.fill();
    const freeToo = node.device.fill();
    freeToo();
    expect(disk.freeBytes()).toBe(0);
    file.writeSync(new Uint8Array(10).fill(5), 0);
    expect(() => file.writeSync(new Uint8Array(10), PAGE_BYTES * 9)).toThrow('ENOSPC');
    expect(() => disk.open('more', { mode: 'create' })).toThrow('ENOSPC');
    free();
    file.writeSync(new Uint8Array(10), PAGE_BYTES * 9);
  });
});

test('a device of which somebody has taken all but a little takes that much, until it is given back', async () => {
  await inWorld(6, {}, async (world) => {
    const { file, node } = await prepared(world);
    const { disk } = node.process!.environment;
    const before = disk.freeBytes();
    expect(node.device.isShort).toBe(false);
    const most = node.device.leave(3 * PAGE_BYTES);
    const less = node.device.leave(9 * PAGE_BYTES);
    expect(node.device.isShort).toBe(true);
    expect(disk.freeBytes()).toBe(3 * PAGE_BYTES);
    file.writeSync(new Uint8Array(10), PAGE_BYTES * 9);
    expect(disk.freeBytes()).toBe(2 * PAGE_BYTES);
    expect(() => file.writeSync(new Uint8Array(PAGE_BYTES * 3), PAGE_BYTES * 20)).toThrow('ENOSPC');
    most();
    expect(disk.freeBytes()).toBe(8 * PAGE_BYTES);
    less();
    expect(disk.freeBytes()).toBe(before - PAGE_BYTES);
    node.device.leave(0);
    node.device.heal();
    expect(node.device.isShort).toBe(false);
  });
});

test('a shorter stall does not shorten a longer one, and slowness ends one by one', async () => {
  await inWorld(8, {}, async (world) => {
    const { file, node } = await prepared(world);
    node.device.stall(world.nowNs + 500e6);
    node.device.stall(world.nowNs + 100e6);
    let doneMs = 0;
    const startMs = world.nowMs;
    file.write(new Uint8Array(1), 0, () => {
      doneMs = world.nowMs;
    });
    await world.advance(2_000);
    expect(doneMs - startMs).toBeGreaterThan(500);
    const first = node.device.slow(1_000);
    node.device.slow(100_000);
    first();
    const nowNs = world.nowNs;
    expect(node.device.completionNs(nowNs, 'sync', 0) - nowNs).toBeGreaterThan(1e9);
    node.device.heal();
    expect(node.device.completionNs(nowNs, 'sync', 0) - nowNs).toBeLessThan(1e9);
  });
});

test('a lock is held by one living process and free after its death', async () => {
  await inWorld(7, {}, async (world) => {
    const node = world.node('n1');
    const first = node.start().environment.disk;
    expect(first.lock('lock', 'me')).toBeDefined();
    expect(first.lock('lock', 'me again')).toBeUndefined();
    node.kill();
    expect(node.start().environment.disk.lock('lock', 'other')).toBeDefined();
  });
});

/** Four pages of ones, durable. */
async function prepared(world: World) {
  const node = world.node('n1');
  const { disk } = node.start().environment;
  const file = disk.open('data', { mode: 'create' });
  disk.syncDirectory('');
  file.writeSync(new Uint8Array(PAGE_BYTES * 4).fill(1), 0);
  file.sync(() => undefined);
  await world.advance(100);
  return { file, node };
}
