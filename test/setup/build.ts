// Worker threads and child processes load compiled code, so a test run starts from a fresh build:
// what is tested is what is shipped.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

export default function setup(): void {
  // For work on one room while another does not compile; the suites that need workers then fail loudly.
  if (process.env['CALLBOARD_NO_BUILD'] === '1') return;
  const tsc = createRequire(import.meta.url).resolve('typescript/package.json');
  execFileSync(process.execPath, [tsc.replace('package.json', 'bin/tsc'), '-b'], {
    stdio: 'inherit',
  });
}
