// `npm run chaos:cluster`: three nodes as processes, clients of three protocols that are not ours, faults dealt from a
// seed, and books that are checked: see ../README.md. The exit code is 1 if anything acknowledged was lost or changed,
// came again without saying so or out of order, or if the cluster did not become well again.
import fs from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { delay, freshFolder, until } from '../../lib/dev-cluster.mjs';
import { Child } from '../talk.mjs';
import { inflict } from './faults.mjs';
import { Ledger } from './ledger.mjs';
import { MISTAKES, Mistake } from './mistakes.mjs';
import { Nodes } from './nodes.mjs';
import { KINDS, partText, schedule } from './schedule.mjs';
import { Timeline } from './timeline.mjs';

const NODES = 3;
const LANES = [
  { name: 'kafka', kind: 'log', readers: ['group', 'again'] },
  { name: 'amqp quorum', kind: 'queue', readers: ['queue'] },
  { name: 'amqp classic', kind: 'queue', readers: ['queue'] },
  { name: 'rocketmq', kind: 'log', readers: ['group'] },
];
/** A machine that others use needs a minute to start three processes at once. */
const WELL_TIMEOUT_MS = 180_000;
const FIRST_TIMEOUT_MS = 90_000;
const DRAIN_TIMEOUT_MS = 120_000;
/** RocketMQ's shortest lease, and time to see what comes after its end. */
const LEASE_MS = 13_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
    shards: { type: 'string', default: process.env.CALLBOARD_SHARDS ?? '0' },
    only: { type: 'string' },
    mistake: { type: 'string' },
    plan: { type: 'boolean', default: false },
    report: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

function numberOf(name, least, isWhole) {
  const value = Number(values[name]);
  const isGood = value >= least && (!isWhole || Number.isInteger(value));
  if (!isGood) throw new Error(`--${name} ${values[name]}`);
  return value;
}

function chosen(name, all) {
  const names = values[name]?.split(',');
  const wrong = names?.find((each) => !all.includes(each));
  if (wrong !== undefined) throw new Error(`--${name} ${wrong}; there are ${all.join(', ')}`);
  return names;
}

const minutes = numberOf('minutes', 0.1, false);
const seed = numberOf('seed', 1, true);
const shards = numberOf('shards', 0, true);
const only = chosen('only', KINDS);
const [mistakeName] = chosen('mistake', MISTAKES) ?? [];

if (values.plan) {
  // As many as a run takes at least where nothing is slow.
  let leftMs = minutes * 60_000;
  for (const entry of schedule({ seed, nodes: NODES, kinds: only ?? KINDS })) {
    console.log(`calm ${entry.calmMs} ms, ${entry.parts.map(partText).join(' with ')}`);
    leftMs -= entry.calmMs + Math.max(...entry.parts.map((part) => part.afterMs + part.lengthMs));
    if (leftMs < 0) process.exit(0);
  }
}

const folder = freshFolder('callboard-chaos-');
const reportFile = values.report ?? join(folder, 'timeline.svg');
const ledger = new Ledger(LANES);
const mistake = new Mistake(mistakeName);
const laneNames = LANES.map(({ name }) => name);
const startedMs = performance.now();
let timeline = new Timeline(laneNames, startedMs);
/** What clients told that cannot be: as bad as any fault of a broker. */
const wrong = [];

const FACTS = {
  sending([lane, rows]) {
    for (const row of rows) ledger.sending(lane, row);
  },
  acknowledged([lane, ids, latencyMs]) {
    for (const id of ids) ledger.acknowledged(lane, id);
    timeline.acknowledged(lane, ids.length, latencyMs, performance.now());
  },
  delivered([lane, reader, rows]) {
    for (const row of mistake.of(lane, rows)) ledger.delivered(lane, reader, row);
  },
  note: (text) => console.log(text),
  settled([lane, reader, place]) {
    ledger.settled(lane, reader, place);
  },
};

function take({ name, args }) {
  try {
    FACTS[name](args);
  } catch (error) {
    wrong.push(error.message);
  }
}

let nodes;
const clients = new Map();

function endEverything() {
  for (const child of clients.values()) child.kill();
}

const at = (ms) => `${((ms - startedMs) / 1_000).toFixed(1).padStart(6)} s`;

async function startClients() {
  const addresses = Object.fromEntries(
    ['kafka', 'amqp', 'rocketmq'].map((protocol) => [protocol, nodes.addressesOf(protocol)]),
  );
  for (const protocol of Object.keys(addresses)) {
    clients.set(protocol, new Child(`./cluster/${protocol}-clients.mjs`, [], take));
  }
  const starts = [...clients].map(async ([protocol, child]) => {
    const start = child.ask('start', addresses);
    const what = `${protocol}'s clients have started`;
    await until(what, () => isSettled(start), FIRST_TIMEOUT_MS);
    console.log(`${at(performance.now())}  ${what}`);
  });
  await Promise.all(starts);
  const isFlowing = () =>
    ledger.report().every(({ acked, deliveries }) => acked > 0 && deliveries > 0);
  await until('every client has written and read', isFlowing, FIRST_TIMEOUT_MS);
}

async function inflictAll(kinds) {
  timeline = new Timeline(laneNames, performance.now());
  const endMs = performance.now() + minutes * 60_000;
  for (const entry of schedule({ seed, nodes: NODES, kinds })) {
    await delay(entry.calmMs);
    if (performance.now() >= endMs) return;
    const texts = entry.parts.map(partText).join(' with ');
    const beganMs = performance.now();
    const bytes = nodes.network.bytes();
    await inflict(nodes, entry, (part, startMs, partEndMs) => {
      timeline.fault(part, partText(part), startMs, partEndMs);
    });
    const overMs = performance.now();
    const isWell = () => nodes.isWell();
    await until(`the cluster is well after: ${texts}`, isWell, WELL_TIMEOUT_MS);
    nodes.judgeWires(bytes);
    const wellMs = performance.now();
    const gaps = timeline.gaps(beganMs, wellMs).map(({ lane, gapMs }) => `${lane} ${gapMs}`);
    console.log(
      `${at(beganMs)}  ${texts}; well ${((wellMs - overMs) / 1_000).toFixed(1)} s later; ` +
        `longest silence in ms: ${gaps.join(', ')}`,
    );
    if (nodes.deaths.length > 0) return;
  }
}

async function drain(what, timeoutMs) {
  const owed = () => laneNames.reduce((sum, lane) => sum + ledger.owedOf(lane), 0);
  // What is missing then is in the report.
  await until(what, () => owed() === 0, timeoutMs).catch(() => undefined);
}

/** Every writer sends what it has until it is acknowledged, and nothing new. */
async function stopWriting() {
  const stops = [...clients].map(async ([protocol, child]) => {
    const stop = child.ask('stop');
    const what = `everything that ${protocol}'s clients sent is acknowledged`;
    await until(what, () => isSettled(stop), DRAIN_TIMEOUT_MS);
  });
  await Promise.all(stops);
}

async function run() {
  nodes = await Nodes.start({
    folder,
    nodes: NODES,
    shards,
    diskMegabytes: Math.ceil(256 + 40 * minutes),
  });
  if (nodes.diskFault !== undefined) {
    console.log(`left out: fill, since no disk can be mounted here: ${nodes.diskFault}`);
  }
  const possible = nodes.diskFault === undefined ? KINDS : KINDS.filter((kind) => kind !== 'fill');
  const kinds = only === undefined ? possible : possible.filter((kind) => only.includes(kind));
  if (kinds.length === 0) throw new Error('no fault is left');
  await startClients();
  console.log(`${at(performance.now())}  every client has written and read`);
  await inflictAll(kinds);
  await stopWriting();
  await clients.get('kafka').ask('again');
  await drain('everything acknowledged is read', DRAIN_TIMEOUT_MS);
  await delay(LEASE_MS);
  await Promise.all([...clients.values()].map((child) => child.ask('end')));
}

/** Whether a promise has been fulfilled: asked again and again. */
async function isSettled(promise) {
  return Promise.race([promise.then(() => true), delay(20).then(() => false)]);
}

function laneText(report) {
  const { lane, sent, acked, resent, deliveries, redelivered, retried } = report;
  const { lost, changed, unknown, rewritten, returned, repeated, reordered } = report;
  return (
    `${lane}: sent ${sent}, acknowledged ${acked}, sent again ${resent}, delivered ${deliveries} ` +
    `(redelivered ${redelivered}, stored again by a producer's retry ${retried}); lost ${lost}, ` +
    `repeated ${repeated}, reordered ${reordered}, changed ${changed + rewritten + unknown}, ` +
    `back after its acknowledgement ${returned}`
  );
}

function tellReport(failure) {
  const reports = ledger.report();
  for (const line of timeline.strips()) console.log(line);
  for (const { lane, p50, p99, max } of timeline.latencies()) {
    if (p50 === undefined) continue;
    const [half, most, worst] = [p50, p99, max].map((ms) => ms.toFixed(0));
    console.log(`${lane}: acknowledged within ${half} ms (p50), ${most} (p99), ${worst} (worst)`);
  }
  for (const report of reports) console.log(laneText(report));
  const told = [
    ...reports.flatMap(({ lane, examples }) => examples.map((text) => `${lane} ${text}`)),
  ];
  const faults = [
    ...told,
    ...(nodes?.deaths ?? []),
    ...wrong,
    ...(failure === undefined ? [] : [failure]),
  ];
  for (const text of faults) console.log(`  ${text}`);
  const verdict = faults.length === 0 ? 'ok' : 'FAILED';
  const title = `chaos:cluster ${verdict}, seed ${seed}, ${minutes} minutes, ${shards} shards`;
  fs.writeFileSync(reportFile, timeline.svg(title));
  console.log(`${title}, ${timeline.faults.length} faults; timeline in ${reportFile}`);
  return faults.length === 0;
}

async function end(isGood) {
  endEverything();
  await nodes?.stop();
  if (isGood && !values.keep) {
    await nodes.unmount();
    for (const name of fs.readdirSync(folder)) {
      if (name !== 'timeline.svg') fs.rmSync(join(folder, name), { recursive: true, force: true });
    }
  } else console.log(`logs and data are in ${folder}`);
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void end(true).then(() => process.exit(130)));
}

console.log(
  `chaos:cluster: seed ${seed}, ${minutes} minutes, ${NODES} nodes, ${shards} shards, ${folder}`,
);
let failure;
try {
  await run();
} catch (error) {
  failure = error.message;
}
const isGood = tellReport(failure);
await end(isGood);
process.exit(isGood ? 0 : 1);
