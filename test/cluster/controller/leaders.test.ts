// How often the plans of leaders that leave are looked for: each step of the controller asks.
import { expect, test, vi } from 'vitest';
import { Leaders } from '../../../src/cluster/controller/leaders.ts';
import { World } from '../metadata/world.ts';

test('where nobody leaves, the logs are looked at when the metadata has changed, and not before', () => {
  const world = new World();
  const leaders = new Leaders(world.image);
  leaders.begin();
  const looked = vi.spyOn(world.image, 'reassigningLogs');
  for (let nowMs = 1_000; nowMs < 2_000; nowMs += 10) leaders.leaving(nowMs);
  expect(looked).toHaveBeenCalledTimes(1);
  world.join(1);
  for (let nowMs = 2_000; nowMs < 3_000; nowMs += 10) leaders.leaving(nowMs);
  expect(looked).toHaveBeenCalledTimes(2);
});
