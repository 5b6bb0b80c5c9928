// How fast do ranges of 256 KB of a settled file go to a receiver that discards them: by sendfile, by copying,
// and beside them a loop of sendfile in C? C is compiled on the spot; where there is no compiler that column
// stays empty, and the receiver is a Node process, which copies.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection } from '../dist/env/environment.js';
import { createNodeDisk } from '../dist/env/node/disk.js';
import { createNodeLog } from '../dist/env/node/log.js';
import { loadNative } from '../dist/env/node/native.js';
import { createNodeNet } from '../dist/env/node/net.js';
import { run, timed } from './lib/harness.ts';

const RANGE_BYTES = 256 * 1024;
const TOTAL_BYTES = 1 << 30;
const RANGES = TOTAL_BYTES / RANGE_BYTES;
const HEAD = new Uint8Array(60);
const MB = 1e6;
/** Of the loop in C. */
const RATE_PART = 0.8;
const CPU_SEC_PER_GB_MAX = 0.3;
/** Where nothing can be compared. */
const FLOOR_MB = 500;
const NODE_RECEIVER =
  "require('node:net').connect(+process.argv[1], '127.0.0.1').on('data', () => undefined)";

const root = mkdtempSync(join(tmpdir(), 'callboard-fetch-'));
const binary = join(root, 'sendfile-loop');
const file = createNodeDisk(root).open('settled', { mode: 'create' });
file.writeSync(new Uint8Array(RANGE_BYTES).fill(7), 0);

function compiles(): boolean {
  try {
    execFileSync('cc', ['-O2', '-o', binary, join('bench', 'lib', 'sendfile-loop.c')]);
    return true;
  } catch {
    return false;
  }
}
const hasC = process.platform === 'linux' && compiles();

function receive(port: number): Promise<void> {
  const [command, args] = hasC
    ? [binary, ['recv', String(port)]]
    : [process.execPath, ['-e', NODE_RECEIVER, String(port)]];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore' });
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`ended: ${code}`))));
  });
}

/** Megabytes a second of the loop in C, the best of three, and its CPU seconds per GB. */
async function loopInC(): Promise<{ readonly rate: number; readonly cpu: number }> {
  let best = { rate: 0, cpu: 0 };
  for (let i = 0; i < 3; i += 1) {
    const args = ['send', join(root, 'settled'), String(RANGE_BYTES), String(TOTAL_BYTES)];
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    const port = await new Promise<number>((resolve) => {
      child.stdout.on('data', (chunk) => {
        said += String(chunk);
        resolve(Number(said.split('\n')[0]));
      });
    });
    const ms = await timed(() => receive(port));
    const rate = (TOTAL_BYTES / MB / ms) * 1000;
    const cpu = (Number(said.split('\n')[1]) / TOTAL_BYTES) * 1e9;
    if (rate > best.rate) best = { rate, cpu };
  }
  return best;
}

/** Sends everything to each connection; answers the CPU seconds per GB of this process. */
async function bench(name: string, isNative: boolean, floor: number): Promise<number> {
  const log = createNodeLog({ level: 'warn' });
  const native = loadNative(isNative).calls;
  const net = createNodeNet({ native, log });
  const accept = (connection: Connection): void => {
    let left = RANGES;
    const next = (): void => {
      if (left === 0) {
        connection.end();
        return;
      }
      left -= 1;
      connection.write(HEAD);
      connection.sendFile(file, 0, RANGE_BYTES, next);
    };
    connection.start({ onBytes: () => undefined, onClose: () => undefined });
    next();
  };
  const listener = await net.listen({ host: '127.0.0.1', port: 0 }, accept);
  let [cpuMicros, bytes] = [0, 0];
  await run({
    name,
    unit: 'MB',
    floor,
    round: async () => {
      const [before, outBefore] = [process.cpuUsage(), net.counters.bytesOut];
      const ms = await timed(() => receive(listener.address.port));
      const used = process.cpuUsage(before);
      const out = net.counters.bytesOut - outBefore;
      if (out !== TOTAL_BYTES + RANGES * HEAD.length) throw new Error(`${out} bytes were sent`);
      const wasSendfile = net.counters.sendfileBytes > 0;
      if (wasSendfile !== (native.sendfile !== undefined)) throw new Error('sent in another way');
      cpuMicros += used.user + used.system;
      bytes += out;
      return { count: TOTAL_BYTES / MB, ms };
    },
    close: () => listener.close(),
  });
  return cpuMicros / 1e6 / (bytes / 1e9);
}

const inC = hasC ? await loopInC() : undefined;
const floor = inC === undefined ? FLOOR_MB : Math.round(RATE_PART * inC.rate);
const cpu = await bench('fetch-settled sendfile', true, floor);
const cpuOfCopy = await bench('fetch-settled copy', false, FLOOR_MB);
const c =
  inC === undefined ? '' : `${inC.rate.toFixed(0)} MB/s, ${inC.cpu.toFixed(2)} CPU-s per GB`;
process.stderr.write(
  `sendfile ${cpu.toFixed(2)}, copy ${cpuOfCopy.toFixed(2)} CPU-s per GB; in C: ${c}\n`,
);
// Half of what copying costs, and never more than the bound.
if (cpu > CPU_SEC_PER_GB_MAX || cpu > cpuOfCopy / 2) process.exitCode = 1;
file.close();
rmSync(root, { recursive: true });
