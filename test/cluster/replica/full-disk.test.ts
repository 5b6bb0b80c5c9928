// A leader whose disk is too full for batches: what makes room goes on, and so does what the cluster keeps for itself.
import { expect, test } from 'vitest';
import { ledgerBehavior, noMischief } from './ledger-behavior.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

/** More than the simulated disks have. */
const NEVER_ENOUGH = { freeBytesMin: 2 ** 40 };

async function outcomes(rig: Rig): Promise<unknown[]> {
  await led(rig);
  return [
    await rig.result(1, rig.append(1, LOG, 'a')),
    await rig.result(1, rig.command(1, LOG, 'ack')),
    await rig.result(1, rig.trim(1, LOG, -1)),
    rig.values(1, LOG),
  ];
}

test('refuses batches, and takes acknowledgements, moves of the start and the begin of an epoch', async () => {
  await inRig(
    301,
    async (rig) => {
      expect(await outcomes(rig)).toEqual(['no-space', 'ok', 'ok', ['ack']]);
      for (const { store } of rig.nodes.values()) expect(store.isShortOfSpace).toBe(true);
      rig.kill(1);
      rig.fence(1);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      expect(await rig.result(2, rig.command(2, LOG, 'ack too'))).toBe('ok');
    },
    NEVER_ENOUGH,
  );
});

test("takes the batches of the cluster's own logs", async () => {
  await inRig(
    302,
    async (rig) => {
      rig.isInternal = true;
      const [append, ack] = await outcomes(rig);
      expect([append, ack]).toEqual(['ok', 'ok']);
    },
    NEVER_ENOUGH,
  );
});

test('refuses the events of a behavior that stores what its users say', async () => {
  const behavior = { ...ledgerBehavior(noMischief()), storesEvents: true };
  await inRig(
    303,
    async (rig) => {
      const [append, ack, trim, values] = await outcomes(rig);
      expect([append, ack, trim, values]).toEqual(['no-space', 'no-space', 'ok', []]);
    },
    NEVER_ENOUGH,
    behavior,
  );
});
