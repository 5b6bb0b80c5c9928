// Worker threads that die every 200 ms under load, in every way, and a ledger that holds together what was sent,
// handled and answered: see README.md. The exit code is 1 if anything came twice, out of order, or never ended.
import { parseArgs } from 'node:util';
import {
  actor,
  createActorEnvironment,
  createSystem,
  protocol,
  ThreadGroup,
  tell,
  u32,
} from '../../dist/doors/actors.js';
import { journalMemory, Ledger } from './thread-ledger.mjs';
import { askFirmly, Peer, PeerActor, SLOT } from './thread-peer.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    every: { type: 'string', default: '200' },
    victims: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
    json: { type: 'boolean', default: false },
  },
});

function count(name) {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${values[name]}`);
  return value;
}

const seconds = count('seconds');
const everyMs = count('every');
const victims = count('victims');
const seed = count('seed');
/** Nobody kills the last worker, nor thread 0. */
const survivor = victims + 1;
const threads = victims + 2;
/** What lies in one millisecond is far less than this; a full journal ends the run. */
const ENTRIES_PER_SECOND = 60_000;
const VICTIM_ENTRIES = 1_000_000;
const EARLY_ONE_IN = 8;
const READY_TIMEOUT_MS = 30_000;
const END_TIMEOUT_MS = 60_000;

/** Mostly what costs no time: whoever stands still has a second before somebody acts. */
const WAYS = [
  'kill',
  'kill',
  'kill',
  'kill',
  'throw',
  'reject',
  'exit',
  'overflow',
  'memory',
  'spin',
  'wait',
];

let state = seed >>> 0;
/** Who dies, and how: the only chance in a run that can be repeated. */
function below(bound) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * bound);
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, isSo, timeoutMs) {
  for (const endMs = performance.now() + timeoutMs; !isSo(); await delay(10)) {
    if (performance.now() > endMs) throw new Error(`not in ${timeoutMs} ms: ${what}`);
  }
}

const ignore = () => undefined;
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => silent };
const system = createSystem(createActorEnvironment({ log: silent }), {
  name: 'chaos',
  threadCount: threads,
  protocols: [Peer],
});
const ledger = new Ledger([0, survivor]);
/** Of each thread: its life, the journal of it, whether somebody watches it, whether it is up, and told to die. */
const present = Array.from({ length: threads }, () => ({
  life: 0,
  memory: undefined,
  isWatched: false,
  isUp: false,
  isDoomed: false,
}));
const ends = {};
let deaths = 0;
/** Deaths that a watcher must hear of, and those that it has heard of. */
let watchedDeaths = 0;
let told = 0;

function begin(thread, life) {
  const isOwn = thread === 0 || thread === survivor;
  const entries = isOwn ? (seconds + 60) * ENTRIES_PER_SECOND : VICTIM_ENTRIES;
  present[thread] = {
    life,
    memory: journalMemory(entries),
    isWatched: false,
    isUp: false,
    isDoomed: false,
  };
  return { thread, life, threads, memory: present[thread].memory };
}

/** Every life that ends is heard of once. */
const Watch = actor(protocol('watch', 1, { again: tell(u32) }), (ctx) => {
  ctx.onSignal((signal) => {
    if (signal.type !== 'terminated') return;
    told += 1;
    if (signal.cause !== 'thread-lost') ledger.fault(`a watcher heard ${signal.cause}`);
  });
  return {
    again(thread) {
      ctx.watch(system.wellKnown(Peer, { thread, slot: SLOT }));
    },
  };
});
const watch = system.spawn('watch', Watch, undefined);

const group = new ThreadGroup(system, {
  entry: new URL('./thread-worker.mjs', import.meta.url),
  workers: victims + 1,
  ringBytes: 64 * 1024,
  slabBytes: 1024 * 1024,
  limits: { heapMegabytesMax: 64 },
  stall: { sampleMs: 250, samples: 4 },
  restart: { maxRestarts: 1e6, windowMs: 60_000, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
  appData: (thread, life) => begin(thread, life),
  onThreadReady(thread) {
    // It may have been told to die while it booted.
    present[thread].isUp = !present[thread].isDoomed;
    present[thread].isWatched = true;
    watch.tell('again', thread);
  },
  onThreadLost(thread, exit) {
    if (isOver) return;
    const { life, memory, isDoomed, isWatched } = present[thread];
    present[thread].isUp = false;
    deaths += 1;
    if (isWatched) watchedDeaths += 1;
    ends[exit.cause] = (ends[exit.cause] ?? 0) + 1;
    if (!isDoomed) ledger.fault(`thread ${thread} died of itself: ${exit.cause} ${exit.message}`);
    ledger.close(thread, life, memory, true);
  },
  onGivenUp: (thread) => ledger.fault(`thread ${thread} was given up`),
});
let isOver = false;

const peerOf = (thread) => system.wellKnown(Peer, { thread, slot: SLOT });

/** One of those that are up, or now and then one that only begins. */
function killOne() {
  const victim = (thread) => thread > 0 && thread !== survivor;
  const up = [...present.keys()].filter((thread) => victim(thread) && present[thread].isUp);
  const isEarly = below(EARLY_ONE_IN) === 0;
  const thread = isEarly ? 1 + below(victims) : up[below(up.length)];
  if (thread === undefined) return false;
  const way = isEarly ? 'kill' : WAYS[below(WAYS.length)];
  present[thread].isUp = false;
  present[thread].isDoomed = true;
  if (way === 'kill') group.kill(thread);
  else if (peerOf(thread).offer('die', way) !== 'accepted') group.kill(thread);
  return true;
}

async function run() {
  // Before the others, who send to it from their first moment on.
  system.spawnWellKnown(SLOT, 'peer', PeerActor, { system, ...begin(0, 1) });
  await group.start();
  let missed = 0;
  const endMs = performance.now() + seconds * 1_000;
  while (performance.now() < endMs) {
    await delay(everyMs);
    if (!killOne()) missed += 1;
  }
  const isEverybodyUp = () => present.slice(1).every((each) => each.isUp);
  await until('every thread is up again', isEverybodyUp, READY_TIMEOUT_MS);
  const all = Array.from({ length: threads }, (_, thread) => peerOf(thread));
  await Promise.all(all.map((peer) => askFirmly(peer, 'hush', END_TIMEOUT_MS)));
  await Promise.all(all.map((peer) => askFirmly(peer, 'settle', END_TIMEOUT_MS)));
  await until('watchers heard of every death', () => told === watchedDeaths, READY_TIMEOUT_MS);
  isOver = true;
  for (const [thread, { life, memory }] of present.entries()) {
    ledger.close(thread, life, memory, false);
  }
  return { seed, seconds, deaths, missed, ends, ...ledger.report() };
}

let report;
try {
  report = await run();
} finally {
  isOver = true;
  await group.stop({ timeoutMs: 2_000 });
  await system.shutdown({ timeoutMs: 2_000 });
}
const { examples, ...figures } = report;
if (values.json) console.log(JSON.stringify(report));
else {
  for (const example of examples) console.log(`  ${example}`);
  const { ends: how, ...numbers } = figures;
  const text = Object.entries(numbers).map(([name, value]) => `${name} ${value}`);
  console.log(
    `chaos ${report.faults === 0 ? 'ok' : 'FAILED'}: ${text.join(', ')}; ${JSON.stringify(how)}`,
  );
}
process.exitCode = report.faults === 0 ? 0 : 1;
