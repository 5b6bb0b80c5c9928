// `npm run bench -- [NAME...] [--json]`: builds the program and the benches, and runs those whose names
// contain an argument (all without one), each in a process of its own, one after the other. A bench
// prints one line; one that fails prints why. Exit code 1 when one is below its floor or fails.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const built = join(root, 'dist-bench');
const tsc = createRequire(import.meta.url)
  .resolve('typescript/package.json')
  .replace('package.json', 'bin/tsc');

const flags = process.argv.slice(2).filter((each) => each.startsWith('--'));
const wanted = process.argv.slice(2).filter((each) => !each.startsWith('--'));
const unknown = flags.filter((flag) => flag !== '--json');
if (unknown.length > 0) {
  console.error(`bench: unknown option ${unknown[0]}; there is --json`);
  process.exit(2);
}

const compile = (...args) =>
  execFileSync(process.execPath, [tsc, ...args], { cwd: root, stdio: 'inherit' });
// For work on one room while another does not compile.
if (process.env.CALLBOARD_NO_BUILD !== '1') compile('-b');
compile('-p', 'bench');

const names = readdirSync(join(root, 'bench'))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
  .filter((name) => wanted.length === 0 || wanted.some((each) => name.includes(each)))
  .sort();
if (names.length === 0) {
  console.error(`bench: nothing is called ${wanted.join(' or ')}`);
  process.exit(2);
}
const missed = [];
for (const name of names) {
  const args = [join(built, `${name}.bench.js`), ...flags];
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) continue;
  missed.push(name);
  if (signal !== null) console.error(`${name} ended with ${signal}`);
}
if (missed.length > 0) {
  console.error(`below or failed: ${missed.join(', ')}`);
  process.exitCode = 1;
}
