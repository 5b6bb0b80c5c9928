// An AMQP publisher as a careful application writes one, with amqplib: a window of unconfirmed messages;
// what is nacked, returned, or unknown because a connection ended is published again, in its old order.
// After a refusal one message tries the door before all the others follow.
import { delay } from '../lib/dev-cluster.mjs';
import { hangUp } from './dial.mjs';

const WINDOW = 500;
const PROBE_MS = 100;

export class Publisher {
  #dial;
  #exchange;
  #messages;
  #events;
  #next = 0;
  /** Indexes to publish again, ascending. */
  #again = [];
  #open = new Set();
  #returned = new Set();
  /** After a refusal: first all that is open is answered (draining), then one is tried (probing). */
  #state = 'flowing';
  #confirmedCount = 0;
  #connection;
  #channel;
  #finished;
  #isStopped = false;
  counts = { nacked: 0, returned: 0, unknown: 0 };

  /**
   * `events`: publishing(message), confirmed(message), trouble(error). `dial` answers a connection, whatever
   * it takes.
   */
  constructor({ exchange, messages, events, dial }) {
    this.#dial = dial;
    this.#exchange = exchange;
    this.#messages = messages;
    this.#events = events;
  }

  get confirmedCount() {
    return this.#confirmedCount;
  }

  /** Resolves when every message is confirmed. */
  async run() {
    while (this.#confirmedCount < this.#messages.length && !this.#isStopped) {
      this.#connection = await this.#dial();
      const isDone = await this.#publishOver(this.#connection);
      if (isDone) await hangUp(this.#connection);
    }
  }

  stop() {
    this.#isStopped = true;
    return hangUp(this.#connection);
  }

  /** True when all is confirmed, false when the connection ended first. */
  async #publishOver(connection) {
    const ended = new Promise((resolve) => connection.once('close', () => resolve(false)));
    const channel = await connection.createConfirmChannel().catch((error) => {
      this.#events.trouble(error);
    });
    if (channel === undefined) return ended;
    channel.on('error', (error) => this.#events.trouble(error));
    // Before amqplib tells each publish that there is no channel: nobody knows what became of them. And a
    // channel that is closed for an error takes its connection with it here: one way to begin anew.
    channel.prependOnceListener('close', () => {
      this.#channel = undefined;
      void hangUp(connection);
    });
    channel.on('return', ({ properties }) => this.#returned.add(properties.messageId));
    const done = new Promise((resolve) => {
      this.#finished = () => resolve(true);
    });
    this.#channel = channel;
    this.#fill();
    const isDone = await Promise.race([done, ended]);
    this.#channel = undefined;
    if (!isDone) this.#forgetOpen();
    return isDone;
  }

  #forgetOpen() {
    this.counts.unknown += this.#open.size;
    this.#putBack([...this.#open]);
    this.#open.clear();
    this.#returned.clear();
    this.#state = 'flowing';
  }

  #putBack(indexes) {
    this.#again.push(...indexes);
    this.#again.sort((a, b) => a - b);
  }

  #fill() {
    const limit = this.#state === 'probing' ? 1 : WINDOW;
    while (this.#open.size < limit) {
      const index = this.#again.shift() ?? this.#next;
      if (index === this.#messages.length) return;
      if (index === this.#next) this.#next += 1;
      this.#publish(index);
    }
  }

  #publish(index) {
    const message = this.#messages[index];
    const channel = this.#channel;
    this.#open.add(index);
    this.#events.publishing(message);
    const options = {
      persistent: true,
      mandatory: true,
      messageId: message.id,
      contentType: 'application/json',
    };
    channel.publish(this.#exchange, message.key, message.body, options, (error) => {
      if (channel !== this.#channel) return;
      this.#open.delete(index);
      if (this.#returned.delete(message.id)) this.#refused(index, 'returned');
      else if (error !== null) this.#refused(index, 'nacked');
      else this.#accepted(message);
    });
  }

  #accepted(message) {
    this.#confirmedCount += 1;
    this.#events.confirmed(message);
    if (this.#confirmedCount === this.#messages.length) this.#finished();
    else if (this.#state === 'draining') this.#probeWhenDrained();
    else {
      this.#state = 'flowing';
      this.#fill();
    }
  }

  #refused(index, how) {
    this.counts[how] += 1;
    this.#putBack([index]);
    this.#state = 'draining';
    this.#probeWhenDrained();
  }

  #probeWhenDrained() {
    if (this.#open.size > 0) return;
    const channel = this.#channel;
    void delay(PROBE_MS).then(() => {
      if (channel !== this.#channel) return;
      this.#state = 'probing';
      this.#fill();
    });
  }
}
