// One run: a cluster, an exchange with three destinations, a publisher and three kinds of readers, a
// SIGKILL in the middle, and the ledger at the end. Everything goes through clients and the admin API.
import { rm } from 'node:fs/promises';
import { delay, freshFolder, startDev } from '../lib/dev-cluster.mjs';
import { findVictim, untilBack, untilLedByOthers } from './cluster.mjs';
import { dialAny } from './dial.mjs';
import { GroupReader } from './group-reader.mjs';
import { Ledger } from './ledger.mjs';
import { Publisher } from './publisher.mjs';
import { QueueReader } from './queue-reader.mjs';
import { Silence } from './silence.mjs';
import { DESTINATIONS, declare, EXCHANGE, GROUP, QUEUE, READERS, TOPIC } from './stage.mjs';
import { kafkaClient, TopicReader } from './topic-reader.mjs';

const DECLARING_NODE = 2;
const PUBLISHING_NODE = 1;
const READING_NODE = 3;
const RESTART_AFTER = '3s';
/** With nothing heard for so long a run is given up, and the ledger shows what is owed. */
const STALL_MS = 45_000;
const POLL_MS = 50;
const END_MS = 5_000;

export class Act {
  #options;
  #screen;
  #folder;
  #starting;
  #cluster;
  #publisher;
  #readers = [];
  #ledger = new Ledger(READERS);
  #silences = new Map(
    ['confirms', ...READERS.map(({ name }) => name)].map((n) => [n, new Silence()]),
  );
  #heardMs = 0;
  /** What becomes of the killed node: a promise, once the kill has begun. */
  #fate;
  #isEnded = false;

  /** `options`: messages, queueReplicas (undefined: the default), shards, killAfter. */
  constructor(options, screen) {
    this.#options = options;
    this.#screen = screen;
  }

  /** Answers what the ledger says, how long each side heard nothing, and what became of the victim. */
  async run() {
    const { queueReplicas, shards } = this.#options;
    const args = queueReplicas === undefined ? [] : ['--queue-replicas', String(queueReplicas)];
    this.#folder = freshFolder('callboard-demo-');
    const data = `${this.#folder}/data`;
    this.#starting = startDev({ nodes: 3, shards, restart: RESTART_AFTER, data, args });
    this.#cluster = await this.#starting;
    const pids = this.#cluster.nodes.map(({ pid }) => pid).join(', ');
    this.#screen.say(`three nodes are ready, processes ${pids}`);
    const { brokers } = this.#cluster;
    const kafka = kafkaClient(brokers, (error) => this.#trouble('kafkajs', error));
    await declare(kafka, this.#urlsFrom(DECLARING_NODE)[0]);
    await this.#startReaders(brokers);
    await this.#publish();
    const fate = await this.#fate;
    await this.#until('every reader has everything', () =>
      READERS.every(({ name }) => this.#ledger.owedTo(name) === 0),
    );
    this.#screen.sayTroubles();
    const silenceMs = Object.fromEntries(
      [...this.#silences].map(([name, { longestMs }]) => [name, Math.round(longestMs)]),
    );
    return { ledger: this.#ledger.report(), confirms: this.#publisher.counts, silenceMs, ...fate };
  }

  /** Says goodbye for all clients, then ends as `abort`; `isKept`: with a folder to look into. */
  async end(isKept) {
    this.#isEnded = true;
    const stops = [this.#publisher, ...this.#readers].map((client) => client?.stop());
    await Promise.race([Promise.allSettled(stops), delay(END_MS)]);
    await this.abort(isKept);
    if (isKept) this.#screen.plain(`data and logs of the nodes are in ${this.#folder}`);
  }

  /** Ends the nodes and removes their folder; the clients end with this process. */
  async abort(isKept = false) {
    this.#isEnded = true;
    const cluster = await this.#starting?.catch(() => undefined);
    await cluster?.stop();
    if (this.#folder === undefined || isKept) return;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #trouble(who, error) {
    if (!this.#isEnded) this.#screen.trouble(who, error);
  }

  #heard(name) {
    this.#heardMs = performance.now();
    this.#silences.get(name).heard(this.#heardMs);
  }

  /** Shows progress until `isDone`, or until nothing was heard for too long. */
  async #until(what, isDone) {
    while (!isDone()) {
      if (performance.now() - this.#heardMs > STALL_MS) {
        this.#screen.say(`given up: nothing was heard for ${STALL_MS / 1000} s; wanted: ${what}`);
        return;
      }
      const total = this.#options.messages.length;
      const owed = READERS.map(({ name }) => `${name} ${this.#ledger.owedTo(name)}`).join(', ');
      const confirmed = this.#publisher.confirmedCount;
      this.#screen.progress(confirmed, total, `${confirmed} confirmed; to be delivered: ${owed}`);
      await delay(POLL_MS);
    }
  }

  #urlsFrom(id) {
    const { nodes } = this.#cluster;
    return nodes.map((_, i) => nodes[(id - 1 + i) % nodes.length].amqp);
  }

  async #startReaders(brokers) {
    const hooksOf = ({ name }, client) => ({
      deliver: (delivery) => {
        this.#ledger.delivered(name, delivery);
        this.#heard(name);
      },
      trouble: (error) => this.#trouble(client, error),
    });
    const urls = this.#urlsFrom(READING_NODE);
    const queue = QUEUE.destination;
    this.#readers.push(
      new QueueReader({ urls, queue, ...hooksOf(QUEUE, 'amqplib, reading') }),
      await TopicReader.start({ brokers, topic: TOPIC.destination, ...hooksOf(TOPIC, 'kafkajs') }),
      await GroupReader.start({
        endpoints: this.#cluster.nodes[READING_NODE - 1].rocketmq,
        topic: GROUP.destination,
        ...hooksOf(GROUP, 'rocketmq-client-nodejs'),
      }),
    );
  }

  async #publish() {
    const { messages, killAfter } = this.#options;
    const killAt = Math.max(1, Math.floor(messages.length * killAfter));
    const trouble = (error) => this.#trouble('amqplib, publishing', error);
    this.#publisher = new Publisher({
      dial: () => dialAny(this.#urlsFrom(PUBLISHING_NODE), trouble),
      exchange: EXCHANGE,
      messages,
      events: {
        publishing: ({ id, key, hash }) => this.#ledger.publishing(id, key, hash),
        confirmed: ({ id }) => {
          this.#ledger.confirmed(id);
          this.#heard('confirms');
          if (this.#publisher.confirmedCount === killAt) this.#fate = this.#kill();
        },
        trouble,
      },
    });
    this.#screen.say(`publishing ${messages.length} cities through node ${PUBLISHING_NODE}`);
    this.#heardMs = performance.now();
    let isDone = false;
    const run = this.#publisher.run().then(() => {
      isDone = true;
    });
    await Promise.race([run, this.#until('every confirm', () => isDone)]);
    this.#screen.say(`${this.#publisher.confirmedCount} are confirmed`);
  }

  /** Never rejects: a node that does not come back is an answer. */
  async #kill() {
    let id;
    try {
      const topics = [TOPIC.destination, GROUP.destination];
      const victim = await findVictim(this.#cluster, QUEUE.destination, topics);
      id = victim.id;
      const sinceMs = performance.now();
      for (const silence of this.#silences.values()) silence.mark(sinceMs);
      await this.#cluster.kill(id);
      const led = victim.led.map((list, i) => `${topics[i]} ${list.join(', ') || '-'}`).join('; ');
      this.#screen.say(
        `SIGKILL for node ${id}: it led the queue ${QUEUE.destination}, and of ${led}`,
      );
      await untilLedByOthers(this.#cluster, id, DESTINATIONS);
      const ledMs = Math.round(performance.now() - sinceMs);
      await untilBack(this.#cluster, id, DESTINATIONS);
      const backMs = Math.round(performance.now() - sinceMs);
      this.#screen.say(`node ${id} is back in sync`);
      return { victim: id, isBack: true, ledMs, backMs };
    } catch (error) {
      this.#screen.say(error.message);
      return { victim: id, isBack: false };
    }
  }
}
