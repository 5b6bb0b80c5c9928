// The system calls of a running process, by strace: attached for a while, then read back. A file for each
// thread, so that no call is cut in two by another.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const ATTACH_TIMEOUT_MS = 20_000;
/** Everything that moves bytes of files or makes them durable; io_uring would hide them, so it is looked for. */
const CALLS = [
  ...['read', 'pread64', 'readv', 'preadv', 'preadv2', 'write', 'pwrite64', 'writev', 'pwritev'],
  ...['pwritev2', 'fsync', 'fdatasync', 'sync', 'syncfs', 'sync_file_range', 'msync', 'sendfile'],
  ...['splice', 'copy_file_range', 'io_uring_enter'],
];
const LINE = /^(\w+)\((.*)\) += (-?\d+|\?)(?: .*)?$/;
const FIRST_FD = /^(\d+)<([^>]*)>/;

/**
 * One call: name, everything between its parentheses, what it answered, and the path behind its first
 * descriptor, if that is a file.
 */
export function parseCall(line) {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, name, args, result] = match;
  const [, fd, path] = FIRST_FD.exec(args) ?? [];
  return {
    name,
    args,
    result: result === '?' ? undefined : Number(result),
    fd: fd === undefined ? undefined : Number(fd),
    path: path?.startsWith('/') === true ? path : undefined,
  };
}

/** Attaches to all threads of a process. `end` detaches and answers the calls. */
export async function attach(pid, folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const args = ['-ff', '-y', '-s', '8', '-p', String(pid), '-o', join(folder, 'thread')];
  const child = spawn('strace', [...args, '-e', `trace=${CALLS.join(',')}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let said = '';
  await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`strace ${why}: ${said.trim()}`));
    const timer = setTimeout(() => fail('did not attach'), ATTACH_TIMEOUT_MS);
    child.stderr.on('data', (chunk) => {
      said += String(chunk);
      if (!/attached/.test(said)) return;
      clearTimeout(timer);
      resolve();
    });
    child.once('error', (error) => fail(error.message));
    void ended.then((code) => fail(`ended with ${code}`));
  });
  return {
    async end() {
      child.kill('SIGINT');
      await ended;
      return readdirSync(folder).flatMap((file) => callsOf(join(folder, file)));
    },
  };
}

function callsOf(path) {
  const calls = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    // Ends of threads, signals, and the call in which a thread was when strace let go of it.
    if (
      line === '' ||
      /^(\+\+\+|---|strace: )/.test(line) ||
      / <(detached|unfinished) /.test(line)
    ) {
      continue;
    }
    const call = parseCall(line);
    if (call === undefined) throw new Error(`not understood in a trace: ${line}`);
    calls.push(call);
  }
  return calls;
}
