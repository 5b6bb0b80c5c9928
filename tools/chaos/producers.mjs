// The writing side of a chaos run: kafkajs producers, not idempotent, acks -1, each writing small batches
// to one partition, one send at a time, so that sequences are acknowledged in order. A send that fails
// for good leaves its ids unacknowledged, and the producer goes on with new ones.
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { fact, serve } from './talk.mjs';

const BATCH = 5;
const BODY_BYTES_MAX = 1200;
/** Between two sends of one producer: the ledger has to keep up. */
const PAUSE_MS = 15;
/** Short enough to see a new leader soon after its election, patient enough for a restart of all. */
const RETRY = {
  initialRetryTime: 60,
  maxRetryTime: 400,
  retries: 60,
  factor: 0.2,
  multiplier: 1.5,
};

let isRunning = false;
const loops = [];
/** Waits for the first acknowledgement of a send to `partition` that began after `sinceMs`. */
let watch;
let failedSends = 0;

function makeBatch(producer, partition, from) {
  const rows = [];
  const messages = [];
  for (let i = 0; i < BATCH; i += 1) {
    const sequence = from + i;
    const id = `${producer}/${partition}/${sequence}`;
    const value = randomBytes(1 + Math.floor(Math.random() * BODY_BYTES_MAX));
    const hash = createHash('sha1').update(value).digest('base64');
    rows.push([id, producer, partition, sequence, hash]);
    messages.push({ key: id, value, partition });
  }
  return { rows, messages };
}

function acknowledged(partition, beganMs) {
  if (watch === undefined || watch.partition !== partition || beganMs < watch.sinceMs) return;
  const { resolve, sinceMs } = watch;
  watch = undefined;
  resolve(Date.now() - sinceMs);
}

async function produce(kafka, topic, index, partition) {
  const producer = kafka.producer({ idempotent: false, maxInFlightRequests: 1, retry: RETRY });
  await producer.connect();
  const name = `p${index}`;
  let sequence = 0;
  while (isRunning) {
    const { rows, messages } = makeBatch(name, partition, sequence);
    sequence += BATCH;
    fact('sending', rows);
    try {
      const beganMs = Date.now();
      await producer.send({ topic, acks: -1, timeout: 5_000, messages });
      fact(
        'acked',
        rows.map(([id]) => id),
      );
      // A retry may have begun before the kill and been answered after it; that is a success as well,
      // but not a first one: only a send that began afterwards counts.
      acknowledged(partition, beganMs);
    } catch {
      failedSends += 1;
    }
    await delay(PAUSE_MS);
  }
  await producer.disconnect();
}

serve({
  start({ brokers, topic, producers, partitions }) {
    const kafka = new Kafka({
      brokers,
      clientId: 'chaos-producer',
      logLevel: logLevel.NOTHING,
      connectionTimeout: 1_000,
      requestTimeout: 6_000,
      retry: RETRY,
    });
    isRunning = true;
    for (let i = 0; i < producers; i += 1) loops.push(produce(kafka, topic, i, i % partitions));
  },
  /** Milliseconds until the first success on a partition; undefined after `timeoutMs`. */
  firstSuccess({ partition, sinceMs, timeoutMs }) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        watch = undefined;
        resolve(undefined);
      }, timeoutMs);
      watch = {
        partition,
        sinceMs,
        resolve(ms) {
          clearTimeout(timer);
          resolve(ms);
        },
      };
    });
  },
  async stop() {
    isRunning = false;
    await Promise.all(loops);
    return { failedSends };
  },
});
