// The same as descriptors.test.ts over the real disk: a process that may open 64 files has a store of 500 logs.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const program = fileURLToPath(new URL('./support/few-descriptors.mjs', import.meta.url));

it.skipIf(process.platform === 'win32')(
  '500 logs are written and read back with 64 descriptors',
  () => {
    const root = fs.mkdtempSync(join(tmpdir(), 'callboard-few-'));
    try {
      const command = 'ulimit -n 64 && exec "$0" "$@"';
      const run = spawnSync('sh', ['-c', command, process.execPath, program, root], {
        encoding: 'utf8',
      });
      expect(run.stderr).toBe('');
      const all = { good: 1500, kinds: { file: 1500 } };
      expect(JSON.parse(run.stdout)).toEqual({
        written: all,
        found: all,
        // There was a moment in which none was free.
        isShort: true,
        errors: [],
        failure: null,
      });
    } finally {
      fs.rmSync(root, { recursive: true });
    }
  },
);
