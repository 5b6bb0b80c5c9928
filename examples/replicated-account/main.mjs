// An account on three nodes, each a process of its own. The one that leads it is killed with SIGKILL while deposits are
// on their way; no deposit that was answered is lost, and none is counted twice.
//
//   node examples/replicated-account/main.mjs          CALLBOARD_SHARDS=2: with worker threads
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DEPOSITS = 300;
const folder = mkdtempSync(join(tmpdir(), 'replicated-account-'));

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) server.close();
  return ports;
}

const nodes = [];
for (const id of [1, 2, 3]) {
  const [linkPort, kafkaPort, amqpPort, rocketmqPort, httpPort] = await freePorts(5);
  nodes.push({ id, host: '127.0.0.1', linkPort, kafkaPort, amqpPort, rocketmqPort, httpPort });
}

const shards = Number(process.env.CALLBOARD_SHARDS ?? 0);
const shared = { clusterId: 'bank', nodes, shards, host: '127.0.0.1', token: 'bank' };

/** Starts a node; resolves when it is ready. */
function start(id, isFounding) {
  const own = { nodeId: id, dataRoot: join(folder, `node-${id}`), isFounding };
  const config = { ...shared, ...own };
  const env = { ...process.env, CALLBOARD_LOG_LEVEL: 'silent' };
  const child = fork(new URL('./node.mjs', import.meta.url), [JSON.stringify(config)], { env });
  const waiting = new Map();
  let next = 1;
  const ready = new Promise((resolve) => {
    child.on('message', ({ ready, id, answer, failure }) => {
      if (ready) return resolve();
      const { ok, fail } = waiting.get(id);
      waiting.delete(id);
      failure === undefined ? ok(answer) : fail(new Error(failure));
    });
  });
  child.on('exit', () => {
    for (const { fail } of waiting.values()) fail(new Error('the process ended'));
  });
  const ask = (what, input) =>
    new Promise((ok, fail) => {
      waiting.set(next, { ok, fail });
      child.send({ id: next++, what, input }, (error) => error && fail(error));
    });
  return { child, ready, ask };
}

const cluster = new Map([1, 2, 3].map((id) => [id, start(id, true)]));
await Promise.all([...cluster.values()].map(({ ready }) => ready));
for (const { ask } of cluster.values()) await ask('create');

let answered = 0;
let unknown = 0;
let isKilled = false;
/** Deposits 1 again and again, each time through another node. */
async function deposit(from) {
  for (let i = from; answered + unknown < DEPOSITS; i += 1) {
    const living = [...cluster.values()];
    try {
      await living[i % living.length].ask('deposit', 1);
      answered += 1;
    } catch {
      unknown += 1;
    }
    if (answered < DEPOSITS / 3 || isKilled) continue;
    isKilled = true;
    const leader = await living[0].ask('leader');
    cluster.get(leader).child.kill('SIGKILL');
    cluster.delete(leader);
    console.log(`node ${leader} led the account and was killed after ${answered} deposits`);
  }
}
await Promise.all([0, 1, 2, 3].map(deposit));

const killed = [1, 2, 3].find((id) => !cluster.has(id));
const again = start(killed, false);
await again.ready;
cluster.set(killed, again);
for (const [id, { ask }] of [...cluster].sort(([a], [b]) => a - b)) {
  const balance = await ask('balance');
  const isRight = balance >= answered && balance <= answered + unknown;
  console.log(`node ${id}: ${isRight ? 'every answered deposit, once' : `WRONG ${balance}`}`);
}
console.log(`${answered} answered, ${unknown} asked of a process that was killed`);
await Promise.all([...cluster.values()].map(({ ask }) => ask('stop')));
rmSync(folder, { recursive: true });
