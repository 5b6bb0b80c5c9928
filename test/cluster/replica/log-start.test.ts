import { expect, it } from 'vitest';
import {
  behaviorEvents,
  decodeHostEvent,
  encodeLogStart,
  markBehaviorEvents,
  startBesideBehavior,
} from '../../../src/cluster/replica/host-events.ts';
import { LogStart } from '../../../src/cluster/replica/log-start.ts';

it('says where the log may start when what made records needless is committed', () => {
  const start = new LogStart();
  expect(start.safe(9)).toBe(-1);
  start.want(10, 5, false);
  expect(start.safe(4)).toBe(-1);
  expect(start.safe(5)).toBe(10);
  start.moved(10);
  expect(start.safe(5)).toBe(-1);
});

it('does not let later wishes put off the first, and forgets what the last has overtaken', () => {
  const start = new LogStart();
  start.want(10, 5, false);
  start.want(20, 6, false);
  start.want(30, 7, false);
  expect(start.safe(5)).toBe(10);
  expect(start.safe(6)).toBe(10);
  expect(start.safe(7)).toBe(30);
  start.moved(10);
  expect(start.safe(6)).toBe(-1);
  start.want(40, 8, false);
  expect(start.safe(7)).toBe(30);
  start.moved(30);
  expect(start.safe(8)).toBe(40);
  start.moved(40);
  expect(start.safe(99)).toBe(-1);
});

it('is due when a wish that is due is safe, however many others came since', () => {
  const start = new LogStart();
  start.want(10, 5, false);
  expect(start.due(5)).toBe(-1);
  // The same place, and it is time now.
  start.want(10, 5, true);
  expect(start.due(4)).toBe(-1);
  expect(start.due(5)).toBe(10);
  start.want(20, 6, true);
  start.want(30, 7, false);
  start.moved(10);
  expect(start.due(6)).toBe(-1);
  expect(start.due(7)).toBe(30);
  start.moved(30);
  start.want(40, 8, false);
  expect(start.due(8)).toBe(-1);
  expect(start.safe(8)).toBe(40);
});

it('never goes back', () => {
  const start = new LogStart();
  start.want(20, 5, false);
  start.want(10, 6, false);
  expect(start.safe(6)).toBe(20);
});

it('shares a frame with what the behavior says', () => {
  const said = Uint8Array.of(2, 7, 9);
  const both = markBehaviorEvents(said, 2 ** 40 + 3);
  expect(startBesideBehavior(both)).toBe(2 ** 40 + 3);
  expect(behaviorEvents(both)).toEqual(said);
  expect(decodeHostEvent(both)).toBeUndefined();
  // A frame with a batch alone moves the start as well.
  const bare = markBehaviorEvents(undefined, 4);
  expect(startBesideBehavior(bare)).toBe(4);
  expect(behaviorEvents(bare)).toEqual(new Uint8Array(0));
  const plain = markBehaviorEvents(said);
  expect(startBesideBehavior(plain)).toBe(-1);
  expect(behaviorEvents(plain)).toEqual(said);
  expect(startBesideBehavior(encodeLogStart(4))).toBe(-1);
  expect(markBehaviorEvents(undefined)).toHaveLength(0);
});
