// kafkajs under chaos, in a process of its own. Producers send each batch once and again by themselves, not kafkajs,
// so that the books know how often; until it is acknowledged, one at a time. Nodes have no idempotent producers.
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Kafka, logLevel } from 'kafkajs';
import { delay } from '../../lib/dev-cluster.mjs';
import { fact, serve } from '../talk.mjs';

const TOPIC = 'chaos-kafka';
const PARTITIONS = 3;
const PRODUCERS = 4;
const BATCH = 3;
const BODY_BYTES_MAX = 300;
const PAUSE_MS = 30;
const AGAIN_MS = 100;
const REQUEST_TIMEOUT_MS = 4_000;
const SEND_TIMEOUT_MS = 30_000;
const CLIENT = { initialRetryTime: 60, maxRetryTime: 400, retries: 5 };
const ONCE = { retries: 0 };
const GROUP = {
  sessionTimeout: 10_000,
  heartbeatInterval: 1_000,
  maxWaitTimeInMs: 200,
  retry: {
    initialRetryTime: 100,
    maxRetryTime: 1_000,
    retries: 100,
    restartOnFailure: async () => true,
  },
};

// kafkajs ends a connection that is not made yet once for each send that waits for it, and Node warns of that.
EventEmitter.defaultMaxListeners = 0;

let kafka;
let isRunning = true;
const loops = [];
const consumers = [];
const hashOf = (body) => createHash('sha1').update(body).digest('base64');

/** kafkajs forgets a send now and then where connections end one after the other. */
const LATE = new Error('no answer, and no error');
async function inTime(work) {
  work.catch(() => undefined);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(LATE), SEND_TIMEOUT_MS);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function connected() {
  const producer = kafka.producer({ maxInFlightRequests: 1, retry: ONCE });
  for (;;) {
    try {
      await inTime(producer.connect());
      return producer;
    } catch {
      await delay(AGAIN_MS);
    }
  }
}

function makeBatch(name, partition, from) {
  return Array.from({ length: BATCH }, (_, i) => {
    const value = randomBytes(1 + Math.floor(Math.random() * BODY_BYTES_MAX));
    const id = `${name}/${from + i}`;
    return { row: { id, key: name, hash: hashOf(value) }, message: { key: id, value, partition } };
  });
}

async function produce(name, partition) {
  let producer = await connected();
  for (let next = 0; isRunning; next += BATCH) {
    const batch = makeBatch(name, partition, next);
    const messages = batch.map(({ message }) => message);
    for (;;) {
      fact('sending', ['kafka', batch.map(({ row }) => row)]);
      const startMs = performance.now();
      try {
        const send = { topic: TOPIC, acks: -1, timeout: REQUEST_TIMEOUT_MS, messages };
        await inTime(producer.send(send));
        const ms = performance.now() - startMs;
        fact('acknowledged', ['kafka', batch.map(({ row }) => row.id), ms]);
        break;
      } catch (error) {
        if (error === LATE) {
          void producer.disconnect().catch(() => undefined);
          producer = await connected();
        }
        await delay(AGAIN_MS);
      }
    }
    await delay(PAUSE_MS);
  }
  void producer.disconnect().catch(() => undefined);
}

async function consume(reader, groupId) {
  const consumer = kafka.consumer({ groupId, ...GROUP });
  consumers.push(consumer);
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      const rows = batch.messages.map(({ key, value, offset }) => {
        const place = { log: batch.partition, position: Number(offset) };
        return { id: key.toString(), hash: hashOf(value), ...place };
      });
      fact('delivered', ['kafka', reader, rows]);
    },
  });
}

serve({
  async start({ kafka: brokers }) {
    const options = { connectionTimeout: 1_000, requestTimeout: REQUEST_TIMEOUT_MS + 1_000 };
    kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: CLIENT, ...options });
    const admin = kafka.admin();
    await admin.connect();
    const topic = { topic: TOPIC, numPartitions: PARTITIONS };
    await admin.createTopics({ waitForLeaders: true, topics: [topic] });
    await admin.disconnect();
    for (let i = 0; i < 2; i += 1) await consume('group', 'chaos-group');
    for (let i = 0; i < PRODUCERS; i += 1) loops.push(produce(`producer-${i}`, i % PARTITIONS));
  },
  /** Answers when everything that was sent is acknowledged. */
  async stop() {
    isRunning = false;
    await Promise.all(loops);
  },
  /** Everything once more from the first offset: what a group saw on the way is not trusted. */
  again: () => consume('again', 'chaos-again'),
  end() {
    void Promise.all(consumers.map((consumer) => consumer.disconnect().catch(() => undefined)));
  },
});
