// One client connection: the actor around a session. Bytes are read and obeyed where they come in, because they are
// lent; frames leave once per turn; answers and timers are messages of its own. Runs on the thread that owns the socket.
import {
  type Actor,
  actor,
  type Context,
  type Handlers,
  protocol,
  tell,
} from '../../actors/index.ts';
import type { QueueOwner } from '../../broker/ports.ts';
import { record, u53 } from '../../codec/index.ts';
import type { Connection } from '../../env/environment.ts';
import type { ByteWriter } from '../../std/bytes.ts';
import { messageOf } from '../../std/errors.ts';
import { isLoopback } from '../../std/loopback.ts';
import { CONNECTION_SUPERVISION } from '../listening/books.ts';
import { type Asked, answerTo } from './asks.ts';
import { FrameReader, type Refusal, type WrongProtocol } from './codec/index.ts';
import { guarded } from './guarded.ts';
import { Heartbeats } from './heartbeats.ts';
import type { AmqpListener } from './listener.ts';
import { Output } from './output.ts';
import type {
  Answers,
  OpenedFacts,
  PauseReason,
  QuestionKind,
  QuestionOf,
  SessionPorts,
} from './session/ports.ts';
import { Session } from './session/session.ts';

const HANDSHAKE = 1;
const SEND_LOOK = 2;
const RECEIVE_LOOK = 3;
const END = 4;
const LINGER = 5;
const TAKEN = 6;
const ACCESS = 7;
/** Waits for queues, by channel. */
const WAITS = 1_000;
/** Answers to questions, by number. */
const ANSWERS = 100_000;
/** How long a closed connection may take to send what is queued. */
const LINGER_MS = 500;

/** Messages of a connection to itself. */
const AmqpConnectionProtocol = protocol('amqp-connection', 1, {
  woken: tell(record({ token: u53 })),
});
type Ops = typeof AmqpConnectionProtocol.ops;

export interface ConnectionArgs {
  readonly listener: AmqpListener;
  readonly connection: Connection;
  /** Unique among the connections of the node in this life. */
  readonly number: number;
  readonly remoteHost: string;
}

export class AmqpConnection implements Handlers<Ops>, SessionPorts {
  readonly connection: number;
  readonly isLoopback: boolean;
  readonly queues: SessionPorts['queues'];
  readonly output: Output;
  readonly #ctx: Context<Ops>;
  readonly #listener: AmqpListener;
  readonly #socket: Connection;
  readonly #remoteHost: string;
  readonly #frames: FrameReader;
  readonly #session: Session;
  readonly #pauses = new Set<PauseReason | 'unsent'>();
  readonly #waiting = new Map<number, () => void>();
  #asked: Asked;
  #answerCount = 0;
  #heartbeats: Heartbeats | undefined;
  #receivedBytes = 0;
  #accountedBytes = 0;
  #isEnding = false;
  #isGone = false;
  #isReleased = false;
  #isTakenSent = false;
  #isSlow = false;
  #name = '';

  constructor(ctx: Context<Ops>, args: ConnectionArgs) {
    const { listener, connection: socket, remoteHost } = args;
    this.#ctx = ctx;
    this.#listener = listener;
    this.#socket = socket;
    this.#remoteHost = remoteHost;
    this.connection = args.number;
    this.#asked = listener.asked;
    this.isLoopback = isLoopback(remoteHost);
    this.queues = guarded(listener.ports.queues, (error) => this.#failed(error));
    this.output = new Output(socket, listener.slabs, () => this.#taken());
    this.#frames = new FrameReader(listener.tape, { limits: listener.limits.reader });
    this.#session = new Session(this, listener.tools, this.#frames, listener.rules);
    ctx.onSignal((signal) => {
      if (signal.type !== 'stopping') return;
      this.#lost();
      socket.destroy();
    });
    ctx.schedule('handshake', listener.limits.handshakeTimeoutMs, 'woken', { token: HANDSHAKE });
    socket.start({
      onBytes: (view) => this.#received(view),
      onDrain: () => this.#taken(),
      onClose: () => this.#closed(),
    });
    listener.opened(this);
  }

  // ---- Socket events ----------------------------------------------------------------------------

  #received(view: Uint8Array): void {
    this.#receivedBytes += view.length;
    if (this.#isEnding && this.#frames.isOver) return;
    const { tape } = this.#listener;
    try {
      this.#frames.receive(view);
      this.#session.obey(tape);
    } catch (error) {
      this.#failed(error);
    }
    tape.release();
    this.#account();
  }

  /** Ends the connection if all connections together hold too much. */
  #account(): void {
    if (this.#recount() || this.#isEnding) return;
    this.shutDown('RESOURCE_ERROR', 'all clients together have sent more than is kept');
    this.#recount();
  }

  /** Tells the listener what this connection holds of received bytes; false: together they are too many. */
  #recount(): boolean {
    const heldBytes = this.#isGone ? 0 : this.#frames.heldBytes + this.#session.deferredBytes;
    const delta = heldBytes - this.#accountedBytes;
    this.#accountedBytes = heldBytes;
    return this.#listener.books.hold(delta);
  }

  /** The socket has taken what was written. */
  #taken(): void {
    if (this.#isTakenSent || this.#isGone || !this.#isSlow) return;
    this.#isTakenSent = true;
    this.#ctx.self.tell('woken', { token: TAKEN });
  }

  #closed(): void {
    this.#lost();
    this.#stopWhenDone();
  }

  // ---- Messages ---------------------------------------------------------------------------------

  woken({ token }: { readonly token: number }): void {
    if (token >= ANSWERS) {
      const answer = this.#waiting.get(token);
      this.#waiting.delete(token);
      answer?.();
      this.#account();
    } else if (token >= WAITS) {
      this.#session.waitedLong(token - WAITS);
    } else if (token === TAKEN) {
      this.#isTakenSent = false;
      this.#lookAtUnsent();
    } else if (token === ACCESS) {
      this.#session.accessChanged();
      this.output.flush();
    } else if (token === HANDSHAKE) {
      if (this.#session.isRunning || this.#isEnding) return;
      this.note('no handshake within the time for it');
      this.end(0);
    } else if (token === SEND_LOOK) {
      this.#lookAtSent();
    } else if (token === RECEIVE_LOOK) {
      this.#lookAtReceived();
    } else if (token === END) {
      this.end(0);
    } else if (token === LINGER) {
      this.#socket.destroy();
    }
  }

  // ---- What the session asks for ----------------------------------------------------------------

  get view() {
    return this.#listener.ports.view;
  }

  owner(): QueueOwner | undefined {
    const { place } = this.#listener;
    const incarnation = this.view.node(place.node)?.incarnation;
    return incarnation === undefined
      ? undefined
      : { ...place, incarnation, connection: this.connection };
  }

  get isMember(): boolean {
    const { node, shard, shardIncarnation } = this.#listener.place;
    return this.view.node(node)?.shardIncarnations[shard] === shardIncarnation;
  }

  mayLogIn(): boolean {
    return this.#listener.failedLogins.mayTry(this.#remoteHost, this.#ctx.clock.monotonicMs());
  }

  loginFailed(): void {
    this.#listener.failedLogins.failed(this.#remoteHost, this.#ctx.clock.monotonicMs());
  }

  enter(vhost: string): void {
    const { asked } = this.#listener;
    this.#asked = { ...asked, metadata: asked.metadata.in(vhost) };
  }

  /** Who may do what has changed: looked at in a turn of its own. */
  accessChanged(): void {
    if (!this.#isEnding) this.#ctx.self.tell('woken', { token: ACCESS });
  }

  random(): number {
    return this.#ctx.random.u32();
  }

  writer(): ByteWriter {
    this.#listener.books.markDirty(this);
    return this.output.writer;
  }

  wake(): void {
    this.#listener.books.markDirty(this);
  }

  get writes(): number {
    return this.output.writes;
  }

  /** The flush of a turn. */
  flush(): void {
    if (this.#isGone) return;
    try {
      this.#session.flush();
    } catch (error) {
      this.#failed(error);
    }
    this.output.flush();
    this.#lookAtUnsent();
  }

  ask<K extends QuestionKind>(question: QuestionOf<K>, then: (answer: Answers[K]) => void): void {
    this.#answerCount += 1;
    const token = ANSWERS + this.#answerCount;
    this.#ctx.pipe(answerTo(this.#asked, question), 'woken', (result) => {
      if (result.status === 'rejected') throw result.reason;
      this.#waiting.set(token, () => then(result.value));
      return { token };
    });
  }

  awaitQueue(channel: number): void {
    const { queueTimeoutMs } = this.#listener.limits;
    this.#ctx.schedule(`wait-${channel}`, queueTimeoutMs, 'woken', { token: WAITS + channel });
  }

  doneWaiting(channel: number): void {
    this.#ctx.cancel(`wait-${channel}`);
  }

  pause(reason: PauseReason | 'unsent'): void {
    if (this.#pauses.size === 0) this.#socket.pauseReading();
    this.#pauses.add(reason);
  }

  resume(reason: PauseReason | 'unsent'): void {
    if (this.#pauses.delete(reason) && this.#pauses.size === 0) this.#socket.resumeReading();
  }

  opened({ user, name, heartbeatSeconds }: OpenedFacts): void {
    this.#name = name ?? '';
    this.#ctx.cancel('handshake');
    this.#ctx.log.debug('AMQP connection opened', { remote: this.#remoteHost, user, name });
    if (heartbeatSeconds === 0) return;
    const heartbeats = new Heartbeats(heartbeatSeconds);
    this.#heartbeats = heartbeats;
    this.#ctx.schedule('send', heartbeats.sendMs, 'woken', { token: SEND_LOOK });
    this.#ctx.schedule('receive', heartbeats.receiveMs, 'woken', { token: RECEIVE_LOOK });
  }

  released(): void {
    this.#isReleased = true;
    this.#stopWhenDone();
  }

  end(afterMs: number): void {
    if (afterMs > 0) {
      this.#ctx.schedule('end', afterMs, 'woken', { token: END });
      return;
    }
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#ctx.cancel('handshake');
    this.#ctx.cancel('end');
    this.#ctx.cancel('send');
    this.#ctx.cancel('receive');
    this.output.flush();
    this.output.close();
    this.#socket.end();
    this.#ctx.schedule('linger', LINGER_MS, 'woken', { token: LINGER });
  }

  foreign(seen: WrongProtocol['seen']): void {
    this.#listener.tellForeign(seen, this.#remoteHost);
  }

  note(reason: string): void {
    const name = this.#name === '' ? {} : { name: this.#name };
    this.#ctx.log.info('AMQP connection ended', { remote: this.#remoteHost, ...name, reason });
  }

  // ---- Looks ------------------------------------------------------------------------------------

  #lookAtSent(): void {
    const heartbeats = this.#heartbeats;
    if (heartbeats === undefined || this.#isEnding) return;
    if (heartbeats.isHeartbeatDue(this.output.sentBytes) && this.output.unsentBytes === 0) {
      this.#session.heartbeat();
      this.output.flush();
      heartbeats.sent(this.output.sentBytes);
    }
    this.#ctx.schedule('send', heartbeats.sendMs, 'woken', { token: SEND_LOOK });
  }

  #lookAtReceived(): void {
    const heartbeats = this.#heartbeats;
    if (heartbeats === undefined || this.#isEnding) return;
    if (heartbeats.isDead(this.#receivedBytes, this.#pauses.size === 0)) {
      this.note('missed heartbeats from client');
      this.#socket.destroy();
      return;
    }
    this.#ctx.schedule('receive', heartbeats.receiveMs, 'woken', { token: RECEIVE_LOOK });
  }

  /**
   * A client that does not read gets no more messages. What it says is still read, so that its heartbeats count, until the
   * answers to that are too many as well.
   */
  #lookAtUnsent(): void {
    const { unsentBytesMax, unansweredBytesMax } = this.#listener.limits;
    const { unsentBytes } = this.output;
    if (unsentBytes > unsentBytesMax) this.#setSlow(true);
    else if (unsentBytes <= unsentBytesMax / 2) this.#setSlow(false);
    if (unsentBytes > unansweredBytesMax) this.pause('unsent');
    else if (unsentBytes <= unansweredBytesMax / 2) this.resume('unsent');
  }

  #setSlow(isSlow: boolean): void {
    this.#isSlow = isSlow;
    this.#session.isSlow = isSlow;
  }

  // ---- The end ----------------------------------------------------------------------------------

  /** The node stops, or cannot serve this client any more. */
  shutDown(...[reply, words]: Refusal): void {
    this.#session.shutDown([reply, words]);
    this.output.flush();
  }

  /** A mistake of ours ends this connection and nothing else. */
  #failed(error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    const reason = messageOf(error);
    this.#ctx.log.error('an AMQP session met a mistake', {
      remote: this.#remoteHost,
      reason,
      stack,
    });
    if (this.#isGone) return;
    try {
      this.shutDown('INTERNAL_ERROR', 'the broker met a mistake of its own');
    } catch (again) {
      this.#ctx.log.error('and could not say so', { reason: messageOf(again) });
    }
    this.#socket.end();
  }

  /** Nothing goes in or out any more. */
  #lost(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#isEnding = true;
    this.output.close();
    this.#recount();
    this.#listener.forget(this, this.#remoteHost);
    try {
      this.#session.gone();
    } catch (error) {
      this.#failed(error);
    }
  }

  #stopWhenDone(): void {
    if (this.#isGone && this.#isReleased) this.#ctx.stop();
  }

  /** Closes the socket at once. */
  destroy(): void {
    this.#socket.destroy();
  }
}

const MAILBOX_CAPACITY = 4_096;

export const AmqpConnectionActor: Actor<Ops, ConnectionArgs> = actor(
  AmqpConnectionProtocol,
  (ctx, args: ConnectionArgs): Handlers<Ops> => new AmqpConnection(ctx, args),
  {
    mailbox: { capacity: MAILBOX_CAPACITY, overflow: 'reject' },
    supervision: CONNECTION_SUPERVISION,
  },
);
