import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PAGE_BYTES, Pages } from '../../../src/sim/disk/pages.ts';
import { equalBytes } from '../../../src/std/bytes.ts';

const SPACE = PAGE_BYTES * 4;
const change = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    position: fc.nat(SPACE - 1),
    length: fc.integer({ min: 0, max: PAGE_BYTES + 100 }),
    fill: fc.nat(255),
  }),
  fc.record({ kind: fc.constant('truncate' as const), size: fc.nat(SPACE) }),
  fc.record({ kind: fc.constant('clone' as const) }),
);

test('pages hold what a plain array would hold, and clones never see later writes', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const pages = Pages.empty();
      let model = new Uint8Array(0);
      const clones: { image: Pages; model: Uint8Array }[] = [];
      for (const step of changes) {
        if (step.kind === 'clone') clones.push({ image: pages.clone(), model: model.slice() });
        else if (step.kind === 'truncate') {
          pages.truncate(step.size);
          model = resized(model, step.size);
        } else {
          const bytes = new Uint8Array(step.length).fill(step.fill);
          pages.write(bytes, step.position);
          const end = Math.max(model.length, step.position + bytes.length);
          if (end > model.length) model = resized(model, end);
          model.set(bytes, step.position);
        }
      }
      expect(equalBytes(contents(pages), model)).toBe(true);
      for (const each of clones) expect(equalBytes(contents(each.image), each.model)).toBe(true);
    }),
  );
});

test('a page of zeros shares one buffer, and a write to it does not leak into others', () => {
  const pages = Pages.empty();
  pages.write(new Uint8Array(PAGE_BYTES * 2), 0);
  pages.write(new Uint8Array([7]), 5);
  expect(contents(pages)[5]).toBe(7);
  expect(contents(pages)[PAGE_BYTES + 5]).toBe(0);
});

test('a flipped bit changes one bit of one image only', () => {
  const pages = Pages.empty();
  pages.write(new Uint8Array(10).fill(1), 0);
  const before = pages.clone();
  expect(pages.flipBit(3, 1)).toBe(true);
  expect(contents(pages)[3]).toBe(3);
  expect(contents(before)[3]).toBe(1);
  expect(pages.flipBit(PAGE_BYTES * 9, 0)).toBe(false);
});

function contents(pages: Pages): Uint8Array {
  const out = new Uint8Array(pages.size);
  expect(pages.read(out, 0)).toBe(pages.size);
  return out;
}

function resized(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(size);
  out.set(bytes.subarray(0, size));
  return out;
}
