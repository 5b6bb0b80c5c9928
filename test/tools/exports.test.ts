import { describe, expect, test } from 'vitest';
// @ts-expect-error: a plain script without types.
import { unusedExports } from '../../tools/exports.mjs';

function faultsOf(texts: Readonly<Record<string, string>>): string[] {
  return unusedExports(new Map(Object.entries(texts))) as string[];
}

describe('unused exports', () => {
  test('what another file of src imports is used, through any number of files that pass it on', () => {
    const faults = faultsOf({
      'src/a/one.ts': 'export const one = 1;\nexport function two() {}\nexport class Three {}',
      'src/a/index.ts': "export { one as uno } from './one.ts';\nexport * from './one.ts';",
      'src/b/user.ts': "import { uno, type Three } from '../a/index.ts';",
      'src/c/user.ts': "import * as a from '../a/index.ts';\na.two();",
    });
    expect(faults).toEqual([]);
  });

  test('what only a door of a room passes on is not used', () => {
    const faults = faultsOf({
      'src/a/one.ts': 'export const one = 1;',
      'src/a/index.ts': "export * from './one.ts';",
    });
    expect(faults).toEqual(['src/a/one.ts: one is used by nobody in src']);
  });

  test('what only tests use is dead, but a file may open to them what it uses itself', () => {
    const faults = faultsOf({
      'src/a/one.ts': 'export const dead = 1;\nexport const shown = 2;\nconst twice = 2 * shown;',
      'test/a/one.test.ts': "import { dead, shown } from '../../src/a/one.ts';",
    });
    expect(faults).toEqual(['src/a/one.ts: dead is used by nobody in src']);
  });

  test('what a file uses alone is not exported; a comment is no use', () => {
    const faults = faultsOf({
      'src/a/one.ts': 'export const one = 1;\nconst two = one + one;',
      'src/a/two.ts': '// two is what it is\nexport const two = 2;',
    });
    expect(faults).toEqual([
      'src/a/one.ts: one is exported, but nobody imports it',
      'src/a/two.ts: two is used by nobody in src',
    ]);
  });

  test('types, the doors of the package and the tools of tests are left alone', () => {
    const faults = faultsOf({
      'src/index.ts': 'export const VERSION = 1;',
      'src/a/types.ts': 'export interface A {}\nexport type B = A;',
      'src/sim/runner.ts': 'export function inWorld() {}',
      'test/sim/a.test.ts': "import { inWorld } from '../../dist/sim/runner.js';",
    });
    expect(faults).toEqual([]);
  });
});
