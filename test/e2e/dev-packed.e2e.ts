// The package as people get it: packed, installed into an empty folder, started from there.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROOT, freshFolder as tempFolder } from '../../tools/lib/dev-cluster.mjs';
import { callboard, endedWithin, Run } from '../cli/run-dev.ts';

const BYTES_MAX = 20 * 1024 * 1024;

let folder: string;
let installed: { readonly status: number | null; readonly output: string };

function npm(args: readonly string[], cwd: string) {
  const run = spawnSync('npm', args, { cwd, encoding: 'utf8', timeout: 120_000 });
  return { status: run.status, output: run.stdout + run.stderr };
}

function bytesOf(path: string): number {
  let total = 0;
  for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) total += bytesOf(child);
    else if (entry.isFile()) total += fs.statSync(child).size;
  }
  return total;
}

beforeAll(() => {
  folder = tempFolder('callboard packed é ');
  // Scripts are for the author's machine: it is built already.
  const packed = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', folder], ROOT);
  expect(packed.status, packed.output).toBe(0);
  const [tarball = ''] = fs.readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  fs.writeFileSync(join(folder, 'package.json'), '{"private":true}');
  installed = npm(
    ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`],
    folder,
  );
}, 180_000);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

it('installs without a word about scripts, in less than 20 MB', () => {
  expect(installed.status, installed.output).toBe(0);
  expect(installed.output).not.toMatch(/warn|install script|allow-scripts/i);
  expect(bytesOf(join(folder, 'node_modules'))).toBeLessThan(BYTES_MAX);
});

it('holds the built program and nothing of its tests, sources or benches', () => {
  const files = fs.readdirSync(join(folder, 'node_modules/callboard')).sort();
  const shown = ['CHANGELOG.md', 'LICENSE', 'README.md', 'docs', 'examples'];
  expect(files).toEqual([...shown, 'bin', 'dist', 'package.json'].sort());
});

it('starts with npx, prints one line, takes a message, gives it back, and ends with npx', async () => {
  const start = ['callboard', 'dev', '--json', '--base-port', '0'];
  const run = new Run('npx', ['--no-install', ...start], { cwd: folder });
  const nodes = await run.ready();
  expect(nodes).toHaveLength(3);
  const at = ['--data', join(folder, '.callboard')];
  const sent = callboard(['produce', 'packed', '--value', 'hello', ...at]);
  expect(await sent.exited, sent.stderr).toBe(0);
  const read = callboard(['consume', 'packed', '--from', 'earliest', '--max', '1', ...at]);
  expect(await read.exited, read.stderr).toBe(0);
  expect(read.stdout).toBe('hello\n');
  run.child.kill('SIGTERM');
  const pids = nodes.map(({ pid }) => pid);
  expect(await endedWithin(pids, 3_000)).toBeDefined();
  expect(run.stdout).toMatch(/^\{"event":"ready"[^\n]*\}\n$/);
}, 90_000);
