// Compiles the benches and runs those whose names contain an argument (all without one), each in a
// process of its own. `node bench/run.mjs tell ask --json`. Benches measure dist: build first.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = createRequire(import.meta.url)
  .resolve('typescript/package.json')
  .replace('package.json', 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'bench'], { cwd: root, stdio: 'inherit' });
const flags = process.argv.slice(2).filter((each) => each.startsWith('--'));
const wanted = process.argv.slice(2).filter((each) => !each.startsWith('--'));
let exitCode = 0;
for (const file of readdirSync(`${root}/dist-bench`).sort()) {
  if (!file.endsWith('.bench.js')) continue;
  if (wanted.length > 0 && !wanted.some((each) => file.includes(each))) continue;
  const run = spawnSync(process.execPath, [`dist-bench/${file}`, ...flags], {
    cwd: root,
    stdio: 'inherit',
  });
  if (run.status !== 0) exitCode = 1;
}
process.exitCode = exitCode;
