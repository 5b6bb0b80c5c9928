// A real cluster for end-to-end tests, benches and chaos: `callboard dev` from the built program, on a
// free block of ports, in a temporary folder. Plain JavaScript, so that all three can load it as it is.
// Invariant: nothing that was started here outlives `stop`, and `stop` never throws.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = join(ROOT, 'bin', 'callboard.cjs');

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 8_000;
/** Below the range from which systems give ports to outgoing connections. */
const PORT_MIN = 20_000;
const PORT_COUNT = 11_000;
const BLOCKS_TRIED_MAX = 50;
/** Where `dev` puts a node's ports, above the base. */
const PORT_RUNS = [0, 100, 200, 300, 400];

export function shardsWanted() {
  const text = process.env.CALLBOARD_SHARDS ?? '0';
  const shards = Number(text);
  if (!Number.isInteger(shards) || shards < 0) throw new Error(`CALLBOARD_SHARDS is ${text}`);
  return shards;
}

export function freshFolder(name = 'callboard-e2e-') {
  return fs.mkdtempSync(join(tmpdir(), name));
}

export async function freeBasePort(nodes = 3) {
  for (let tried = 0; tried < BLOCKS_TRIED_MAX; tried += 1) {
    const base = PORT_MIN + Math.floor(Math.random() * PORT_COUNT);
    const ports = PORT_RUNS.flatMap((above) =>
      Array.from({ length: nodes }, (_, i) => base + above + i),
    );
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free block of ports');
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    // A zombie that nobody has waited for counts as ended.
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

export async function delay(ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

export async function until(what, probe, timeoutMs = 30_000) {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    let cause;
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > endMs) {
      const why = cause === undefined ? '' : ` (${cause.message})`;
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}${why}`, { cause });
    }
    await delay(25);
  }
}

export async function startDev(options = {}) {
  const ownFolder = options.data === undefined ? freshFolder() : undefined;
  const data = options.data ?? join(ownFolder, 'data');
  const basePort = options.basePort ?? (await freeBasePort(options.nodes));
  const run = spawnDev({ ...options, data, basePort });
  try {
    const { nodes, readyMs } = await run.ready;
    return new RunningCluster(run, nodes, { data, basePort, readyMs, ownFolder });
  } catch (error) {
    run.child.kill('SIGKILL');
    if (ownFolder !== undefined) removeFolder(ownFolder);
    throw error;
  }
}

export async function runDevToEnd(options, timeoutMs = 30_000) {
  const ownFolder = options.data === undefined ? freshFolder() : undefined;
  const data = options.data ?? join(ownFolder, 'data');
  const basePort = options.basePort ?? (await freeBasePort(options.nodes));
  const run = spawnDev({ ...options, data, basePort });
  run.ready.catch(() => undefined);
  const timer = setTimeout(() => run.child.kill('SIGKILL'), timeoutMs);
  const exitCode = await run.ended;
  clearTimeout(timer);
  if (ownFolder !== undefined) removeFolder(ownFolder);
  return { exitCode, output: run.output() };
}

function spawnDev(options) {
  const args = [BIN, 'dev', '--json', '--data', options.data];
  args.push('--base-port', String(options.basePort), '--restart', options.restart ?? 'never');
  if (options.shards !== 'default') {
    args.push('--shards', String(options.shards ?? shardsWanted()));
  }
  if (options.nodes !== undefined) args.push('--nodes', String(options.nodes));
  const startMs = performance.now();
  const child = spawn(process.execPath, [...args, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  let stdout = '';
  let stderr = '';
  const ended = new Promise((resolve) => {
    child.once('close', (code) => resolve(code ?? undefined));
  });
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  const output = () => stdout + stderr;
  const ready = new Promise((resolve, reject) => {
    const fail = (why) => {
      clearTimeout(timer);
      reject(new Error(`${why}\n${output()}\n${nodeLogs(options.data)}`));
    };
    const timer = setTimeout(() => fail('dev was not ready in time'), READY_TIMEOUT_MS);
    let isReady = false;
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
      const line = isReady ? null : /^\{"event":"ready".*\}$/m.exec(stdout);
      if (line === null) return;
      isReady = true;
      clearTimeout(timer);
      resolve({ nodes: JSON.parse(line[0]).nodes, readyMs: performance.now() - startMs });
    });
    void ended.then((code) => fail(`dev ended with ${code} before it was ready`));
  });
  return { child, ready, ended, output };
}

function nodeLogs(data) {
  const folder = join(data, 'logs');
  if (!fs.existsSync(folder)) return '';
  return fs
    .readdirSync(folder)
    .map((name) => {
      const text = fs.readFileSync(join(folder, name), 'utf8');
      return `--- ${name}\n${text.split('\n').slice(-30).join('\n')}`;
    })
    .join('\n');
}

function removeFolder(folder) {
  try {
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  } catch (error) {
    process.stderr.write(`cannot remove ${folder}: ${error.message}\n`);
  }
}

class RunningCluster {
  #run;
  #ownFolder;

  constructor(run, nodes, { data, basePort, readyMs, ownFolder }) {
    this.nodes = nodes;
    this.data = data;
    this.basePort = basePort;
    this.readyMs = readyMs;
    this.#run = run;
    this.#ownFolder = ownFolder;
  }

  get brokers() {
    return this.nodes.map((node) => node.kafka);
  }

  get pid() {
    return this.#run.child.pid ?? -1;
  }

  output() {
    return this.#run.output();
  }

  logOf(id) {
    return fs.readFileSync(join(this.data, 'logs', `node-${id}.log`), 'utf8');
  }

  pidOf(id) {
    return this.#now().find((node) => node.id === id)?.pid ?? -1;
  }

  async kill(id, signal = 'SIGKILL') {
    const pid = this.pidOf(id);
    process.kill(pid, signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await until(`node ${id} ends`, () => !isAlive(pid));
  }

  async killAll() {
    const pids = [this.pid, ...this.#now().map(({ pid }) => pid)];
    for (const pid of pids) killNow(pid);
    await until('all processes end', () => !pids.some(isAlive));
    await this.#run.ended;
  }

  async stop() {
    const { child, ended } = this.#run;
    const pids = this.#now().map(({ pid }) => pid);
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    }
    for (const pid of pids) killNow(pid);
    if (this.#ownFolder !== undefined) removeFolder(this.#ownFolder);
  }

  /** The nodes as `dev` last published them; it removes the file when it ends. */
  #now() {
    try {
      return JSON.parse(fs.readFileSync(join(this.data, 'dev.json'), 'utf8')).nodes;
    } catch {
      return this.nodes;
    }
  }
}

function killNow(pid) {
  if (!isAlive(pid)) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Ended between the look and the kill.
  }
}
