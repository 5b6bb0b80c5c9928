// What the run needs beside Node: strace and mount, and leave to use them. What is missing is installed by name
// where that may be done. What may not be used is found by using it once; why comes as a sentence for people.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from '../lib/dev-cluster.mjs';
import { isForbidden } from './forbidden.mjs';
import { attach } from './trace.mjs';

const INSTALL_TIMEOUT_MS = 240_000;
/** A command that only looks, and the package of Debian and Ubuntu that holds it. */
const NEEDS = [
  { command: ['strace', '-V'], name: 'strace' },
  { command: ['mount', '--version'], name: 'mount' },
];

const works = ([file, ...args]) => spawnSync(file, args, { stdio: 'ignore' }).status === 0;

function install(names) {
  const options = { stdio: ['ignore', 'ignore', 'inherit'], timeout: INSTALL_TIMEOUT_MS };
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) => spawnSync('apt-get', ['-q', ...args], { ...options, env }).status === 0;
  if (apt('install', '-y', '--no-install-recommends', ...names)) return;
  // The lists of a fresh image are empty.
  if (apt('update')) apt('install', '-y', '--no-install-recommends', ...names);
}

/** Why nobody may be traced: a kernel or a container may forbid it to whoever has strace. */
async function tracingFault(folder) {
  const traced = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    const trace = await attach(traced.pid, join(folder, 'trace'));
    await trace.end();
    return undefined;
  } catch (error) {
    if (!isForbidden(error.message)) throw error;
    return error.message;
  } finally {
    traced.kill();
  }
}

/** Why no tmpfs can be mounted: that needs root, and a container may forbid it to root too. */
function mountingFault(folder) {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const options = { encoding: 'utf8' };
  const args = ['-t', 'tmpfs', '-o', 'size=1m', 'callboard', disk];
  const { status, stderr, error } = spawnSync('mount', args, options);
  if (status !== 0) {
    const why = error?.message ?? stderr.split('\n')[0];
    if (!isForbidden(why)) throw new Error(`a tmpfs was not mounted: ${why}`);
    return why;
  }
  spawnSync('umount', [disk], options);
  return undefined;
}

/** Installs what is missing. Answers why system calls cannot be looked at, and why no tmpfs can be had, where that is so. */
export async function provideNeeds() {
  const missing = () => NEEDS.filter(({ command }) => !works(command)).map(({ name }) => name);
  const wanted = missing();
  if (wanted.length > 0 && process.getuid() === 0 && works(['apt-get', '--version'])) {
    console.log(`installing ${wanted.join(' and ')}`);
    install(wanted);
  }
  const folder = freshFolder('callboard-needs-');
  try {
    return { tracing: await tracingFault(folder), mounting: mountingFault(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
