// A client of the workload that logs in as a user into a vhost and tries what needs rights, one thing after another:
// declare, publish with a confirm, get. It writes down what became of each, and where messages that it gets come from.
import { encodeUtf8 } from '../../std/bytes.ts';
import { decodeUtf8 } from '../../std/utf8.ts';
import type { AccessAttempt, AccessHistory } from '../checkers/access.ts';
import { exponential, pick } from '../draws.ts';
import { AmqpCallError, AmqpConnection, type AmqpLogin } from './amqp-connection.ts';
import { type AmqpClientFacts, CHANNEL, sleep } from './amqp-session.ts';

const ACCESS_REFUSED = 403;
const REDIAL_MS = 300;
const MEAN_GAP_MS = 150;
const CONFIRM_TIMEOUT_MS = 6_000;
const WHATS = ['publish', 'publish', 'get', 'get', 'declare'] as const;

export type VisitorFacts = Pick<AmqpClientFacts, 'env' | 'id' | 'random' | 'nodes'> & {
  readonly login: AmqpLogin;
  readonly queue: string;
  readonly history: AccessHistory;
  nowMs(): number;
};

export class AmqpVisitor {
  readonly #facts: VisitorFacts;
  #isStopping = false;
  #isDone = false;
  /** Told of the one publish that waits. */
  #confirmed: ((isStored: boolean) => void) | undefined;
  /** Why the channel was closed under a publish. */
  #closedBy: number | undefined;

  constructor(facts: VisitorFacts) {
    this.#facts = facts;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    const { env, random, nodes, login } = this.#facts;
    while (!this.#isStopping) {
      const connection = new AmqpConnection(
        env,
        nodes[random.below(nodes.length)]!,
        {
          confirm: (_channel, _tag, _isMultiple, isStored) => this.#confirmed?.(isStored),
          channelEnded: (_channel, code) => {
            this.#closedBy = code;
            this.#confirmed?.(false);
          },
          ended: () => this.#confirmed?.(false),
        },
        false,
        login,
      );
      await this.#visit(connection);
      connection.destroy();
      await sleep(env, REDIAL_MS + random.below(REDIAL_MS));
    }
    this.#isDone = true;
  }

  async #visit(connection: AmqpConnection): Promise<void> {
    const { env, random } = this.#facts;
    try {
      await connection.ready();
      await connection.call(CHANNEL, 'channel.open', {});
      await connection.call(CHANNEL, 'confirm.select', {});
      while (!connection.isOver && !this.#isStopping) {
        await sleep(env, exponential(random, MEAN_GAP_MS));
        if (!(await this.#try(connection, pick(random, WHATS)!))) return;
      }
    } catch (error) {
      if (!(error instanceof AmqpCallError)) throw error;
    }
  }

  /** False: the channel is gone. */
  async #try(connection: AmqpConnection, what: AccessAttempt['what']): Promise<boolean> {
    const { login, history, nowMs } = this.#facts;
    const { user, vhost } = login;
    const attempt: AccessAttempt = { user, vhost, what, beganMs: nowMs(), outcome: 'unknown' };
    history.attempts.push(attempt);
    try {
      if (what === 'publish') await this.#publish(connection);
      else if (what === 'get') await this.#get(connection);
      else
        await connection.call(CHANNEL, 'queue.declare', {
          queue: this.#facts.queue,
          durable: true,
        });
      attempt.outcome = 'done';
      return true;
    } catch (error) {
      if (!(error instanceof AmqpCallError)) throw error;
      if (error.code === ACCESS_REFUSED) attempt.outcome = 'refused';
      return false;
    }
  }

  async #get(connection: AmqpConnection): Promise<void> {
    const { queue, login, history, nowMs } = this.#facts;
    const answer = await connection.call(CHANNEL, 'basic.get', { queue, noAck: true });
    if (answer.content === undefined) return;
    const from = decodeUtf8(answer.content.body);
    history.seen.push({ vhost: login.vhost, from, atMs: nowMs() });
  }

  async #publish(connection: AmqpConnection): Promise<void> {
    const { env, queue, login } = this.#facts;
    this.#closedBy = undefined;
    const isStored = await new Promise<boolean>((resolve) => {
      const cancel = env.timers.at(env.clock.monotonicMs() + CONFIRM_TIMEOUT_MS, () =>
        resolve(false),
      );
      this.#confirmed = (value) => {
        cancel();
        resolve(value);
      };
      connection.publish(CHANNEL, { exchange: '', key: queue, bits: 0 }, encodeUtf8(login.vhost));
    });
    this.#confirmed = undefined;
    if (!isStored) throw new AmqpCallError('not stored', this.#closedBy);
  }
}
