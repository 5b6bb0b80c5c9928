// A process with the nodes of one cluster, each with worker threads that can be killed from outside: what
// no command of the program offers. Plain JavaScript over dist, as a process of its own loads compiled code.
//
// Started by fork with the nodes as JSON in its argument. Told { kill: { node, thread } } or { stop: true }; says
// { killed: true } when the thread has begun to die, and { ready: true } once, when every node is.
import { nodeStarter } from '../../../dist/assembly/node.js';
import { workerShards } from '../../../dist/assembly/worker-shards.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';
import { createNodeLog } from '../../../dist/env/node/log.js';
import { startRocket } from '../../../dist/rocketmq.js';

const { nodes, shards, folder, level } = JSON.parse(process.argv[2]);
// The worker threads have a log of their own.
process.env['CALLBOARD_LOG_LEVEL'] = level;
const makeShards = workerShards(new URL('../../../dist/worker.js', import.meta.url));
const shardsOf = new Map();
const running = [];
let readyCount = 0;

async function start({ id }) {
  const dataRoot = `${folder}/node-${id}`;
  const env = createNodeEnvironment({ dataRoot, log: createNodeLog({ level }) });
  const startNode = nodeStarter({
    makeShards(options) {
      const made = makeShards(options);
      shardsOf.set(id, made);
      return made;
    },
    rocketmq: () => startRocket,
  });
  const node = await startNode(env, {
    clusterId: 'threads',
    nodeId: id,
    nodes: nodes.map((each) => ({ ...each, host: '127.0.0.1' })),
    dataRoot,
    shards,
    host: '127.0.0.1',
    token: 'secret',
    isFounding: true,
  });
  running.push(node);
  node.onEvent((event) => {
    if (event.event === 'failed') throw new Error(`node ${id} failed: ${event.message}`);
    if (event.event === 'ready') readyCount += 1;
    if (event.event === 'ready' && readyCount === nodes.length) process.send({ ready: true });
  });
}

process.on('message', ({ kill, stop }) => {
  if (kill !== undefined) {
    shardsOf.get(kill.node).kill(kill.thread);
    process.send({ killed: true });
  }
  if (stop !== true) return;
  Promise.all(running.map((node) => node.stop())).then(() => process.exit(0));
});
process.once('disconnect', () => process.exit(1));
await Promise.all(nodes.map(start));
