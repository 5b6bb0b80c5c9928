// A small RocketMQ client of our own for simulations: calls by gRPC, routes, one channel per address with the
// telemetry stream and the heartbeats that every client has. It retries nothing by itself: who calls decides.
import type { Address, Environment } from '../../env/environment.ts';
import { GrpcStatus } from '../../env/grpc.ts';
import {
  type DecodedOf,
  decodeMessage,
  type EncodableOf,
  encodeMessage,
  type Message,
  type Rows,
} from '../../protocols/rocketmq/grpc/proto/index.ts';
import type { Settings } from '../../protocols/rocketmq/grpc/schema/definition.ts';
import { ClientType, Code } from '../../protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS, type Method } from '../../protocols/rocketmq/grpc/schema/methods.ts';
import { between, type CountingRandom, chance, pick } from '../draws.ts';
import { GrpcChannel } from '../net/grpc-channel.ts';
import type { RocketRecorder } from './rocket-recorder.ts';

export const CALL_TIMEOUT_MS = 3_000;
const HEARTBEAT_MS = [1_000, 8_000] as const;
const NAME_PREFIX = 'callboard-';

type RequestOf<M> = M extends Method<infer Q, Rows> ? EncodableOf<Message<Q>> : never;
type ResponseOf<M> = M extends Method<Rows, infer R> ? DecodedOf<Message<R>> : never;

/** What came of a call: gRPC's status, and messages if it was OK. */
export interface Outcome<T> {
  readonly status: number;
  readonly messages: readonly T[];
}

export interface RocketClientFacts {
  readonly env: Environment;
  readonly id: string;
  readonly random: CountingRandom;
  /** Where a client that knows nothing asks first. */
  readonly nodes: readonly Address[];
  readonly recorder: RocketRecorder;
}

/** One name of brokers of a topic: where it is said to be. */
export interface Stretch {
  readonly name: string;
  readonly index: number;
  readonly at: Address;
}

export interface Route {
  readonly stretches: readonly Stretch[];
}

export class RocketClient {
  readonly #facts: RocketClientFacts;
  readonly #settings: EncodableOf<typeof Settings>;
  readonly #channels = new Map<string, GrpcChannel>();
  readonly #metadata: ReadonlyMap<string, string>;
  #isOver = false;

  constructor(facts: RocketClientFacts, settings: EncodableOf<typeof Settings>) {
    this.#facts = facts;
    this.#settings = settings;
    this.#metadata = new Map([['x-mq-client-id', facts.id]]);
    this.#beat();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  anyNode(): Address {
    return pick(this.#facts.random, this.#facts.nodes)!;
  }

  sleep(ms: number): Promise<void> {
    const { timers, clock } = this.#facts.env;
    return new Promise((resolve) => {
      timers.at(clock.monotonicMs() + ms, resolve);
    });
  }

  /** Resolves when the call is over. With `givesUpMs` nobody waits any longer than that. */
  call<M extends Method>(
    method: M,
    to: Address,
    request: RequestOf<M>,
    options: { readonly timeoutMs?: number; readonly givesUpMs?: number } = {},
  ): Promise<Outcome<ResponseOf<M>>> {
    const { timeoutMs = CALL_TIMEOUT_MS, givesUpMs } = options;
    const channel = this.#channel(to);
    const messages: ResponseOf<M>[] = [];
    const metadata = this.#metadata;
    return new Promise((resolve) => {
      const call = channel.open(
        { path: method.path, timeoutMs, metadata },
        {
          onMessage: (bytes) => {
            messages.push(decodeMessage(method.response, bytes) as ResponseOf<M>);
          },
          onEnd: (status) => {
            if (status === GrpcStatus.INTERNAL) throw new Error(`${method.name}: internal error`);
            this.#noteEnd(to, status);
            resolve({ status, messages: status === GrpcStatus.OK ? messages : [] });
          },
        },
      );
      channel.send(call, encodeMessage(method.request, request as EncodableOf<Message<Rows>>));
      channel.halfClose(call);
      if (givesUpMs !== undefined) void this.sleep(givesUpMs).then(() => channel.cancel(call));
    });
  }

  /** Undefined if there is no answer, or not now. */
  async route(topic: string): Promise<Route | undefined> {
    const { messages } = await this.call(METHODS.queryRoute, this.anyNode(), {
      topic: { name: topic },
    });
    const [answer] = messages;
    if (answer === undefined || answer.status?.code !== Code.OK) return undefined;
    const stretches = new Map<string, Stretch>();
    const queues: string[] = [];
    for (const { broker, id } of answer.messageQueues) {
      const name = broker?.name ?? '';
      const at = broker?.endpoints?.addresses[0];
      if (!name.startsWith(NAME_PREFIX) || at === undefined) throw new Error(`route of ${name}`);
      const index = Number(name.slice(NAME_PREFIX.length));
      if (!this.#facts.nodes.some(({ host, port }) => host === at.host && port === at.port)) {
        throw new Error(`${name} is said to be at ${at.host}:${at.port}, where no node is`);
      }
      stretches.set(name, { name, index, at: { host: at.host, port: at.port } });
      queues.push(`${name}/${id}`);
    }
    this.#facts.recorder.routed(topic, queues);
    return { stretches: [...stretches.values()] };
  }

  /** Says goodbye to nobody. */
  destroy(): void {
    this.#isOver = true;
    for (const channel of this.#channels.values()) channel.destroy();
    this.#channels.clear();
  }

  // ---- Channels -----------------------------------------------------------------------------------

  #channel(to: Address): GrpcChannel {
    const name = `${to.host}:${to.port}`;
    const known = this.#channels.get(name);
    if (known?.isOver === false) return known;
    const channel = new GrpcChannel(this.#facts.env, to);
    this.#channels.set(name, channel);
    this.#introduce(channel);
    return channel;
  }

  /** Who it is, on a stream that stays open as long as the connection. */
  #introduce(channel: GrpcChannel): void {
    const { telemetry } = METHODS;
    const timeoutMs = Number.POSITIVE_INFINITY;
    const call = channel.open(
      { path: telemetry.path, timeoutMs, metadata: this.#metadata },
      {
        onMessage: (bytes) => {
          const { settings } = decodeMessage(telemetry.response, bytes);
          if (settings?.clientType !== this.#settings.clientType) {
            throw new Error(`${this.#facts.id}: settings of another type of client`);
          }
        },
        onEnd: () => undefined,
      },
    );
    channel.send(call, encodeMessage(telemetry.request, { settings: this.#settings }));
  }

  /** After an answer that did not come, some dial again. */
  #noteEnd(to: Address, status: number): void {
    if (status !== GrpcStatus.DEADLINE_EXCEEDED || this.#isOver) return;
    if (chance(this.#facts.random, 0.5)) this.#channels.get(`${to.host}:${to.port}`)?.destroy();
  }

  #beat(): void {
    const { random } = this.#facts;
    void this.sleep(between(random, ...HEARTBEAT_MS)).then(() => {
      if (this.#isOver) return;
      for (const channel of this.#channels.values()) this.#heartbeat(channel);
      this.#beat();
    });
  }

  #heartbeat(channel: GrpcChannel): void {
    const { heartbeat } = METHODS;
    const { clientType } = this.#settings;
    const { group } = this.#settings.subscription ?? {};
    const call = channel.open(
      { path: heartbeat.path, timeoutMs: CALL_TIMEOUT_MS, metadata: this.#metadata },
      {
        onMessage: (bytes) => {
          const { status } = decodeMessage(heartbeat.response, bytes);
          if (status?.code !== Code.OK) throw new Error(`a heartbeat is answered ${status?.code}`);
        },
        onEnd: () => undefined,
      },
    );
    channel.send(call, encodeMessage(heartbeat.request, { clientType, group }));
    channel.halfClose(call);
  }
}

export function producerSettings(topics: readonly string[]): EncodableOf<typeof Settings> {
  return {
    clientType: ClientType.PRODUCER,
    publishing: { topics: topics.map((name) => ({ name })) },
  };
}

export function consumerSettings(
  group: string,
  subscriptions: readonly { readonly topic: string; readonly expression: string }[],
): EncodableOf<typeof Settings> {
  return {
    clientType: ClientType.SIMPLE_CONSUMER,
    subscription: {
      group: { name: group },
      subscriptions: subscriptions.map(({ topic, expression }) => ({
        topic: { name: topic },
        expression: { type: 1, expression },
      })),
    },
  };
}
