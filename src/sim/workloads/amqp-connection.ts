// One connection of a simulated AMQP client to one node: handshake, heartbeats, channels, calls with one answer
// each. Knows the wire and nothing of queues. It ends when anything takes too long; who uses it dials again.
import type { Address, Connection, Environment } from '../../env/environment.ts';
import {
  BODY_AT,
  BODY_SIZE,
  ENTRY_INTS,
  type FieldTable,
  FrameReader,
  type Method,
  type MethodInput,
  type MethodName,
  MULTIPLE,
  OP_ACK,
  OP_CONTENT,
  OP_FAULT,
  OP_METHOD,
  OP_NACK,
  OutgoingMessage,
  PROPERTIES_AT,
  PROTOCOL_HEADER,
  SOURCE,
  TableWalk,
  Tape,
  writeAck,
  writeHeartbeat,
  writeMethod,
  writeNack,
} from '../../protocols/amqp/codec/index.ts';
import { ByteWriter, encodeUtf8, readI64Lossy, readU16 } from '../../std/bytes.ts';

const CONNECT_TIMEOUT_MS = 1_500;
const HANDSHAKE_TIMEOUT_MS = 4_000;
const CALL_TIMEOUT_MS = 6_000;
const HEARTBEAT_SECONDS = 2;
const HEARTBEAT_EVERY_MS = 1_000;
/** A node that was not heard for so long is given up. */
const SILENCE_MAX_MS = 3 * HEARTBEAT_SECONDS * 1_000;
const FRAME_BYTES_MAX = 16 * 1_024;
/** Who it is, and in which vhost. */
export interface AmqpLogin {
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

const GUEST: AmqpLogin = { user: 'guest', password: 'guest', vhost: '/' };
/** Flags: delivery-mode. Value: persistent, or transient. */
const PERSISTENT = Uint8Array.of(0x10, 0, 2);
const TRANSIENT = Uint8Array.of(0x10, 0, 1);
/** Places in an entry of a tape. */
const CHANNEL = 1;

/** A call without the answer that was wanted; `code` is AMQP's where the node closed the channel or all. */
export class AmqpCallError extends Error {
  readonly code: number | undefined;

  constructor(message: string, code?: number) {
    super(message);
    this.name = 'AmqpCallError';
    this.code = code;
  }
}

/** A message that came, with a body of its own. */
export interface Content {
  readonly method: Method<'basic.deliver' | 'basic.get-ok' | 'basic.return'>;
  readonly body: Uint8Array;
  /** Of one that comes from a stream. */
  readonly streamOffset: number | undefined;
  /** Of one that came back to a quorum queue. */
  readonly deliveryCount: number | undefined;
}

/** What comes unasked, in its order with the answers to calls. */
export interface AmqpEvents {
  content?(channel: number, content: Content): void;
  confirm?(channel: number, tag: number, isMultiple: boolean, isStored: boolean): void;
  /** The node ended a consumer. */
  cancelled?(channel: number, consumerTag: string): void;
  /** The answer to a call is here: called at once, while promises still wait for their turn. */
  answered?(channel: number, name: MethodName): void;
  /** By the node, which gave this code. */
  channelEnded?(channel: number, code: number): void;
  /** Publish nothing while it is so. Said only to who `hearsBlocks`. */
  blocked?(isBlocked: boolean): void;
  /** Once, whatever the reason. */
  ended?(why: string): void;
}

export type Answer = { readonly method: Method; readonly content: Content | undefined };

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: AmqpCallError) => void;
}

export class AmqpConnection {
  readonly #env: Environment;
  readonly #events: AmqpEvents;
  readonly #connection: Connection;
  readonly #tape = new Tape();
  readonly #reader = new FrameReader(this.#tape, { peer: 'server' });
  readonly #outgoing = new OutgoingMessage();
  /** By channel: one call at a time. The handshake is a call of channel 0. */
  readonly #pending = new Map<number, Pending>();
  readonly #hearsBlocks: boolean;
  readonly #login: AmqpLogin;
  #heardMs: number;
  #cancelTimer: () => void = () => undefined;
  #isOver = false;

  constructor(
    env: Environment,
    to: Address,
    events: AmqpEvents,
    hearsBlocks = false,
    login = GUEST,
  ) {
    this.#login = login;
    this.#env = env;
    this.#hearsBlocks = hearsBlocks;
    this.#events = events;
    this.#heardMs = env.clock.monotonicMs();
    this.#connection = env.net.connect(to, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#connection.start({
      onOpen: () => this.#connection.write(PROTOCOL_HEADER.slice()),
      onBytes: (view) => this.#receive(view),
      onClose: () => this.#end('the connection ended'),
    });
    this.#outgoing.frameBytesMax = FRAME_BYTES_MAX;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when channels can be opened. Rejects with {@link AmqpCallError}. */
  async ready(): Promise<void> {
    await this.#await(0, HANDSHAKE_TIMEOUT_MS);
    this.#beat();
  }

  /** Rejects with {@link AmqpCallError}; a time-out ends the connection. */
  call<N extends MethodName>(channel: number, name: N, args: MethodInput<N>): Promise<Answer> {
    if (this.#isOver) return Promise.reject(new AmqpCallError('the connection is over'));
    this.send(channel, name, args);
    return this.#await(channel, CALL_TIMEOUT_MS);
  }

  send<N extends MethodName>(channel: number, name: N, args: MethodInput<N>): void {
    this.#write((writer) => writeMethod(writer, channel, name, args));
  }

  ack(channel: number, tag: number, isMultiple: boolean): void {
    this.#write((writer) => writeAck(writer, channel, tag, isMultiple ? MULTIPLE : 0));
  }

  /** `bits`: MULTIPLE, REQUEUE. */
  nack(channel: number, tag: number, bits: number): void {
    this.#write((writer) => writeNack(writer, channel, tag, bits));
  }

  publish(
    channel: number,
    to: { readonly exchange: string; readonly key: string; readonly bits: number },
    body: Uint8Array,
    isTransient = false,
  ): void {
    this.#outgoing.properties.set(isTransient ? TRANSIENT : PERSISTENT);
    this.#outgoing.channel = channel;
    this.#outgoing.exchange.set(encodeUtf8(to.exchange));
    this.#outgoing.routingKey.set(encodeUtf8(to.key));
    this.#outgoing.publishBits = to.bits;
    this.#outgoing.body.set(body);
    this.#write((writer) => this.#outgoing.writePublish(writer));
  }

  /** Ends it at once, without a word to the node. */
  destroy(): void {
    this.#end('the client ended it');
  }

  #write(fill: (writer: ByteWriter) => void): void {
    if (this.#isOver) return;
    const writer = new ByteWriter(256);
    fill(writer);
    this.#connection.write(writer.toBytes());
  }

  #await(channel: number, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#isOver) {
        reject(new AmqpCallError('the connection is over'));
        return;
      }
      if (this.#pending.has(channel)) throw new Error('a channel has one call at a time');
      const cancel = this.#env.timers.at(this.#env.clock.monotonicMs() + timeoutMs, () =>
        this.#end('a call took too long'),
      );
      this.#pending.set(channel, {
        resolve: (answer) => {
          cancel();
          resolve(answer);
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      });
    });
  }

  #beat(): void {
    const nowMs = this.#env.clock.monotonicMs();
    if (this.#isOver) return;
    if (nowMs - this.#heardMs > SILENCE_MAX_MS) {
      this.#end('the node was silent');
      return;
    }
    this.#write(writeHeartbeat);
    this.#cancelTimer = this.#env.timers.at(nowMs + HEARTBEAT_EVERY_MS, () => this.#beat());
  }

  // ---- What comes ----------------------------------------------------------------------------

  #receive(view: Uint8Array): void {
    this.#heardMs = this.#env.clock.monotonicMs();
    this.#reader.receive(view);
    const { ints, size } = this.#tape;
    for (let at = 0; at < size && !this.#isOver; at += ENTRY_INTS[ints[at]!]!) this.#obey(ints, at);
    this.#tape.release();
  }

  #obey(ints: Int32Array, at: number): void {
    const tape = this.#tape;
    const channel = ints[at + CHANNEL]!;
    switch (ints[at]) {
      case OP_ACK:
      case OP_NACK: {
        const isMultiple = (ints[at + 4]! & MULTIPLE) !== 0;
        this.#events.confirm?.(channel, tape.deliveryTagAt(at), isMultiple, ints[at] === OP_ACK);
        break;
      }
      case OP_CONTENT: {
        const from = ints[at + BODY_AT]!;
        const bytes = tape.bytesOf(ints[at + SOURCE]!);
        const method = tape.methodAt(at) as Content['method'];
        const body = bytes.slice(from, from + ints[at + BODY_SIZE]!);
        const properties = ints[at + PROPERTIES_AT]!;
        const streamOffset = numberIn(bytes, properties, 'x-stream-offset');
        const deliveryCount = numberIn(bytes, properties, 'x-delivery-count');
        const content = { method, body, streamOffset, deliveryCount };
        this.#events.content?.(channel, content);
        if (method.name === 'basic.get-ok') this.#answer(channel, method, content);
        break;
      }
      case OP_METHOD:
        this.#method(channel, tape.methodAt(at));
        break;
      case OP_FAULT:
        throw new Error(`a node sent what is no AMQP: ${tape.faultAt(at).error.message}`);
      default:
        throw new Error('a node sent what only a client may send');
    }
  }

  #method(channel: number, method: Method): void {
    switch (method.name) {
      case 'connection.start':
        this.send(0, 'connection.start-ok', {
          clientProperties: clientProperties(this.#hearsBlocks),
          mechanism: 'PLAIN',
          response: encodeUtf8(`\0${this.#login.user}\0${this.#login.password}`),
          locale: 'en_US',
        });
        break;
      case 'connection.tune': {
        const { channelMax } = method.args;
        const frameMax = FRAME_BYTES_MAX;
        this.send(0, 'connection.tune-ok', { channelMax, frameMax, heartbeat: HEARTBEAT_SECONDS });
        this.send(0, 'connection.open', { virtualHost: this.#login.vhost });
        break;
      }
      case 'connection.close':
        this.send(0, 'connection.close-ok', {});
        this.#end(method.args.replyText, method.args.replyCode);
        break;
      case 'channel.close': {
        this.send(channel, 'channel.close-ok', {});
        const pending = this.#pending.get(channel);
        this.#pending.delete(channel);
        this.#events.channelEnded?.(channel, method.args.replyCode);
        pending?.reject(new AmqpCallError(method.args.replyText, method.args.replyCode));
        break;
      }
      case 'connection.blocked':
      case 'connection.unblocked':
        if (!this.#hearsBlocks) throw new Error(`${method.name}: to who cannot hear it`);
        this.#events.blocked?.(method.name === 'connection.blocked');
        break;
      case 'basic.cancel':
        this.#events.cancelled?.(channel, method.args.consumerTag);
        break;
      default:
        this.#answer(channel, method, undefined);
    }
  }

  #answer(channel: number, method: Method, content: Content | undefined): void {
    const pending = this.#pending.get(channel);
    if (pending === undefined) throw new Error(`${method.name}: an answer that nobody asked for`);
    this.#pending.delete(channel);
    this.#events.answered?.(channel, method.name);
    pending.resolve({ method, content });
  }

  #end(why: string, code?: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    // After a close by the node the close-ok still goes out.
    if (code === undefined) this.#connection.destroy();
    else this.#connection.end();
    this.#reader.end();
    this.#events.ended?.(why);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new AmqpCallError(why, code));
  }
}

/** Flags of properties: headers, and those that stand before them. */
const HAS_HEADERS = 0x2000;
const HAS_OTHERS_BEFORE = 0xc000;

/** A header of the broker's, in properties as publishers of the workload make them. */
function numberIn(bytes: Uint8Array, at: number, name: string): number | undefined {
  const flags = readU16(bytes, at);
  if ((flags & HAS_OTHERS_BEFORE) !== 0) throw new Error('properties that nobody has sent');
  if ((flags & HAS_HEADERS) === 0) return undefined;
  const walk = new TableWalk();
  walk.openTable(bytes, at + 2);
  while (walk.next()) {
    if (walk.isNamed(name)) return readI64Lossy(bytes, walk.valueAt);
  }
  return undefined;
}

const capability = (name: string) => ({ name, value: { type: 'bool', value: true } }) as const;

function clientProperties(hearsBlocks: boolean): FieldTable {
  const capabilities = [capability('consumer_cancel_notify')];
  if (hearsBlocks) capabilities.push(capability('connection.blocked'));
  return [
    { name: 'product', value: { type: 'longstr', value: 'simulated client' } },
    { name: 'capabilities', value: { type: 'table', value: capabilities } },
  ];
}
