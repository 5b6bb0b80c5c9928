// The reading side of a chaos run: consumers of one group that read along while nodes die, and a reader
// that reads everything once more at the end, in a group of its own. Both only tell what they see.
import { createHash } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { fact, serve } from './talk.mjs';

const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 100 };
const open = [];

/**
 * Offsets of a partition have no holes here, so a batch begins at the offset that was asked for and
 * goes on by ones. A hole is what the broker left out; the ledger tells whether it was ever made up for.
 */
function tellGaps(groupId, batch, rows) {
  let expected = Number(batch.fetchedOffset);
  for (const [partition, offset] of rows) {
    if (offset !== expected) {
      const text = `${new Date().toISOString()} ${groupId} ${partition}: ${expected} was asked for, ${offset} came`;
      fact('gap', text);
    }
    expected = offset + 1;
  }
}

async function consume(kafka, topic, groupId) {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    heartbeatInterval: 1_000,
    maxWaitTimeInMs: 200,
    retry: { ...RETRY, restartOnFailure: async () => true },
  });
  open.push(consumer);
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      const rows = batch.messages.map(({ key, value, offset }) => {
        const hash = createHash('sha1').update(value).digest('base64');
        return [batch.partition, Number(offset), key.toString(), hash];
      });
      tellGaps(groupId, batch, rows);
      fact('consumed', rows);
    },
  });
}

serve({
  async start({ brokers, topic, groupId, consumers }) {
    const kafka = new Kafka({
      brokers,
      clientId: 'chaos-consumer',
      logLevel: logLevel.NOTHING,
      connectionTimeout: 1_000,
      requestTimeout: 6_000,
      retry: RETRY,
    });
    for (let i = 0; i < consumers; i += 1) await consume(kafka, topic, groupId);
  },
  async stop() {
    await Promise.all(open.splice(0).map((consumer) => consumer.disconnect()));
  },
});
