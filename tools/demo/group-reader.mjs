// Reads a topic with RocketMQ's own client: a simple consumer that receives in parallel
// and acknowledges each message.
import { createRequire } from 'node:module';
import { delay } from '../lib/dev-cluster.mjs';
import { hashOf } from './cities.mjs';

/** The client asks the topic's names in turns, also those that have nothing: more calls, short waits. */
const PARALLEL = 8;
const MESSAGES_MAX = 32;
/** The shortest that is allowed: what a dead node handed out and nobody got comes again after it. */
const INVISIBLE_MS = 10_000;
const AWAIT_MS = 250;
const PAUSE_MS = 100;

export class GroupReader {
  #consumer;
  #loops = [];
  #isStopped = false;

  static async start({ endpoints, topic, deliver, trouble }) {
    // Loaded late: it takes a while, and its cluster starts meanwhile.
    const { SimpleConsumer } = createRequire(import.meta.url)('rocketmq-client-nodejs');
    const silent = () => undefined;
    const loud = (first, ...rest) => trouble(errorOf(first, rest));
    const reader = new GroupReader();
    reader.#consumer = new SimpleConsumer({
      endpoints,
      consumerGroup: 'registry',
      subscriptions: new Map([[topic, '*']]),
      awaitDuration: AWAIT_MS,
      logger: { debug: silent, info: silent, warn: silent, error: loud },
    });
    if (process.listenerCount('uncaughtException', outlive) === 0) {
      process.on('uncaughtException', outlive);
    }
    await reader.#consumer.startup();
    for (let i = 0; i < PARALLEL; i += 1) reader.#loops.push(reader.#loop(topic, deliver, trouble));
    return reader;
  }

  async stop() {
    this.#isStopped = true;
    await Promise.all(this.#loops);
    await this.#consumer.shutdown();
  }

  async #loop(topic, deliver, trouble) {
    while (!this.#isStopped) {
      try {
        const views = await this.#consumer.receive(MESSAGES_MAX, INVISIBLE_MS);
        for (const view of views) deliver(deliveryOf(topic, view));
        // An acknowledgement that fails is a message that comes again.
        await Promise.all(views.map((view) => this.#consumer.ack(view).catch(trouble)));
      } catch (error) {
        trouble(error);
        await delay(PAUSE_MS);
      }
    }
  }
}

/**
 * When the client ends it takes its listeners off streams that are still open. A node that stops a moment later
 * ends these with an error that nobody hears, and Node would end this process for it.
 */
function outlive(error) {
  if (!error.stack?.includes('rocketmq-client-nodejs')) throw error;
}

function errorOf(first, rest) {
  return [first, ...rest].find((each) => each instanceof Error) ?? new Error(String(first));
}

function deliveryOf(topic, view) {
  const { messageGroup, offset, body, properties } = view;
  return {
    // The client does not say which partition: the message group decides it, so the two name a place.
    log: `${topic}/${messageGroup}`,
    position: Number(offset),
    id: properties.get('amqp.message-id'),
    key: messageGroup,
    hash: hashOf(body),
  };
}
