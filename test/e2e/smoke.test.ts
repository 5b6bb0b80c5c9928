// The quick set's one look at the real thing: three processes, one message there and back, and an end.
import { expect, it } from 'vitest';
import { isAlive, startDev } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser, numbered, take, untilTaken } from './support/kafka.ts';

it('three nodes start, take messages from kafkajs, give them back, and end without a trace', async () => {
  const cluster = await startDev({ shards: 0 });
  const user = new KafkaUser(cluster.brokers);
  const pids = [cluster.pid, ...cluster.nodes.map(({ pid }) => pid)];
  try {
    const producer = await user.producer();
    const sent = numbered(10);
    await producer.send({ topic: 'smoke', acks: -1, messages: sent });
    const taken = await take(await user.consumer({ groupId: 'smoke' }), 'smoke');
    await untilTaken(taken, sent.length);
    expect(taken.map(({ value }) => value).sort()).toEqual(sent.map(({ value }) => value).sort());
  } finally {
    await user.close();
    await cluster.stop();
  }
  expect(pids.filter(isAlive)).toEqual([]);
});
