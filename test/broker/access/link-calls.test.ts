// Open questions of a link: those that are ended leave the chain wherever they are in it.
import { describe, expect, it } from 'vitest';
import { LinkCall, OpenCalls } from '../../../src/broker/access/link-calls.ts';

const link = { heard: () => undefined, fetchedInput: () => undefined };

function calls(count: number): LinkCall[] {
  return Array.from({ length: count }, (_, token) => {
    const call = new LinkCall(link, {} as never, () => undefined);
    call.token = token;
    return call;
  });
}

describe('open questions', () => {
  it('are taken in the order in which they were asked, without those that have ended', () => {
    for (const ended of [[], [0], [4], [2], [0, 4], [1, 2, 3], [4, 3, 2, 1, 0]]) {
      const open = new OpenCalls();
      const all = calls(5);
      for (const call of all) open.add(call);
      for (const at of ended) open.delete(all[at]!);
      for (const at of ended) open.delete(all[at]!);
      const left = [0, 1, 2, 3, 4].filter((at) => !ended.includes(at));
      expect(open.isEmpty).toBe(left.length === 0);
      expect(open.takeAll().map(({ token }) => token)).toEqual(left);
      expect(open.isEmpty).toBe(true);
      expect(all.some(({ isOpen }) => isOpen)).toBe(false);
    }
  });

  it('may be asked again', () => {
    const open = new OpenCalls();
    const [first, second] = calls(2) as [LinkCall, LinkCall];
    for (const call of [first, second, first]) open.add(call);
    open.delete(first);
    open.add(first);
    expect(open.takeAll()).toEqual([second, first]);
  });
});
