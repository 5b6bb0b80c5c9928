// The session alone: calls are made by hand, time is a number, and the broker's answers come when `settle` lets
// them. What a call got back is decoded with the same tables.
import type { Instant } from '../../../../src/protocols/rocketmq/grpc/exchange.ts';
import type { RocketLimits } from '../../../../src/protocols/rocketmq/grpc/limits.ts';
import {
  type DecodedOf,
  decodeMessage,
  type EncodableOf,
  encodeMessage,
  type Message,
  type Rows,
} from '../../../../src/protocols/rocketmq/grpc/proto/index.ts';
import { METHODS, type Method } from '../../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import {
  RocketSession,
  type SessionOutputs,
} from '../../../../src/protocols/rocketmq/grpc/session.ts';
import { FakeBroker } from './fake-broker.ts';

type ResponseOf<M> = M extends Method<Rows, infer R> ? DecodedOf<Message<R>> : never;
type RequestOf<M> = M extends Method<infer Q, Rows> ? EncodableOf<Message<Q>> : never;

interface Answers {
  readonly messages: Uint8Array[];
  /** gRPC's, -1 while the call is open. */
  status: number;
  text: string;
}

export class Harness {
  readonly broker = new FakeBroker();
  readonly session: RocketSession;
  readonly now: { monotonicMs: number; wallMs: number } = {
    monotonicMs: 1000,
    wallMs: 1_700_000_000_000,
  };
  readonly answers = new Map<number, Answers>();
  readonly #outputs: SessionOutputs = {
    send: (call, message) => {
      const answers = this.answers.get(call)!;
      if (answers.status !== -1) throw new Error('a message behind the end of a call');
      answers.messages.push(message);
    },
    finish: (call, status, text) => {
      const answers = this.answers.get(call)!;
      if (answers.status !== -1) throw new Error('a call ends twice');
      answers.status = status;
      answers.text = text;
    },
    ask: (ask) =>
      this.broker.ask(ask, (answer) => this.session.answered(ask.token, answer, this.#now())),
    tell: (notice) => this.broker.tell(notice),
  };
  clientId = 'client-1';
  authority = '127.0.0.1:8081';
  deadlineMs = Number.POSITIVE_INFINITY;
  #calls = 0;

  constructor(
    limits: Partial<RocketLimits> = {},
    unpack?: (bytes: Uint8Array, bytesMax: number) => Uint8Array | undefined,
  ) {
    this.session = new RocketSession({
      picture: this.broker,
      outputs: this.#outputs,
      handleKey: new Uint8Array(16).fill(7),
      limits,
      ...(unpack === undefined ? {} : { unpack }),
    });
  }

  open(method: Method): number {
    this.#calls += 1;
    this.answers.set(this.#calls, { messages: [], status: -1, text: '' });
    const local = { host: '10.0.0.1', port: 8081 };
    const { clientId, authority, deadlineMs } = this;
    this.session.open(this.#calls, method, { clientId, authority, local, deadlineMs }, this.#now());
    return this.#calls;
  }

  say<M extends Method>(call: number, method: M, request: RequestOf<M>): void {
    const bytes = encodeMessage(method.request, request as EncodableOf<Message<Rows>>);
    this.session.message(call, bytes, this.#now());
  }

  /** One call whose answer, or one of whose asks, is there afterwards. */
  start<M extends Method>(method: M, request: RequestOf<M>): number {
    const call = this.open(method);
    this.say(call, method, request);
    return call;
  }

  /** Lets the broker answer. */
  async settle(): Promise<void> {
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
  }

  got<M extends Method>(call: number, method: M): ResponseOf<M>[] {
    const { messages } = this.answers.get(call)!;
    return messages.map((bytes) => decodeMessage(method.response, bytes) as ResponseOf<M>);
  }

  /** A call with one answer, once it is there. */
  async ask<M extends Method>(method: M, request: RequestOf<M>): Promise<ResponseOf<M>> {
    const call = this.start(method, request);
    await this.settle();
    const answers = this.got(call, method);
    const { status, text } = this.answers.get(call)!;
    if (answers.length !== 1 || status !== 0) {
      throw new Error(`${answers.length} answers, status ${status} ${text}`);
    }
    return answers[0]!;
  }

  /** Sends one message that has only what it must have, and what is given. */
  async sendOne(topic: string, system: object = {}, rest: object = {}) {
    const message = {
      topic: { name: topic },
      body: new Uint8Array([1]),
      ...rest,
      systemProperties: { messageId: 'id-1', messageType: 1, ...system },
    };
    return this.ask(METHODS.sendMessage, { messages: [message] });
  }

  /** The messages that a receive got: the code of its status and what followed. */
  async receive(topic: string, more: object = {}) {
    const call = this.start(METHODS.receiveMessage, {
      group: { name: 'group' },
      messageQueue: { topic: { name: topic } },
      batchSize: 10,
      invisibleDuration: { seconds: 30 },
      longPollingTimeout: { seconds: 0 },
      ...more,
    });
    await this.settle();
    const answers = this.got(call, METHODS.receiveMessage);
    return {
      call,
      code: answers[0]?.status?.code,
      text: answers[0]?.status?.message,
      messages: answers.flatMap(({ message }) => message ?? []),
      order: answers.map((answer) =>
        Object.keys(answer).filter((key) => answer[key as keyof typeof answer] !== undefined),
      ),
    };
  }

  #now(): Instant {
    return { ...this.now };
  }
}
