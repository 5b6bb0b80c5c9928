// amqplib under chaos, in a process of its own: for each queue a publisher with confirms and a window, which
// publishes again what was nacked or is unknown, and one consumer at a time, which acknowledges everything. Both go to
// the next node whenever they are cut off.
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import { delay } from '../../lib/dev-cluster.mjs';
import { fact, serve } from '../talk.mjs';

const QUEUES = [
  {
    lane: 'amqp quorum',
    queue: 'chaos-quorum',
    options: { arguments: { 'x-queue-type': 'quorum' } },
  },
  { lane: 'amqp classic', queue: 'chaos-classic', options: {} },
];
const WINDOW = 20;
const PREFETCH = 20;
const BODY_BYTES_MAX = 300;
const PACE_MS = 10;
const AGAIN_MS = 100;
/** A node that stands still is noticed by these; by a handshake that hangs too. */
const HEARTBEAT_S = 2;
const HANDSHAKE_MS = 3_000;

let isRunning = true;
let isOver = false;
const loops = [];
const readers = [];
const hashOf = (body) => createHash('sha1').update(body).digest('base64');
const ignore = () => undefined;

/** Runs `work(connection)` on one node after the other until `isDone`; it ends with its connection. */
async function onConnections(addresses, first, isDone, work) {
  for (let turn = first; !isDone(); turn += 1) {
    const address = addresses[turn % addresses.length];
    try {
      const url = `amqp://guest:guest@${address}?heartbeat=${HEARTBEAT_S}`;
      const connection = await connect(url, { timeout: HANDSHAKE_MS });
      connection.on('error', ignore);
      const closed = new Promise((resolve) => connection.once('close', resolve));
      try {
        await Promise.race([work(connection), closed]);
      } finally {
        // Not a polite end: a node that stands still would not answer it.
        connection.connection.stream.destroy();
      }
    } catch {
      // Nobody there, or nobody that answers: the next.
    }
    await delay(AGAIN_MS);
  }
}

class Publisher {
  #lane;
  #queue;
  #next = 0;
  /** Of those that are to be published again, in the order in which they were first. */
  #again = [];
  #open = new Map();
  #notBeforeMs = 0;

  constructor({ lane, queue }) {
    this.#lane = lane;
    this.#queue = queue;
  }

  get isDone() {
    return !isRunning && this.#open.size === 0 && this.#again.length === 0;
  }

  /** Publishes until everything is confirmed after the end of the run, or the channel is closed. */
  async run(connection) {
    const channel = await connection.createConfirmChannel();
    channel.on('error', ignore);
    let isClosed = false;
    channel.once('close', () => {
      isClosed = true;
    });
    try {
      while (!isClosed && !this.isDone) {
        if (performance.now() >= this.#notBeforeMs) this.#publishOne(channel);
        await delay(PACE_MS);
      }
    } finally {
      // Nobody knows what became of these.
      this.#putBack([...this.#open.values()]);
      this.#open = new Map();
    }
  }

  #putBack(messages) {
    this.#again.push(...messages);
    this.#again.sort((a, b) => a.number - b.number);
  }

  #fresh() {
    const number = this.#next;
    this.#next += 1;
    const body = randomBytes(1 + Math.floor(Math.random() * BODY_BYTES_MAX));
    return { number, id: `${this.#queue}/${number}`, body, hash: hashOf(body) };
  }

  #publishOne(channel) {
    if (this.#open.size >= WINDOW) return;
    if (!isRunning && this.#again.length === 0) return;
    const message = this.#again.shift() ?? this.#fresh();
    const open = this.#open;
    open.set(message.number, message);
    const { id, hash, body } = message;
    fact('sending', [this.#lane, [{ id, hash, key: this.#queue }]]);
    const startMs = performance.now();
    const options = { persistent: true, messageId: id };
    channel.sendToQueue(this.#queue, body, options, (error) => {
      // Of an earlier connection: it has been put back as unknown.
      if (open !== this.#open) return;
      open.delete(message.number);
      if (error !== null) {
        this.#putBack([message]);
        this.#notBeforeMs = performance.now() + AGAIN_MS;
        return;
      }
      fact('acknowledged', [this.#lane, [id], performance.now() - startMs]);
    });
  }
}

/** Consumes until the consumer is cancelled or the channel is closed. */
async function consume(connection, { lane, queue }) {
  const channel = await connection.createChannel();
  channel.on('error', ignore);
  await channel.prefetch(PREFETCH);
  await new Promise((resolve, reject) => {
    channel.once('close', resolve);
    const take = (message) => {
      if (message === null) {
        resolve();
        return;
      }
      const { content, fields, properties } = message;
      const row = {
        id: properties.messageId,
        hash: hashOf(content),
        isFlagged: fields.redelivered,
      };
      fact('delivered', [lane, 'queue', [row]]);
      channel.ack(message);
    };
    channel.consume(queue, take).catch(reject);
  });
}

/** A channel of its own: a refusal closes it. Answers whether the queue is there. */
async function declareOne(connection, queue, options) {
  const channel = await connection.createChannel();
  channel.on('error', ignore);
  try {
    await channel.assertQueue(queue, { durable: true, ...options });
    return true;
  } catch (error) {
    if (error.code !== 406) throw error;
    return false;
  }
}

async function declare(addresses) {
  let isDeclared = false;
  const isDone = () => isDeclared;
  await onConnections(addresses, 0, isDone, async (connection) => {
    for (const { queue, options } of QUEUES) {
      if (await declareOne(connection, queue, options)) continue;
      fact('note', `${queue} is a queue without a type: ${JSON.stringify(options)} is refused`);
      await declareOne(connection, queue, {});
    }
    isDeclared = true;
  });
}

serve({
  async start({ amqp: addresses }) {
    await declare(addresses);
    for (const [i, each] of QUEUES.entries()) {
      const publisher = new Publisher(each);
      const isDone = () => publisher.isDone;
      loops.push(onConnections(addresses, i, isDone, (connection) => publisher.run(connection)));
      readers.push(
        onConnections(
          addresses,
          i + 1,
          () => isOver,
          (connection) => consume(connection, each),
        ),
      );
    }
  },
  async stop() {
    isRunning = false;
    await Promise.all(loops);
  },
  end() {
    isOver = true;
  },
});
