// A shard with thousands of logs opens them a few hundred a turn: its thread answers meanwhile.
import { expect, test } from 'vitest';
import { inRig, type Rig } from './rig.ts';

const LOGS = 1_000;
const A_TURN_MOST = 256;
const IDS = Array.from({ length: LOGS }, (_, i) => i + 1);

const hosted = (rig: Rig): number => [...rig.at(1).host.hostedLogs()].length;

test('logs are opened a few hundred a turn, and each gets what metadata says by then', async () => {
  await inRig(
    83,
    async (rig) => {
      for (const logId of IDS) rig.create(logId);
      const change = { changed: IDS, elsewhere: [], deleted: [], isReplaced: true };
      rig.at(1).tell(change);
      expect(hosted(rig)).toBe(A_TURN_MOST);
      // What is told of all of them before all are open opens no more of them.
      rig.grant(LOGS, 1);
      rig.at(1).tell(change);
      expect(hosted(rig)).toBe(A_TURN_MOST);
      rig.delete(500);
      await rig.until(() => hosted(rig) === LOGS - 1);
      expect(rig.at(1).host.hosted(500)).toBeUndefined();
      await rig.until(() => rig.isLeading(1, LOGS));
      await rig.advance(1_000);
      expect(hosted(rig)).toBe(LOGS - 1);
    },
    {},
  );
});
