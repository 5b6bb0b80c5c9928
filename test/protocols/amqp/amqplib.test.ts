// The most used Node client, unmodified, over a real socket. The queues behind the listener are in memory.
import { afterEach } from 'vitest';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { amqplibSuite } from './amqplib-suite.ts';
import { FakeNode } from './fixture.ts';

const closing: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function none(): void {
  // A quiet log.
}

amqplibSuite('amqplib', async () => {
  const quiet = { debug: none, info: none, warn: none, error: none, child: () => quiet };
  const node = new FakeNode(createNodeEnvironment({ log: quiet }));
  const listener = await node.env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    node.listener.accept(connection);
  });
  closing.push(() => {
    listener.close();
    return node.listener.close();
  });
  return { url: `amqp://127.0.0.1:${listener.address.port}` };
});
