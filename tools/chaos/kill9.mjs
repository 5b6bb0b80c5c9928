// Real processes, SIGKILL, and a ledger that counts: see README.md. Conducts a run and prints one line a
// round; the exit code is 1 if anything acknowledged was lost, changed, rewritten or reordered.
import { parseArgs } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { delay, freeBasePort, freshFolder, startDev, until } from '../lib/dev-cluster.mjs';
import { Child } from './talk.mjs';

const TOPIC = 'chaos';
/** Between two rounds: what is written before a kill must be more than nothing. */
const CALM_MS = 1_200;
const FIRST_SUCCESS_TIMEOUT_MS = 60_000;
const IN_SYNC_TIMEOUT_MS = 90_000;
const CATCH_UP_TIMEOUT_MS = 60_000;
const DRAIN_TIMEOUT_MS = 180_000;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    all: { type: 'string', default: '3' },
    nodes: { type: 'string', default: '3' },
    shards: { type: 'string', default: process.env.CALLBOARD_SHARDS ?? '0' },
    producers: { type: 'string', default: '8' },
    partitions: { type: 'string', default: '4' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
    keep: { type: 'boolean', default: false },
  },
});

function count(name, min) {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < min) throw new Error(`--${name} ${values[name]}`);
  return value;
}

const rounds = count('rounds', 1);
const allRounds = Math.min(rounds, count('all', 0));
const nodes = count('nodes', 1);
const shards = count('shards', 0);
const producers = count('producers', 1);
const partitions = count('partitions', 1);
const seed = count('seed', 1);

let state = seed >>> 0;
/** Which partition is hit: the only chance in a run that can be repeated. */
function below(bound) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * bound);
}

const folder = `${freshFolder('callboard-chaos-')}/data`;
const basePort = await freeBasePort(nodes);
const dev = { nodes, shards, data: folder, basePort, restart: '1s' };
let cluster = await startDev(dev);
const { brokers } = cluster;

const ledger = new Child('./ledger.mjs', []);
const toLedger = ({ name, args }) => ledger.tell(name, args);
const producing = new Child('./producers.mjs', [], toLedger);
const consuming = new Child('./consumers.mjs', [], toLedger);
const admin = new Kafka({
  brokers,
  clientId: 'chaos-admin',
  logLevel: logLevel.NOTHING,
  connectionTimeout: 1_000,
  retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 60 },
}).admin();

function endEverything() {
  for (const child of [producing, consuming, ledger]) child.kill();
}

process.on('SIGINT', () => {
  endEverything();
  void cluster.stop().then(() => process.exit(130));
});

async function leaderOf(partition) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] });
  return topics[0].partitions.find((each) => each.partitionId === partition).leader;
}

async function isHealthy() {
  const all = await Promise.all(
    cluster.nodes.map(async ({ http }) => {
      const signal = AbortSignal.timeout(2_000);
      return (await fetch(`${http}/api/status`, { signal })).json();
    }),
  );
  return all.every(({ health }) => health === 'ok');
}

/** Waits until the consumers have seen what is acknowledged now; the report then tells what is owed. */
async function catchUp(timeoutMs) {
  await ledger.ask('mark');
  const endMs = performance.now() + timeoutMs;
  while ((await ledger.ask('dueCount')) > 0 && performance.now() < endMs) await delay(25);
}

async function killLeader(partition) {
  const victim = await until('a leader', async () => {
    const leader = await leaderOf(partition);
    return leader > 0 && leader;
  });
  const sinceMs = Date.now();
  const first = producing.ask('firstSuccess', {
    partition,
    sinceMs,
    timeoutMs: FIRST_SUCCESS_TIMEOUT_MS,
  });
  await cluster.kill(victim);
  return { what: `node ${victim}, leader of ${TOPIC}-${partition}`, firstMs: await first, sinceMs };
}

async function killEverything(partition) {
  const sinceMs = Date.now();
  const first = producing.ask('firstSuccess', {
    partition,
    sinceMs,
    timeoutMs: FIRST_SUCCESS_TIMEOUT_MS,
  });
  await cluster.killAll();
  cluster = await startDev(dev);
  return { what: 'all nodes and dev', firstMs: await first, sinceMs };
}

function faultsOf(report) {
  const { lost, reordered, changed, rewritten, unknown, gaps } = report;
  return lost + reordered + changed + rewritten + unknown + gaps;
}

function ledgerText(report, missing = 'lost') {
  const { acked, duplicates, lost, reordered, changed, rewritten, unknown, gaps } = report;
  return (
    `acknowledged ${acked}, duplicates ${duplicates}, ${missing} ${lost}, reordered ${reordered}, ` +
    `changed ${changed + rewritten + unknown}, gaps ${gaps}`
  );
}

async function runRound(round, times) {
  await delay(CALM_MS);
  const partition = below(partitions);
  const isLast = round > rounds - allRounds;
  const { what, firstMs, sinceMs } = await (isLast ? killEverything : killLeader)(partition);
  if (firstMs === undefined) throw new Error(`no produce succeeded after the kill of ${what}`);
  times.push({ firstMs, isLast });
  await until('all nodes are back in sync', isHealthy, IN_SYNC_TIMEOUT_MS);
  const syncMs = Date.now() - sinceMs;
  await catchUp(CATCH_UP_TIMEOUT_MS);
  const report = await ledger.ask('report');
  console.log(
    `round ${String(round).padStart(2)}  killed ${what}: first produce after ${firstMs} ms, ` +
      `in sync after ${(syncMs / 1000).toFixed(1)} s; ${ledgerText(report, 'unseen')}`,
  );
  return report;
}

/** Everything once more from the first offset: what the group saw on the way is not trusted. */
async function readAgain() {
  await ledger.ask('restart');
  const groupId = `chaos-final-${seed}`;
  await consuming.ask('start', { brokers, topic: TOPIC, groupId, consumers: 1 });
  await catchUp(DRAIN_TIMEOUT_MS);
  return ledger.ask('report');
}

function summary(along, report, times) {
  const worst = (list) => (list.length === 0 ? '-' : `${Math.max(...list)} ms`);
  const single = times.filter(({ isLast }) => !isLast).map(({ firstMs }) => firstMs);
  const all = times.filter(({ isLast }) => isLast).map(({ firstMs }) => firstMs);
  const sorted = [...single].sort((a, b) => a - b);
  const median = sorted.length === 0 ? '-' : `${sorted[sorted.length >> 1]} ms`;
  const verdict = faultsOf(report) + faultsOf(along) === 0 ? 'ok' : 'FAILED';
  return (
    `chaos ${verdict}: ${times.length} rounds, seed ${seed}; ${ledgerText(report)}, ` +
    `unseen by the group that read along ${along.lost}; ` +
    `first produce after a leader's death median ${median}, worst ${worst(single)}, ` +
    `after the death of all worst ${worst(all)}`
  );
}

async function run() {
  await admin.connect();
  const topic = { topic: TOPIC, numPartitions: partitions };
  await admin.createTopics({ waitForLeaders: true, topics: [topic] });
  await consuming.ask('start', { brokers, topic: TOPIC, groupId: 'chaos', consumers: 2 });
  await producing.ask('start', { brokers, topic: TOPIC, producers, partitions });
  const times = [];
  for (let round = 1; round <= rounds; round += 1) {
    const report = await runRound(round, times);
    if (faultsOf(report) > 0) {
      for (const example of report.examples) console.log(`  ${example}`);
      break;
    }
  }
  const { failedSends } = await producing.ask('stop');
  await catchUp(CATCH_UP_TIMEOUT_MS);
  const along = await ledger.ask('report');
  await consuming.ask('stop');
  const final = await readAgain();
  console.log(`read again from the start: ${ledgerText(final)}; ${failedSends} sends gave up`);
  for (const example of final.examples) console.log(`  ${example}`);
  console.log(summary(along, final, times));
  return faultsOf(final) === 0 && faultsOf(along) === 0;
}

console.log(`chaos: ${rounds} rounds, seed ${seed}, ${nodes} nodes, ${shards} shards, ${folder}`);
let isGood = false;
try {
  isGood = await run();
} catch (error) {
  console.error(error.stack);
  console.error(cluster.output());
}
endEverything();
await admin.disconnect().catch(() => undefined);
await cluster.stop();
if (isGood && !values.keep) {
  const { rmSync } = await import('node:fs');
  rmSync(folder.replace(/\/data$/, ''), { recursive: true, force: true });
} else console.log(`the data is in ${folder}`);
process.exit(isGood ? 0 : 1);
