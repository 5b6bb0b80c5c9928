// Runs what README.md tells its readers to run: every line of its `sh` blocks, in order, against the
// cluster that its first block starts. A line that this file does not know is a failure, so that no
// command is in the README that nobody has tried. `npm ci` and the test suites are run elsewhere.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const READY_TIMEOUT_MS = 60_000;
const COMMAND_TIMEOUT_MS = 120_000;

/** Line -> what is run in its place. Long runs are cut short; `.ci/run` has them in full. */
const KNOWN = new Map([
  ['npm ci && npm start', { start: 'npm start' }],
  ['npm ci && npm test', { covered: '.ci/run runs it' }],
  // Known seeds: a check of the text must not depend on luck.
  ['npm run sim -- --seeds 200', { run: 'npm run sim -- --seeds 5 --from 1000' }],
  ['npm run chaos:cluster -- --minutes 3', { covered: '.ci/run runs it' }],
  ['npm run demo', { covered: '.ci/run runs it' }],
  ['npx callboard inspect .callboard --node 1', { afterStop: true }],
  ['npm run chaos:kill9 -- --rounds 20', { run: 'npm run chaos:kill9 -- --rounds 1 --all 0' }],
]);
/** Commands that are run as they stand. */
const AS_IS = [
  /^npx callboard (produce|consume|find|ls|status|topic|policy|cluster|actors|doctor)\b/,
];

function commandsOf(text) {
  const commands = [];
  for (const [, block] of text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)) {
    for (const line of block.split('\n')) {
      const command = line.replace(/\s+#\s.*$/, '').trim();
      if (command !== '') commands.push(command);
    }
  }
  return commands;
}

function shell(command) {
  return spawn('bash', ['-c', command], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
}

function run(command) {
  return new Promise((resolve, reject) => {
    const child = shell(command);
    let output = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_TIMEOUT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    child.once('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ended with ${code}:\n${output}`));
    });
  });
}

/** Starts the cluster; the answer stops it and everything below it. */
async function start(command) {
  const child = spawn('bash', ['-c', `exec ${command}`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve, reject) => {
    let output = '';
    const fail = () => reject(new Error(`${command} was not ready:\n${output}`));
    const timer = setTimeout(fail, READY_TIMEOUT_MS);
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (!/ready in/.test(output) || !/Ctrl-C/.test(output)) return;
      clearTimeout(timer);
      console.log(output.trimEnd());
      resolve();
    });
    void ended.then(fail);
  });
  return async () => {
    child.kill('SIGINT');
    await ended;
  };
}

const folder = join(root, '.callboard');
if (existsSync(folder)) {
  console.error(`readme: ${folder} exists; its cluster is not to be mixed with this check`);
  process.exit(1);
}
let stop;
const afterStop = [];
try {
  for (const command of commandsOf(readFileSync(join(root, 'README.md'), 'utf8'))) {
    const known = KNOWN.get(command);
    const isAsIs = AS_IS.some((pattern) => pattern.test(command));
    if (known === undefined && !isAsIs) throw new Error(`an unknown command: ${command}`);
    console.log(`readme: ${command}`);
    if (known?.afterStop === true) afterStop.push(command);
    else if (known?.start !== undefined) stop = await start(known.start);
    else if (known?.covered === undefined) await run(known?.run ?? command);
  }
  await stop?.();
  stop = undefined;
  for (const command of afterStop) {
    console.log(`readme: ${command}, of the stopped cluster`);
    await run(command);
  }
  console.log('readme: every command works');
} catch (error) {
  console.error(`readme: ${error.message}`);
  process.exitCode = 1;
}
await stop?.();
rmSync(folder, { recursive: true, force: true });
// What the profile wrote: it writes over nothing, so the next check needs it gone.
rmSync(join(root, 'node1-thread0.cpuprofile'), { force: true });
