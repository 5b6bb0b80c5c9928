import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { EAGAIN, loadNative } from '../../../src/env/node/native.ts';

const isLinux = process.platform === 'linux';

describe('native calls', () => {
  test('without a binary every row of the table says what is done instead', () => {
    const { calls, capabilities } = loadNative(false);
    expect(Object.keys(calls)).toEqual([]);
    expect(capabilities.map(({ name, isUsed }) => [name, isUsed])).toEqual([
      ['dup', false],
      ['sendfile', false],
      ['preadv2', false],
    ]);
    for (const { note } of capabilities) expect(note).not.toBe('');
  });

  test.runIf(isLinux)('dup makes a second descriptor and reports a wrong one', () => {
    const { dup } = loadNative().calls;
    const fd = fs.openSync(tmpdir(), 'r');
    const copy = dup!(fd);
    expect(copy).not.toBe(fd);
    expect(fs.fstatSync(copy).ino).toBe(fs.fstatSync(fd).ino);
    fs.closeSync(copy);
    fs.closeSync(fd);
    expect(() => dup!(copy)).toThrow(/errno 9/);
  });

  test.runIf(isLinux)(
    'preadv2 reads cached bytes at a position beyond 4 GiB without blocking',
    () => {
      const path = join(fs.mkdtempSync(join(tmpdir(), 'callboard-')), 'sparse');
      const fd = fs.openSync(path, 'w+');
      const position = 5 * 2 ** 30 + 7;
      fs.writeSync(fd, Buffer.from('deep'), 0, 4, position);
      const into = new Uint8Array(10);
      const count = loadNative().calls.preadNowait!(fd, into, position);
      // A file system without the flag answers an error, never wrong bytes.
      if (count >= 0) expect(new TextDecoder().decode(into.subarray(0, count))).toBe('deep');
      else expect(count).not.toBe(-EAGAIN);
      fs.closeSync(fd);
      fs.rmSync(path);
    },
  );

  test.runIf(isLinux)('the binary loads in worker threads that start and end at once', async () => {
    const url = new URL('../../../dist/env/node/native.js', import.meta.url).href;
    const script = `import('${url}').then(({ loadNative }) => {
      const { calls } = loadNative();
      const fd = calls.dup(1);
      require('node:worker_threads').parentPort.postMessage(fd >= 0);
    })`;
    const answers = await Promise.all(
      Array.from(
        { length: 6 },
        () =>
          new Promise<unknown>((resolve, reject) => {
            const worker = new Worker(script, { eval: true });
            let answer: unknown;
            worker.on('message', (message) => {
              answer = message;
            });
            worker.on('error', reject);
            worker.on('exit', () => resolve(answer));
          }),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 6 }, () => true));
  });
});
