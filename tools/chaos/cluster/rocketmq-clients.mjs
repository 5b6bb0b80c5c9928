// rocketmq-client-nodejs under chaos, in a process of its own: producers of a message group each, which send one
// message until it is acknowledged, and consumers of one group on every node. A client knows one address only, so
// there is one on each node; one whose call fails asks for the route again.
import { createHash, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { delay } from '../../lib/dev-cluster.mjs';
import { fact, serve } from '../talk.mjs';

const { Producer, SimpleConsumer } = createRequire(import.meta.url)('rocketmq-client-nodejs');
const TOPIC = 'chaos-rocketmq';
const GROUP = 'chaos-readers';
const LANE = 'rocketmq';
const PRODUCERS = 3;
const PAUSE_MS = 15;
const AGAIN_MS = 100;
const BODY_BYTES_MAX = 300;
const REQUEST_TIMEOUT_MS = 3_000;
const STARTUP_TIMEOUT_MS = 15_000;
const INVISIBLE_MS = 10_000;
const ignore = () => undefined;
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

let isRunning = true;
let isOver = false;
const loops = [];
const readers = [];
const hashOf = (body) => createHash('sha1').update(body).digest('base64');

/** Log and offset, which clients do not show: they are in the handle, behind its version. */
function placeOf(receiptHandle) {
  const bytes = Buffer.from(receiptHandle, 'base64url');
  return { log: bytes.readBigUInt64BE(1).toString(), position: Number(bytes.readBigUInt64BE(9)) };
}

/** A client on the node with that address, whenever it is there. */
async function started(type, endpoints, options) {
  for (;;) {
    const client = new type({
      endpoints,
      namespace: '',
      requestTimeout: REQUEST_TIMEOUT_MS,
      logger,
      ...options,
    });
    try {
      // The client waits without end for settings that were lost with a stream.
      const late = delay(STARTUP_TIMEOUT_MS).then(() => {
        throw new Error('no settings came');
      });
      const startup = client.startup();
      startup.catch(ignore);
      await Promise.race([startup, late]);
      return client;
    } catch {
      void client.shutdown().catch(ignore);
      await delay(AGAIN_MS);
    }
  }
}

async function produce(name, clients) {
  let turn = 0;
  for (let next = 0; isRunning; next += 1) {
    const random = randomBytes(1 + Math.floor(Math.random() * BODY_BYTES_MAX));
    const id = `${name}/${next}`;
    const body = Buffer.from(`${id} ${random.toString('base64')}`);
    for (;;) {
      const client = clients[turn % clients.length];
      fact('sending', [LANE, [{ id, key: name, hash: hashOf(body) }]]);
      const startMs = performance.now();
      try {
        await client.send({ topic: TOPIC, messageGroup: name, body });
        fact('acknowledged', [LANE, [id], performance.now() - startMs]);
        break;
      } catch {
        turn += 1;
        await clients[turn % clients.length].updateRoutes().catch(ignore);
        await delay(AGAIN_MS);
      }
    }
    await delay(PAUSE_MS);
  }
}

async function consume(client) {
  while (!isOver) {
    let messages;
    try {
      messages = await client.receive(16, INVISIBLE_MS);
    } catch {
      await client.updateRoutes().catch(ignore);
      await delay(AGAIN_MS);
      continue;
    }
    const rows = messages.map(({ body, receiptHandle }) => {
      const [id] = body.toString().split(' ', 1);
      return { id, hash: hashOf(body), ...placeOf(receiptHandle) };
    });
    if (rows.length > 0) fact('delivered', [LANE, 'group', rows]);
    for (const [i, message] of messages.entries()) {
      // Where the answer is missing it comes again, or it does not.
      await client.ack(message).then(() => fact('settled', [LANE, 'group', rows[i]]), ignore);
    }
  }
}

serve({
  async start({ rocketmq: addresses }) {
    const subscriptions = new Map([[TOPIC, '*']]);
    const reading = { consumerGroup: GROUP, subscriptions, awaitDuration: 1_000 };
    const producers = [];
    for (const address of addresses) {
      // One attempt: the books count them.
      producers.push(await started(Producer, address, { topics: [TOPIC], maxAttempts: 1 }));
      readers.push(consume(await started(SimpleConsumer, address, reading)));
    }
    for (let i = 0; i < PRODUCERS; i += 1) loops.push(produce(`group-${i}`, producers));
  },
  async stop() {
    isRunning = false;
    await Promise.all(loops);
  },
  end() {
    isOver = true;
  },
});
