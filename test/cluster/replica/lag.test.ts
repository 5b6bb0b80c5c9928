// When a replica is out of sync: by time, and by records where the cluster says so.
import { expect, test } from 'vitest';
import { encodeCommand } from '../../../src/cluster/metadata/index.ts';
import { MetadataReplica } from '../../../src/cluster/metadata-shell/metadata-replica.ts';
import { encodeUtf8 } from '../../../src/std/utf8.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

const isOut = (rig: Rig) => !rig.logs.get(LOG)!.isr.includes(3);

/** How long it takes until node 3, which stands still, is out of sync with so many records to come. */
async function outAfterMs(rig: Rig, records: number, withinMs: number): Promise<number> {
  await led(rig);
  await rig.result(1, rig.append(1, LOG, 'first'));
  rig.world.node('n3').pause();
  for (let i = 0; i < records; i += 1) rig.append(1, LOG, `v${i}`);
  const { nowMs } = rig.world;
  await rig.until(() => isOut(rig), withinMs);
  return rig.world.nowMs - nowMs;
}

test('by records it is out at the next tick, and back when it has them', async () => {
  await inRig(91, async (rig) => {
    rig.lagSettings = { timeMaxMs: 1_000_000, recordsMax: 5 };
    expect(await outAfterMs(rig, 6, 5_000)).toBeLessThan(5_000);
    expect(await rig.result(1, rig.append(1, LOG, 'goes on'))).toBe('ok');
    rig.world.node('n3').resume();
    await rig.until(() => !isOut(rig));
  });
});

test('as many as it may have to come put nobody out', async () => {
  await inRig(92, async (rig) => {
    rig.lagSettings = { timeMaxMs: 1_000_000, recordsMax: 5 };
    await expect(outAfterMs(rig, 5, 30_000)).rejects.toThrow();
  });
});

/** What a shard is told in a cluster of that profile. */
function settingsOf(profile: string) {
  const metadata = new MetadataReplica(1);
  const directory = metadata.serve({ node: 1, shard: 0, shardIncarnation: 1 });
  const command = { kind: 'set-setting', key: 'profile', value: encodeUtf8(profile) } as const;
  expect(metadata.apply(encodeCommand(command), 1)).toBeUndefined();
  return directory.lagSettings();
}

test('in the profile classic-kafka 4,001 records to come put a replica out, and 4,000 do not', async () => {
  expect(settingsOf('default')).toEqual({ timeMaxMs: 10_000, recordsMax: 0 });
  const { recordsMax } = settingsOf('classic-kafka');
  expect(recordsMax).toBe(4_000);
  await inRig(94, async (rig) => {
    rig.lagSettings = { timeMaxMs: 1_000_000, recordsMax };
    await expect(outAfterMs(rig, recordsMax, 10_000)).rejects.toThrow();
    expect(rig.append(1, LOG, 'one more')).toBeGreaterThan(0);
    await rig.until(() => isOut(rig), 5_000);
  });
});

test('the time is as the cluster has it now', async () => {
  await inRig(93, async (rig) => {
    rig.lagSettings = { timeMaxMs: 3_000, recordsMax: 0 };
    const ms = await outAfterMs(rig, 1_000, 60_000);
    expect(ms).toBeGreaterThan(2_000);
    expect(ms).toBeLessThan(8_000);
  });
});
