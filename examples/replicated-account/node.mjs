// One process: a node of the cluster, and the application that lives in it. main.mjs starts three.
import { createNodeEnvironment, startNode } from 'callboard';
import { Account } from './kinds.mjs';

const config = JSON.parse(process.argv[2]);
const env = createNodeEnvironment({ dataRoot: config.dataRoot, logLevel: 'silent' });
const node = await startNode(env, {
  ...config,
  durableKinds: new URL('./kinds.mjs', import.meta.url).href,
});
node.onEvent(({ event, message }) => {
  if (event === 'ready') process.send({ ready: true });
  if (event === 'failed') throw new Error(message);
});

const asks = {
  create: async () => void (await node.durable.create(Account, 'ada')),
  deposit: (amount) =>
    node.durable.ref(Account, 'ada').ask('deposit', amount, { timeoutMs: 60_000 }),
  balance: () => node.durable.ref(Account, 'ada').ask('balance', undefined, { timeoutMs: 60_000 }),
  leader: async () => node.durable.leader(Account, 'ada'),
  stop: () => node.stop(),
};
process.on('message', async ({ id, what, input }) => {
  try {
    process.send({ id, answer: await asks[what](input) });
  } catch (error) {
    process.send({ id, failure: error.code });
  }
  if (what === 'stop') process.disconnect();
});
