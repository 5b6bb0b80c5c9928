// One node without a cluster: the real listener, sessions and metadata rules over queues in memory. `AmqpWorld` is one
// in virtual time, whose clients are byte arrays.
import { System } from '../../../src/actors/index.ts';
import {
  type ManualEnvironment,
  manualEnvironment,
} from '../../../src/actors/testkit/manual-environment.ts';
import { createBrokerPorts } from '../../../src/broker/ports.ts';
import { encodeCommand } from '../../../src/cluster/metadata/index.ts';
import { MetadataChanges } from '../../../src/cluster/metadata-shell/changes.ts';
import type { ProposeAnswer } from '../../../src/cluster/metadata-shell/metadata-protocol.ts';
import { MetadataReplica } from '../../../src/cluster/metadata-shell/metadata-replica.ts';
import type { Connection, ConnectionEvents, Environment } from '../../../src/env/environment.ts';
import {
  type BasicProperties,
  FrameReader,
  type Method,
  type MethodInput,
  type MethodName,
  OutgoingMessage,
  PROTOCOL_HEADER,
  Tape,
  writeMethod,
} from '../../../src/protocols/amqp/codec/index.ts';
import type { AmqpLimits } from '../../../src/protocols/amqp/limits.ts';
import { type AmqpListener, startAmqpListener } from '../../../src/protocols/amqp/listener.ts';
import { ByteWriter, concatBytes, encodeUtf8 } from '../../../src/std/bytes.ts';
import { registration } from '../../cluster/metadata/world.ts';
import { encodeProperties } from './codec/all-properties.ts';
import { type Entry, entriesOf } from './codec/tape-reader.ts';
import { FakeQueues } from './fake-queues.ts';

/** A socket of byte arrays. */
export class FakeSocket implements Connection {
  readonly id: number;
  readonly local = { host: '127.0.0.1', port: 5672 };
  readonly remote = { host: '127.0.0.1', port: 50_000 };
  events: ConnectionEvents | undefined;
  sent: Uint8Array[] = [];
  writes = 0;
  queuedBytes = 0;
  isPaused = false;
  isEnded = false;
  isClosed = false;
  /** The peer does not read: bytes queue up. */
  isStuck = false;
  readonly #env: ManualEnvironment;
  #waiting: (() => void)[] = [];

  constructor(env: ManualEnvironment, id: number, host: string) {
    this.#env = env;
    this.id = id;
    this.remote.host = host;
  }

  start(events: ConnectionEvents): void {
    this.events = events;
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (this.isClosed || this.isEnded) throw new Error('written to behind its end');
    this.writes += 1;
    this.sent.push(bytes.slice());
    this.queuedBytes += bytes.length;
    this.#waiting.push(() => {
      this.queuedBytes -= bytes.length;
      done?.();
    });
    if (!this.isStuck) this.#env.runQueue.soon(() => this.drain());
  }

  drain(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  sendFile(): void {
    throw new Error('AMQP sends no files');
  }

  pauseReading(): void {
    this.isPaused = true;
  }

  resumeReading(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#env.runQueue.soon(() => {
      this.drain();
      this.events?.onClose();
    });
  }
}

/** What a server said, in words: `channel method {args}`, content with its body. */
export type Said = Entry;

export class Client {
  readonly socket: FakeSocket;
  readonly #world: AmqpWorld;
  readonly #tape = new Tape();
  readonly #reader = new FrameReader(this.#tape, { peer: 'server' });
  readonly #writer = new ByteWriter();
  readonly #message = new OutgoingMessage();

  constructor(world: AmqpWorld, socket: FakeSocket) {
    this.#world = world;
    this.socket = socket;
  }

  /** The server receives these bytes, in memory that is overwritten afterwards. */
  raw(...chunks: readonly Uint8Array[]): this {
    for (const chunk of chunks) {
      const lent = chunk.slice();
      this.socket.events?.onBytes(lent);
      lent.fill(0xbb);
    }
    return this;
  }

  /** Puts a method into the next chunk. */
  add<N extends MethodName>(channel: number, name: N, args: MethodInput<N>): this {
    writeMethod(this.#writer, channel, name, args);
    return this;
  }

  addPublish(
    channel: number,
    exchange: string,
    routingKey: string,
    body: string,
    properties: BasicProperties = {},
    bits = 0,
  ): this {
    const message = this.#message;
    const encoded = new ByteWriter();
    encodeProperties(encoded, properties);
    message.channel = channel;
    message.exchange.set(encodeUtf8(exchange));
    message.routingKey.set(encodeUtf8(routingKey));
    message.properties.set(encoded.toBytes());
    message.body.set(encodeUtf8(body));
    message.publishBits = bits;
    message.writePublish(this.#writer);
    return this;
  }

  /** Sends what was added in one chunk, and lets everything happen. */
  async send(): Promise<Said[]> {
    const bytes = this.#writer.toBytes();
    this.#writer.reset();
    this.raw(bytes);
    return this.said();
  }

  async call<N extends MethodName>(
    channel: number,
    name: N,
    args: MethodInput<N>,
  ): Promise<Said[]> {
    return this.add(channel, name, args).send();
  }

  /** Bytes since the last call. */
  async bytes(): Promise<Uint8Array> {
    await this.#world.settle();
    return concatBytes(this.socket.sent.splice(0));
  }

  /** What the server has said since the last call, heartbeats left out. */
  async said(): Promise<Said[]> {
    const bytes = await this.bytes();
    this.#reader.receive(bytes);
    const entries = entriesOf(this.#tape);
    this.#tape.release();
    return entries;
  }

  async handshake(
    tune: Partial<MethodInput<'connection.tune-ok'>> = {},
    capabilities: Record<string, boolean> = {},
  ): Promise<Said[]> {
    this.raw(PROTOCOL_HEADER);
    const fields = Object.entries(capabilities).map(([name, value]) => ({
      name,
      value: { type: 'bool' as const, value },
    }));
    this.add(0, 'connection.start-ok', {
      clientProperties: [{ name: 'capabilities', value: { type: 'table', value: fields } }],
      mechanism: 'PLAIN',
      response: encodeUtf8('\0guest\0guest'),
      locale: 'en_US',
    });
    const args = { channelMax: 2047, frameMax: 131_072, heartbeat: 0, ...tune };
    this.add(0, 'connection.tune-ok', args);
    return this.add(0, 'connection.open', { virtualHost: '/' }).send();
  }

  async closed(): Promise<boolean> {
    await this.#world.settle();
    return this.socket.isEnded || this.socket.isClosed;
  }

  /** The peer's machine is gone. */
  async cut(): Promise<void> {
    this.socket.isClosed = true;
    this.socket.events?.onClose();
    await this.#world.settle();
  }
}

export const CAPABLE = {
  authentication_failure_close: true,
  consumer_cancel_notify: true,
  'basic.nack': true,
  publisher_confirms: true,
};

/** The listener over any environment. */
export class FakeNode<E extends Environment> {
  readonly env: E;
  readonly system: System;
  readonly replica = new MetadataReplica(1);
  readonly queues: FakeQueues;
  readonly listener: AmqpListener;
  /** Instead of the answer of the metadata, once it was asked. */
  metadataAnswer: ProposeAnswer | undefined;
  /** Changes are not answered before `settleChanges`. */
  holdsChanges = false;
  #held: (() => void)[] = [];
  #index = 0;

  constructor(env: E, limits: Partial<AmqpLimits> = {}) {
    this.env = env;
    const place = { node: 1, thread: 0, threadCount: 1, incarnation: 1 };
    this.system = new System(env, { name: 'test', ...place });
    this.apply(encodeCommand(registration(1)));
    this.apply(encodeCommand({ kind: 'unfence-node', node: 1, incarnation: 101 }));
    const { view, image } = this.replica;
    this.queues = new FakeQueues(view, (task) => env.runQueue.soon(task));
    const ports = createBrokerPorts({
      view,
      queues: this.queues,
      metadata: new MetadataChanges(
        image,
        (command) => this.#change(command),
        env.random.fork('m'),
      ),
      settings: { autoCreate: true, defaultPartitions: 3 },
      logHost: () => undefined,
    });
    this.listener = startAmqpListener({
      system: this.system,
      ports,
      place: { node: 1, shard: 0, shardIncarnation: 1 },
      version: '0.0.0',
      limits,
      otherPorts: { HTTP: 8080, Kafka: 9092 },
    });
  }

  apply(command: Uint8Array): ProposeAnswer {
    this.#index += 1;
    const refused = this.replica.apply(command, this.#index);
    this.replica.publish();
    const index = this.#index;
    const none = { code: '', message: '', difference: undefined };
    return { kind: refused === undefined ? 'done' : 'refused', index, ...none, ...refused };
  }

  #change(command: Uint8Array): Promise<ProposeAnswer> {
    if (this.metadataAnswer !== undefined) return Promise.resolve(this.metadataAnswer);
    if (!this.holdsChanges) return Promise.resolve(this.apply(command));
    return new Promise((resolve) => {
      this.#held.push(() => resolve(this.apply(command)));
    });
  }

  settleChanges(): void {
    for (const change of this.#held.splice(0)) change();
  }
}

export class AmqpWorld extends FakeNode<ManualEnvironment> {
  #sockets = 0;

  constructor(limits: Partial<AmqpLimits> = {}) {
    super(manualEnvironment(7), limits);
  }

  dial(host = '127.0.0.1'): Client {
    this.#sockets += 1;
    const socket = new FakeSocket(this.env, this.#sockets, host);
    this.listener.accept(socket);
    this.env.run();
    return new Client(this, socket);
  }

  /** A client whose channels may be used; `channels` of them are open. */
  async connect(channels = 1, capabilities: Record<string, boolean> = CAPABLE): Promise<Client> {
    const client = this.dial();
    await client.handshake({}, capabilities);
    for (let number = 1; number <= channels; number += 1) client.add(number, 'channel.open', {});
    await client.send();
    return client;
  }

  /** Everything that can happen now has happened, promises included. */
  async settle(): Promise<void> {
    await this.env.settle();
  }

  async pass(ms: number): Promise<void> {
    await this.env.advanceAsync(ms);
  }
}

/** Entries as short lines: `1 queue.declare-ok {"queue":"q"}`, `1 basic.deliver {...} body`, `1 ack 3 multiple`. */
export function lines(entries: readonly Said[]): string[] {
  return entries.map((entry) => {
    switch (entry.op) {
      case 'method':
        return `${entry.channel} ${methodLine(entry.method)}`;
      case 'content':
        return `${entry.channel} ${methodLine(entry.method!)} ${entry.body}`;
      case 'ack':
      case 'nack':
        return `${entry.channel} ${entry.op} ${entry.tag}${entry.bits === 1 ? ' multiple' : ''}`;
      default:
        return JSON.stringify(entry);
    }
  });
}

function methodLine({ name, args }: Method): string {
  const shown = Object.values(args).map((value) => (value instanceof Uint8Array ? '...' : value));
  return [
    name,
    ...shown.map((value) => (typeof value === 'string' ? `'${value}'` : String(value))),
  ].join(' ');
}
