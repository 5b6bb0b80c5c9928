// How often the plans of leaders that leave are looked for: each step of the controller asks.
import { expect, test, vi } from 'vitest';
import { Leaders } from '../../../src/cluster/controller/leaders.ts';
import { creation, World } from '../metadata/world.ts';

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

test('a leader whose replica leaves is planned as soon as somebody may take its log, and again when it goes on', () => {
  const world = new World([1, 2]);
  for (const name of ['t', 'u']) {
    world.do(creation(name, { assignments: [[1]], partitions: -1 }));
    const { logId } = world.log(name);
    world.do({ kind: 'move-log', logId, replicas: [2], partitionEpoch: -1 });
  }
  const [t, u] = ['t', 'u'].map((name) => {
    return { logId: world.log(name).logId, epoch: 1, leader: 1, target: 2 };
  });
  const leaders = new Leaders(world.image);
  leaders.begin();
  expect(leaders.leaving(1_000)).toEqual([]);
  world.setCode('t', [1, 2]);
  expect(leaders.leaving(1_010)).toEqual([t]);
  expect(leaders.leaving(1_020)).toEqual([]);
  world.setCode('u', [1, 2]);
  expect(leaders.leaving(1_030)).toEqual([u]);
  expect(leaders.leaving(3_400)).toEqual([]);
  expect(leaders.leaving(3_515)).toEqual([t]);
  expect(leaders.leaving(3_540)).toEqual([u]);
  world.handOver([t!, u!]);
  expect(world.log('t').leader).toBe(2);
  expect(leaders.leaving(9_000)).toEqual([]);
});

test('where all that stay leave as well, one of them takes the log all the same', () => {
  const world = new World([1, 2]);
  world.do(creation('t', { assignments: [[1]], partitions: -1 }));
  const { logId } = world.log('t');
  world.do({ kind: 'move-log', logId, replicas: [2], partitionEpoch: -1 });
  world.setCode('t', [1, 2]);
  world.image.putNode({ ...world.image.node(2)!, isLeaving: true });
  const leaders = new Leaders(world.image);
  leaders.begin();
  expect(leaders.leaving(1_000)).toEqual([{ logId, epoch: 1, leader: 1, target: 2 }]);
});

test('a leader that leaves with its node hands over to one that leaves as well, if there is no other', () => {
  const world = new World([1, 2]);
  world.do(creation('t', { assignments: [[1]], partitions: -1 }));
  const { logId } = world.log('t');
  world.do({ kind: 'move-log', logId, replicas: [2], partitionEpoch: -1 });
  world.setCode('t', [1, 2]);
  for (const id of [1, 2]) world.image.putNode({ ...world.image.node(id)!, isLeaving: true });
  const leaders = new Leaders(world.image);
  leaders.begin();
  expect(leaders.leaving(1_000)).toEqual([{ logId, epoch: 1, leader: 1, target: 2 }]);
});
