// Would mapped views of settled files pay? Ranges of 256 KB go to a receiver in another process, from a file in
// the page cache: read into one buffer and written, or written from a mapping, over TLS and over plain TCP, there
// beside sendfile. Counted is the CPU of this process for a gigabyte, by turns, each round against the one beside
// it. The mapping is at its best here: `kept` never faults twice, `anew` is one mapping for a pass over the file,
// and neither asks whether a page would have to come from the disk. Linux only; TLS is by a shared key, which
// needs no certificate, with the cipher that most connections use.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Connection } from '../dist/env/environment.js';
import { createNodeDisk } from '../dist/env/node/disk.js';
import { createNodeLog } from '../dist/env/node/log.js';
import { loadNative } from '../dist/env/node/native.js';
import { createNodeNet } from '../dist/env/node/net.js';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { timed } from './lib/harness.ts';

const RANGE_BYTES = 256 * 1024;
const FILE_BYTES = 64 << 20;
const ROUND_BYTES = 2 * FILE_BYTES;
const ROUNDS = 9;
/** What views must save to be worth their dangers (ARCHITECTURE.md). Above it the bench says `below`. */
const SAVED_MAX = 15;
const PROT_READ = 1;
const MAP_SHARED = 1;

const KEY = randomBytes(16);
const TLS = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  maxVersion: 'TLSv1.2',
} as const;
const PLAIN_RECEIVER = "require('node:net').connect({ host: '127.0.0.1', port: +process.argv[1],";
const TLS_RECEIVER = `require('node:tls').connect({ host: '127.0.0.1', port: +process.argv[1],
  ciphers: '${TLS.ciphers}', maxVersion: '${TLS.maxVersion}', checkServerIdentity: () => undefined,
  pskCallback: () => ({ identity: 'bench', psk: Buffer.from(process.argv[2], 'hex') }),`;
/** Discards, counts, and tells the count when the connection ends. */
const DISCARD = `onread: { buffer: Buffer.alloc(1 << 20), callback: (n) => { got += n; return true; } } })
  .on('close', () => console.log(got)); let got = 0`;

interface Koffi {
  load(path: null): { func(name: string, result: string, parameters: string[]): CallableFunction };
  view(pointer: unknown, length: number): ArrayBuffer;
}
const platform = `${process.platform}-${process.arch}`;
const koffi = createRequire(import.meta.url)(`@koromix/koffi-${platform}`) as Koffi;
const libc = koffi.load(null);
const mmap = libc.func('mmap', 'void *', ['size_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
const munmap = libc.func('munmap', 'int', ['void *', 'size_t']);

const root = mkdtempSync(join(tmpdir(), 'callboard-views-'));
const file = createNodeDisk(root).open('settled', { mode: 'create' });
for (let at = 0; at < FILE_BYTES; at += 1 << 20) file.writeSync(randomBytes(1 << 20), at);
const native = loadNative().calls;
const { preadNowait } = native;
if (preadNowait === undefined || native.sendfile === undefined) {
  throw new Error('needs sendfile and preadv2');
}

/** Answers the range at a position; a pass over the file is between two calls of `open`. */
interface Source {
  open(): void;
  at(position: number): Uint8Array;
}

const pooled = new Uint8Array(RANGE_BYTES);
const copied: Source = {
  open: () => undefined,
  at: (position) => {
    if (preadNowait(file.fd, pooled, position) !== RANGE_BYTES) throw new Error('not in the cache');
    return pooled;
  },
};

class Mapped implements Source {
  readonly #isKept: boolean;
  #pointer: unknown;
  #view = new Uint8Array(0);

  constructor(isKept: boolean) {
    this.#isKept = isKept;
  }

  open(): void {
    if (this.#pointer !== undefined) {
      if (this.#isKept) return;
      if (munmap(this.#pointer, FILE_BYTES) !== 0) throw new Error('munmap failed');
    }
    this.#pointer = mmap(0, FILE_BYTES, PROT_READ, MAP_SHARED, file.fd, 0);
    this.#view = new Uint8Array(koffi.view(this.#pointer, FILE_BYTES));
  }

  at(position: number): Uint8Array {
    return this.#view.subarray(position, position + RANGE_BYTES);
  }
}

/** Sends one round; `send` calls back when the system has a range. */
function sendRound(
  open: () => void,
  send: (position: number, taken: () => void) => void,
): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    const next = (): void => {
      if (sent === ROUND_BYTES) {
        resolve();
        return;
      }
      const position = sent % FILE_BYTES;
      if (position === 0) open();
      sent += RANGE_BYTES;
      send(position, next);
    };
    next();
  });
}

interface Way {
  readonly name: string;
  round(): Promise<void>;
  readonly cpu: number[];
  readonly rate: number[];
}

function way(name: string, round: () => Promise<void>): Way {
  return { name, round, cpu: [], rate: [] };
}

function bySource(name: string, socket: Socket, source: Source): Way {
  const round = (): Promise<void> =>
    sendRound(
      () => source.open(),
      (position, taken) => socket.write(source.at(position), taken),
    );
  return way(name, round);
}

/** A receiver of its own; `close` verifies that it got everything. */
function receiver(port: number, isTls: boolean): (bytes: number) => Promise<void> {
  const code = (isTls ? TLS_RECEIVER : PLAIN_RECEIVER) + DISCARD;
  const args = ['-e', code, String(port), KEY.toString('hex')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  return async (bytes) => {
    await ended;
    if (Number(said) !== bytes) throw new Error(`${said.trim()} of ${bytes} bytes arrived`);
  };
}

/** Rounds by turns, in changing order; one before them that does not count. */
async function measure(ways: readonly Way[]): Promise<void> {
  for (let i = -1; i < ROUNDS; i += 1) {
    for (const each of i % 2 === 0 ? ways : [...ways].reverse()) {
      const before = process.cpuUsage();
      const ms = await timed(() => each.round());
      const { user, system } = process.cpuUsage(before);
      if (i < 0) continue;
      each.cpu.push((user + system) / 1e6 / (ROUND_BYTES / 1e9));
      each.rate.push(ROUND_BYTES / 1e6 / (ms / 1000));
    }
  }
}

function median(values: readonly number[]): string {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!.toPrecision(3);
}

/** How much less CPU the views take than `other`, in percent, for each pair of rounds. */
function saved(views: Way, other: Way): number[] {
  return views.cpu.map((cpu, i) => 100 * (1 - cpu / other.cpu[i]!));
}

function describe(name: string, ways: readonly Way[]): void {
  const each = ways.map((of) => `${of.name} ${median(of.cpu)} (${median(of.rate)} MB/s)`);
  process.stderr.write(`${name}, CPU-s per GB: ${each.join(', ')}\n`);
}

function views(socket: Socket): Way[] {
  return [
    bySource('copied', socket, copied),
    bySource('kept', socket, new Mapped(true)),
    bySource('anew', socket, new Mapped(false)),
  ];
}

const load = machineLoad();
const PASSED_BYTES = (ROUNDS + 1) * ROUND_BYTES;

// Over TLS.
const secure = createTlsServer({ ...TLS, pskCallback: () => KEY });
await once(secure.listen(0, '127.0.0.1'), 'listening');
const secured = receiver((secure.address() as AddressInfo).port, true);
const [tls] = (await once(secure, 'secureConnection')) as [TLSSocket];
const overTls = views(tls);
await measure(overTls);
tls.end();
await secured(overTls.length * PASSED_BYTES);
secure.close();

// Over plain TCP.
const plain = createServer();
await once(plain.listen(0, '127.0.0.1'), 'listening');
const plainly = receiver((plain.address() as AddressInfo).port, false);
const [tcp] = (await once(plain, 'connection')) as [Socket];
const net = createNodeNet({ native, log: createNodeLog({ level: 'warn' }) });
let accepted: (connection: Connection) => void;
const accept = new Promise<Connection>((resolve) => {
  accepted = resolve;
});
const listener = await net.listen({ host: '127.0.0.1', port: 0 }, (each) => accepted(each));
const byCall = receiver(listener.address.port, false);
const connection = await accept;
connection.start({ onBytes: () => undefined, onClose: () => undefined });
const sendfile = way('sendfile', () =>
  sendRound(
    () => undefined,
    (position, taken) => connection.sendFile(file, position, RANGE_BYTES, taken),
  ),
);
const overTcp = views(tcp);
await measure([...overTcp, sendfile]);
if (net.counters.sendfileBytes === 0) throw new Error('sent in another way');
tcp.end();
connection.end();
await Promise.all([plainly(overTcp.length * PASSED_BYTES), byCall(PASSED_BYTES)]);
plain.close();
listener.close();

for (const views of overTls.slice(1)) {
  tellFigure({
    name: `mapped-views tls ${views.name}`,
    unit: '% saved',
    samples: saved(views, overTls[0]!),
    floor: SAVED_MAX,
    rule: 'most',
    load,
  });
}
describe('TLS', overTls);
describe('TCP', [...overTcp, sendfile]);
file.close();
rmSync(root, { recursive: true });
