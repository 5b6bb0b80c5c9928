// Reads a queue with amqplib, acknowledges everything, and attaches again whenever it is cut off: the
// node that it talks to may die, and so may the one that has the queue.
import { delay } from '../lib/dev-cluster.mjs';
import { hashOf } from './cities.mjs';
import { dialAny, hangUp } from './dial.mjs';

const PREFETCH = 500;
const PAUSE_MS = 100;

export class QueueReader {
  #connection;
  #isStopped = false;
  #ended;

  /** `deliver` is told of each message before it is acknowledged. */
  constructor({ urls, queue, deliver, trouble }) {
    this.#ended = this.#run({ urls, queue, deliver, trouble });
  }

  async stop() {
    this.#isStopped = true;
    await hangUp(this.#connection);
    await this.#ended;
  }

  async #run(options) {
    while (!this.#isStopped) {
      this.#connection = await dialAny(options.urls, options.trouble);
      const ended = new Promise((resolve) => this.#connection.once('close', resolve));
      while (!this.#isStopped && (await this.#readOnce(this.#connection, ended, options))) {
        await delay(PAUSE_MS);
      }
    }
  }

  /** Reads until it is cut off; true if the connection is still good. */
  async #readOnce(connection, ended, { queue, deliver, trouble }) {
    try {
      const channel = await connection.createChannel();
      channel.on('error', trouble);
      const closed = new Promise((resolve) => channel.once('close', () => resolve(true)));
      await channel.prefetch(PREFETCH);
      const cancelled = new Promise((resolve) => {
        channel
          .consume(queue, (message) => {
            if (message === null) resolve(true);
            else {
              deliver(deliveryOf(queue, message));
              channel.ack(message);
            }
          })
          .catch(() => resolve(true));
      });
      const isOpen = await Promise.race([cancelled, closed, ended.then(() => false)]);
      if (isOpen) await channel.close().catch(() => undefined);
      return isOpen;
    } catch (error) {
      trouble(error);
      return Promise.race([ended.then(() => false), delay(PAUSE_MS).then(() => true)]);
    }
  }
}

function deliveryOf(log, { content, fields, properties }) {
  return { log, id: properties.messageId, key: fields.routingKey, hash: hashOf(content) };
}
