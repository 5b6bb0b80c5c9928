// One connection of AMQP 0-9-1: the handshake, the channels, and how both end. Pure: the tape of received bytes and the
// broker's words in, frames and calls of `SessionPorts` out.
//
// Invariant: after a close of the connection has been sent, only its answer counts; an exclusive queue is gone before
// the client's close is answered.
import type {
  ConsumerEnd,
  DeliveredMessage,
  NamesView,
  QueueReader,
  ReaderSink,
  VhostAccess,
} from '../../../broker/ports.ts';
import { assert } from '../../../std/assert.ts';
import {
  AmqpError,
  ENTRY_INTS,
  type Fault,
  type FrameReader,
  METHOD_CODECS,
  type Method,
  type MethodArgs,
  type MethodInput,
  type MethodName,
  OP_FAULT,
  OP_METHOD,
  OP_PUBLISH,
  OP_START,
  OP_WRONG_PROTOCOL,
  type Refusal,
  refusals,
  SOURCE,
  type Tape,
  writeHeartbeat,
  writeMethod,
} from '../codec/index.ts';
import { Channel } from './channel.ts';
import type { Consumer } from './consumers.ts';
import { attached, deliver, empty, ended, endForbidden, waitedLong } from './consuming.ts';
import { judgeLogin } from './credentials.ts';
import {
  type ClientFacts,
  clientFacts,
  refuseTune,
  type ServerFacts,
  startOf,
  type TuneOffer,
} from './handshake.ts';
import type { ChannelHost } from './host.ts';
import type { SessionPorts } from './ports.ts';
import { Rights, refuseVhost } from './rights.ts';
import type { Tools } from './tools.ts';

export interface SessionRules extends TuneOffer, ServerFacts {
  /** What waits behind commands that ask somebody; beyond it nothing is read, bytes. */
  readonly deferredBytesMax: number;
  /** How long a login that failed is left without a word; RabbitMQ's is 3 s. */
  readonly refusedLoginMs: number;
  /** How long a close of the server waits for its answer. */
  readonly closeTimeoutMs: number;
  /** Of durable queues that are declared here; -1: as many as the cluster gives. */
  readonly queueReplicas: number;
}

/** `closing`: a close was sent. `ending`: the client's close is being worked on. */
type State =
  | 'header'
  | 'starting'
  | 'tuning'
  | 'opening'
  | 'running'
  | 'closing'
  | 'ending'
  | 'over';

/** The one that the client has opened. */
type Vhost = Pick<ChannelHost, 'names' | 'exchanges' | 'rights'>;

const NO_CLIENT: ClientFacts = {
  name: undefined,
  hearsRefusals: false,
  hearsCancels: false,
  hearsBlocks: false,
};
/** RabbitMQ's words for its alarm of disks. */
const LOW_ON_DISK = 'low on disk';

export class Session implements ChannelHost, ReaderSink {
  readonly ports: SessionPorts;
  readonly tools: Tools;
  #reader: QueueReader | undefined;
  user = '';
  #vhost: Vhost | undefined;
  frameBytesMax = 0;
  ownsQueues = false;
  readonly #rules: SessionRules;
  readonly #frames: FrameReader;
  #state: State = 'header';
  #client: ClientFacts = NO_CLIENT;
  #channelMax = 0;
  #heartbeatSeconds = 0;
  readonly #channels = new Map<number, Channel>();
  /** Channels that the server has closed and whose close-ok has not come. */
  readonly #closing = new Set<number>();
  readonly #consumers = new Map<number, Consumer>();
  #consumerCount = 0;
  #unconfirmed: Channel[] = [];
  readonly #full = new Set<Channel>();
  readonly #blocked = new Set<Channel>();
  #deferredBytes = 0;
  #isDeferring = false;
  #isSlow = false;
  #isReleasing = false;

  constructor(ports: SessionPorts, tools: Tools, frames: FrameReader, rules: SessionRules) {
    this.ports = ports;
    this.tools = tools;
    this.#frames = frames;
    this.#rules = rules;
  }

  get queueReplicas(): number {
    return this.#rules.queueReplicas;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get channelCount(): number {
    return this.#channels.size;
  }

  // ---- Received bytes ---------------------------------------------------------------------------

  /** Does what is on the tape, whose bytes are lent for the call. */
  obey(tape: Tape): void {
    for (let at = 0; at < tape.size; at += ENTRY_INTS[tape.ints[at]!]!) {
      const { ints } = tape;
      const op = ints[at]!;
      const number = ints[at + 1]!;
      if (op === OP_START) this.#begin();
      else if (op === OP_WRONG_PROTOCOL) this.#refuseProtocol(tape, at);
      else if (op === OP_FAULT) this.#fault(tape, at, number);
      else if (number === 0) this.#connectionMethod(tape.methodAt(at));
      else this.#channelEntry(tape, at, number);
    }
  }

  #channelEntry(tape: Tape, at: number, number: number): void {
    if (this.#state !== 'running') return;
    const { ints } = tape;
    const op = ints[at]!;
    const channel = this.#channels.get(number);
    const method = op === OP_METHOD ? tape.methodAt(at) : undefined;
    if (channel !== undefined) {
      const bytes = op === OP_PUBLISH ? tape.bytesOf(ints[at + SOURCE]!) : undefined;
      channel.entry(ints, at, bytes, method);
    } else if (this.#closing.has(number)) {
      this.#closingMethod(number, method?.name);
    } else if (method?.name === 'channel.open') {
      this.#openChannel(number);
    } else {
      const ids = method === undefined ? undefined : METHOD_CODECS[method.name];
      this.#failConnection(new AmqpError(...refusals.channelNotOpen(), ids));
    }
  }

  #openChannel(number: number): void {
    const count = this.#channels.size + this.#closing.size;
    if (count >= this.#channelMax) {
      const refusal = refusals.tooManyChannels(count, this.#channelMax);
      this.#failConnection(new AmqpError(...refusal, METHOD_CODECS['channel.open']));
      return;
    }
    const channel = new Channel(this, number);
    if (this.#isSlow) channel.prefetch.stop();
    this.#channels.set(number, channel);
    channel.reply('channel.open-ok', {});
  }

  /** Nothing of a closed channel counts but the end of it. */
  #closingMethod(number: number, name: MethodName | undefined): void {
    if (name === 'channel.close-ok') this.#closing.delete(number);
    else if (name === 'channel.close')
      writeMethod(this.ports.writer(), number, 'channel.close-ok', {});
  }

  #fault(tape: Tape, at: number, number: number): void {
    const fault: Fault = tape.faultAt(at);
    const channel = this.#channels.get(number);
    if (fault.error.scopeOn(number) === 'channel' && channel !== undefined) {
      channel.entry(tape.ints, at, undefined, fault);
    } else {
      this.#failConnection(fault.error, fault.isSyncLost);
    }
  }

  // ---- The handshake ----------------------------------------------------------------------------

  #begin(): void {
    this.#state = 'starting';
    this.#send('connection.start', startOf(this.#rules));
  }

  #refuseProtocol(tape: Tape, at: number): void {
    const { seen, answer } = tape.wrongProtocolAt(at);
    this.ports.writer().raw(answer);
    this.ports.foreign(seen);
    this.#over(0);
  }

  #connectionMethod(method: Method): void {
    const { name } = method;
    if (name === 'connection.close') this.#clientCloses();
    else if (name === 'connection.close-ok') this.#closeAnswered();
    else if (this.#state === 'starting' && name === 'connection.start-ok') this.#login(method.args);
    else if (this.#state === 'tuning' && name === 'connection.tune-ok') this.#tune(method.args);
    else if (this.#state === 'opening' && name === 'connection.open') this.#open(method.args);
    else if (this.#state === 'running' && name === 'connection.update-secret') {
      const words = 'update-secret: this login does not expire';
      this.#refuse(['NOT_IMPLEMENTED', words], name);
    } else if (this.#state !== 'closing' && this.#state !== 'over' && this.#state !== 'ending') {
      this.#refuse(refusals.unexpectedMethod(this.#state), name);
    }
  }

  #login(args: MethodArgs<'connection.start-ok'>): void {
    this.#client = clientFacts(args.clientProperties);
    const { ports } = this;
    if (!ports.isMember) {
      // Who is let in may have changed while it was down.
      this.#failConnection(new AmqpError(...refusals.connectionForced('not in the cluster yet')));
      return;
    }
    const { credentials, why } = judgeLogin(args.mechanism, args.response, ports);
    if (credentials !== undefined && why === undefined) {
      this.user = credentials.user;
      this.#state = 'tuning';
      const { channelMax, frameBytesMax, heartbeatSeconds } = this.#rules;
      const offer = { channelMax, frameMax: frameBytesMax, heartbeat: heartbeatSeconds };
      this.#send('connection.tune', offer);
      return;
    }
    ports.note(`${args.mechanism} login refused: ${why}`);
    if (credentials !== undefined && this.#client.hearsRefusals) {
      this.#failConnection(new AmqpError(...refusals.loginRefused(args.mechanism)));
    } else {
      // Whoever guesses learns nothing, slowly.
      this.#frames.closeConnection();
      this.#over(this.#rules.refusedLoginMs);
    }
  }

  #tune(args: MethodArgs<'connection.tune-ok'>): void {
    const refusal = refuseTune(args, this.#rules);
    if (refusal !== undefined) {
      this.#refuse(refusal, 'connection.tune');
      return;
    }
    this.frameBytesMax = args.frameMax;
    this.#channelMax = args.channelMax;
    this.#heartbeatSeconds = args.heartbeat;
    this.#state = 'opening';
  }

  #open({ virtualHost }: MethodArgs<'connection.open'>): void {
    const { view, queues } = this.ports;
    const refusal = refuseVhost(view.access, this.user, virtualHost);
    if (refusal !== undefined) {
      this.#refuse(refusal, 'connection.open');
      return;
    }
    this.ports.enter(virtualHost);
    this.#vhost = {
      names: view.in(virtualHost),
      exchanges: queues.in(virtualHost),
      rights: new Rights(view.access, this.user, virtualHost),
    };
    this.#state = 'running';
    this.#send('connection.open-ok', {});
    const { user } = this;
    const { name } = this.#client;
    this.ports.opened({ user, name, heartbeatSeconds: this.#heartbeatSeconds });
  }

  #send<N extends MethodName>(name: N, args: MethodInput<N>): void {
    writeMethod(this.ports.writer(), 0, name, args);
  }

  /** Nothing was written for a while. */
  heartbeat(): void {
    if (this.#state === 'running') writeHeartbeat(this.ports.writer());
  }

  // ---- The end ----------------------------------------------------------------------------------

  /** The client closes: all that came before is done, its queues are gone, and then it hears so. */
  #clientCloses(): void {
    if (this.#state === 'over' || this.#state === 'ending') return;
    // Also where both close at once: the client need not wait for what it will not get.
    if (this.#state !== 'running') {
      this.#send('connection.close-ok', {});
      this.#over(0);
      return;
    }
    this.#state = 'ending';
    let waiting = this.#channels.size + 1;
    const done = (): void => {
      waiting -= 1;
      if (waiting === 0) this.#release(() => this.#answerClose());
    };
    for (const channel of [...this.#channels.values()]) channel.afterAll(done);
    done();
  }

  #answerClose(): void {
    if (this.#state !== 'ending') return;
    this.#send('connection.close-ok', {});
    this.#over(0);
  }

  #closeAnswered(): void {
    if (this.#state === 'closing') this.#over(0);
  }

  /** Ends all channels, and then what only lives with the connection. Once; who comes later is not called. */
  #release(then: () => void): void {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    let waiting = this.#channels.size + 1;
    const done = (): void => {
      waiting -= 1;
      if (waiting > 0) return;
      this.#reader?.close();
      this.#releaseQueues(() => {
        this.ports.released();
        then();
      });
    };
    for (const channel of [...this.#channels.values()]) {
      this.#forgetChannel(channel);
      channel.close(done);
    }
    done();
  }

  #releaseQueues(then: () => void): void {
    const owner = this.ownsQueues ? this.ports.owner() : undefined;
    if (owner === undefined) then();
    else this.ports.ask({ kind: 'release-owner', owner }, then);
  }

  /** The socket is gone: what a client had goes back to others. */
  gone(): void {
    this.#state = 'over';
    this.#frames.end();
    this.#release(() => undefined);
  }

  /** Who may do what has changed. */
  accessChanged(): void {
    if (this.#state !== 'running') return;
    const why = this.rights.whyOver();
    if (why !== undefined) this.shutDown(refusals.connectionForced(why));
    else for (const channel of [...this.#channels.values()]) endForbidden(channel);
  }

  /** The server ends the connection, for a reason of its own. */
  shutDown(refusal: Refusal): void {
    if (this.#state === 'header' || this.#state === 'over') this.#over(0);
    else this.#failConnection(new AmqpError(...refusal));
  }

  #refuse(refusal: Refusal, method: MethodName): void {
    this.#failConnection(new AmqpError(...refusal, METHOD_CODECS[method]));
  }

  #failConnection(error: AmqpError, isSyncLost = false): void {
    const state = this.#state;
    if (state === 'closing' || state === 'ending' || state === 'over') return;
    this.#state = 'closing';
    this.#frames.closeConnection();
    this.ports.note(error.replyText);
    this.#release(() => undefined);
    const { replyCode, replyText, method } = error;
    const { classId, methodId } = method;
    this.#send('connection.close', { replyCode, replyText, classId, methodId });
    // Nothing that could be an answer can be read any more.
    this.ports.end(isSyncLost ? 0 : this.#rules.closeTimeoutMs);
  }

  #over(afterMs: number): void {
    this.#state = 'over';
    this.ports.end(afterMs);
  }

  // ---- What channels need -----------------------------------------------------------------------

  /** Whoever is not let in has none. */
  get reader(): QueueReader {
    this.#reader ??= this.ports.queues.reader(this, this.ports.connection);
    return this.#reader;
  }

  get names(): NamesView {
    return this.#opened.names;
  }

  get exchanges(): VhostAccess {
    return this.#opened.exchanges;
  }

  get rights(): Rights {
    return this.#opened.rights;
  }

  /** There are no channels before. */
  get #opened(): Vhost {
    assert(this.#vhost !== undefined, 'a vhost is opened before it is used');
    return this.#vhost;
  }

  get hearsCancels(): boolean {
    return this.#client.hearsCancels;
  }

  nextConsumer(): number {
    this.#consumerCount += 1;
    return this.#consumerCount;
  }

  register(consumer: Consumer): void {
    this.#consumers.set(consumer.number, consumer);
  }

  /** Once it holds nothing any more. */
  forget(consumer: Consumer): void {
    if (consumer.held === 0) this.#consumers.delete(consumer.number);
  }

  consumer(number: number): Consumer | undefined {
    return this.#consumers.get(number);
  }

  fail(channel: Channel, error: AmqpError): void {
    if (error.scopeOn(channel.number) === 'connection') {
      this.#failConnection(error);
      return;
    }
    const { number } = channel;
    this.#frames.closeChannel(number);
    this.#forgetChannel(channel);
    this.#closing.add(number);
    const { replyCode, replyText, method } = error;
    const { classId, methodId } = method;
    const args = { replyCode, replyText, classId, methodId };
    writeMethod(this.ports.writer(), number, 'channel.close', args);
    channel.close(() => undefined);
  }

  closed(channel: Channel): void {
    const { number } = channel;
    this.#forgetChannel(channel);
    // Until it is answered the number is not free.
    this.#closing.add(number);
    channel.close(() => {
      this.#closing.delete(number);
      if (this.#state === 'running') {
        writeMethod(this.ports.writer(), number, 'channel.close-ok', {});
      }
    });
  }

  #forgetChannel(channel: Channel): void {
    this.#writeConfirms(channel);
    this.#channels.delete(channel.number);
  }

  // ---- Confirms and pauses ----------------------------------------------------------------------

  confirmLater(channel: Channel): void {
    this.#unconfirmed.push(channel);
    this.ports.wake();
  }

  /** The end of a turn. */
  flush(): void {
    if (this.#unconfirmed.length === 0) return;
    const channels = this.#unconfirmed;
    this.#unconfirmed = [];
    for (const channel of channels) this.#writeConfirms(channel);
  }

  #writeConfirms(channel: Channel): void {
    if (channel.isOver || channel.confirms?.hasFresh !== true) return;
    channel.confirms.flush(this.ports.writer(), channel.number);
  }

  full(channel: Channel, isFull: boolean): void {
    const before = this.#full.size;
    if (isFull) this.#full.add(channel);
    else this.#full.delete(channel);
    if (before === 0 && this.#full.size > 0) this.ports.pause('publishes');
    if (before > 0 && this.#full.size === 0) this.ports.resume('publishes');
  }

  /** As with RabbitMQ's alarms: the client is told, and nothing is read from who has published. */
  blocked(channel: Channel, isBlocked: boolean): void {
    const before = this.#blocked.size;
    if (isBlocked) this.#blocked.add(channel);
    else this.#blocked.delete(channel);
    const { size } = this.#blocked;
    if (before === size || (before > 0 && size > 0)) return;
    const isTold = this.#client.hearsBlocks && this.#state === 'running';
    if (size > 0) {
      if (isTold) this.#send('connection.blocked', { reason: LOW_ON_DISK });
      this.ports.pause('blocked');
    } else {
      if (isTold) this.#send('connection.unblocked', {});
      this.ports.resume('blocked');
    }
  }

  defer(bytes: number): void {
    this.#deferredBytes += bytes;
    if (this.#isDeferring || this.#deferredBytes <= this.#rules.deferredBytesMax) return;
    this.#isDeferring = true;
    this.ports.pause('deferred');
  }

  undefer(bytes: number): void {
    this.#deferredBytes -= bytes;
    if (!this.#isDeferring || this.#deferredBytes > this.#rules.deferredBytesMax / 2) return;
    this.#isDeferring = false;
    this.ports.resume('deferred');
  }

  /** Bytes that wait behind commands. */
  get deferredBytes(): number {
    return this.#deferredBytes;
  }

  /** The client does not read as fast as messages come. */
  set isSlow(isSlow: boolean) {
    if (this.#isSlow === isSlow) return;
    this.#isSlow = isSlow;
    for (const { prefetch } of this.#channels.values()) {
      if (isSlow) prefetch.stop();
      else prefetch.start();
    }
  }

  // ---- What the broker tells of consumers -------------------------------------------------------

  deliver(number: number, message: DeliveredMessage): void {
    const consumer = this.#consumers.get(number);
    const channel = consumer?.facts.channel;
    if (consumer === undefined || channel === undefined || channel.isOver || !consumer.isAttached) {
      // It was on its way when its consumer ended.
      const { logId, epoch, offset, lease } = message;
      if (lease > 0) this.reader.return(number, logId, epoch, offset, lease, true, false);
      return;
    }
    deliver(channel, consumer, message);
  }

  /** Everything is written at the end of the turn anyway. */
  delivered(): void {
    this.ports.wake();
  }

  attached(number: number): void {
    const consumer = this.#consumers.get(number);
    if (consumer !== undefined) attached(consumer.facts.channel, consumer);
  }

  ended(number: number, why: ConsumerEnd): void {
    const consumer = this.#consumers.get(number);
    if (consumer !== undefined) ended(consumer.facts.channel, consumer, why);
  }

  /** A channel has waited for a queue as long as it should. */
  waitedLong(number: number): void {
    const channel = this.#channels.get(number);
    if (channel !== undefined) waitedLong(channel);
  }

  empty(number: number): void {
    const consumer = this.#consumers.get(number);
    if (consumer !== undefined) empty(consumer.facts.channel, consumer);
  }
}
