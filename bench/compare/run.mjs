// `npm run bench:compare`: what other libraries for Node do with the same work, beside ours, in one run on this
// machine. Installs them here, by name and version, when they are missing; none is a dependency of Callboard.
// Each case is a process of its own: one warm-up, five rounds, the median. What arrived is counted.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const CASES = [
  ['tell', ['callboard', 'nact', 'xstate', 'effect']],
  ['ask', ['callboard', 'nact', 'effect']],
  ['thread-tell', ['callboard', 'message-port']],
  ['thread-ask', ['callboard', 'comlink', 'message-port']],
];

if (!existsSync(`${here}node_modules/xstate`)) {
  const args = ['install', '--no-audit', '--no-fund', '--no-package-lock'];
  const { status } = spawnSync('npm', args, { cwd: here, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}
console.log(`node ${process.version}, load ${loadavg()[0].toFixed(2)}`);
let failed = false;
for (const [work, libraries] of CASES) {
  for (const library of libraries) {
    const { status, stdout } = spawnSync(process.execPath, [`${here}case.mjs`, work, library], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) failed = true;
    console.log(
      `${work.padEnd(12)} ${library.padEnd(14)} ${status === 0 ? stdout.trim() : 'failed'}`,
    );
  }
}
process.exitCode = failed ? 1 : 0;
