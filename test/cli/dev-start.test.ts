// What `dev` refuses, and that it then leaves alone what is there. How it starts and ends is in dev-life.e2e.ts.
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { callboard, FAKE_NODE, freshFolder, isAlive, startDev } from './run-dev.ts';

async function stopped(run: ReturnType<typeof startDev>): Promise<number | string> {
  run.child.kill('SIGTERM');
  return run.exited;
}

describe('callboard dev', () => {
  test('a second one that asks for what the first does not run is refused with exit 5', async () => {
    const folder = freshFolder();
    const first = startDev(folder, ['--nodes', '3']);
    await first.ready();
    const starts = () => fs.readFileSync(join(folder, 'data/node-1/starts'), 'utf8');
    for (const [words, why] of [
      [['--nodes', '4'], /--nodes 4, but it runs 3/],
      [['--ram', 'n3'], /--ram n3, but it runs with no --ram/],
      [['--reset'], /--reset would remove its data/],
    ] as const) {
      const second = callboard(['dev', '--data', join(folder, 'data'), '--json', ...words]);
      expect(await second.exited).toBe(5);
      expect(second.stdout).toBe('');
      expect(second.stderr).toMatch(/pid \d+\) runs on .*\[DEV_FOLDER_TAKEN\]/);
      expect(second.stderr).toMatch(why);
    }
    expect([isAlive(first.pid), starts()]).toEqual([true, '1']);
    expect(await stopped(first)).toBe(0);
  });

  test.each([
    [['--nodes', '0'], /"0" is not a whole number from 1 to 16/],
    [['--restart', 'soon'], /neither "never" nor a time/],
    [['--kafka-port', '9000', '--http-port', '9001'], /port 9001 would be both/],
    [['--base-port', '65530'], /there is no port 6\d+/],
    [['--what'], /unknown option/],
    [['--nodes', '2'], /two nodes that vote .* every change .*--nodes 2 --ram n2/s],
    [['--nodes', '3', '--ram', 'n4'], /there is no node n4: the nodes are n1 to n3/],
    [['--ram', 'three'], /"three" is no node/],
    [['--nodes', '3', '--ram', 'n1,n2,n3'], /at least one is a disk node/],
    [['--nodes', '3', '--ram', 'n3'], /two nodes that vote/],
    [['--in-process', '--restart', '1s'], /--restart is for node processes/],
  ])('%j is refused with exit 2', async (words, message) => {
    const folder = freshFolder();
    const run = callboard([
      'dev',
      '--data',
      join(folder, 'd'),
      '--node-entry',
      FAKE_NODE,
      ...words,
    ]);
    expect(await run.exited).toBe(2);
    expect(run.stderr).toMatch(message);
  });

  test.runIf(process.getuid?.() !== 0)(
    'a folder that cannot be written: exit 5 and a way out',
    async () => {
      const folder = freshFolder();
      fs.chmodSync(folder, 0o500);
      const run = startDev(folder);
      expect(await run.exited).toBe(5);
      expect(run.stderr).toMatch(/cannot use the data folder .*EACCES[\s\S]*--memory/);
    },
  );

  test('a data folder that is a file: exit 5', async () => {
    const folder = freshFolder();
    fs.writeFileSync(join(folder, 'data'), '');
    const run = startDev(folder);
    expect(await run.exited).toBe(5);
    expect(run.stderr).toMatch(/cannot use the data folder/);
  });

  test('a folder of another format is left alone: exit 1', async () => {
    const folder = freshFolder();
    fs.mkdirSync(join(folder, 'data'));
    fs.writeFileSync(join(folder, 'data/cluster.json'), '{"format":99,"nodes":3}');
    const run = startDev(folder);
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(/written in format 99/);
    expect(fs.readFileSync(join(folder, 'data/cluster.json'), 'utf8')).toContain('99');
  });
});
