// What the run needs beside Node: strace and mount. What is missing is installed by name where that may be
// done; else the answer says what is missing, and the run fails: nothing is left out in silence.
import { spawnSync } from 'node:child_process';

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

/** Installs what is missing; answers what is missing still, as sentences. */
export function provideNeeds() {
  if (process.platform !== 'linux') return ['this run needs Linux'];
  const missing = NEEDS.filter(({ command }) => !works(command)).map(({ name }) => name);
  const isRoot = process.getuid() === 0;
  if (missing.length > 0 && isRoot && works(['apt-get', '--version'])) {
    console.log(`installing ${missing.join(' and ')}`);
    install(missing);
  }
  const faults = NEEDS.filter(({ command }) => !works(command)).map(
    ({ name }) =>
      `${name} is missing: install it with the system's packages (apt-get install ${name})`,
  );
  if (!isRoot) faults.push('mounting a tmpfs needs root: run this as root');
  return faults;
}
