// One end of a simulated TCP connection. Bytes go queue -> segments on the link -> inbox of the peer ->
// onBytes. The process may be paused at any step; packets move on without it. Invariants: segments of one
// direction arrive in order and once; after onClose nothing is called; delivered bytes are overwritten
// with 0xDD when onBytes returns, so that whoever kept a lent view shows.
//
//   connecting ──syn-ack──> open ──FIN both ways──> closed
//        └──refused, timed out──┴──reset, gave up, destroy──> closed
import type { Address, Connection, ConnectionEvents, DiskFile } from '../../env/environment.ts';
import { assert } from '../../std/assert.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import { SimFile } from '../disk/sim-disk.ts';
import { between, chance } from '../draws.ts';
import { SimSystemError } from '../sim-error.ts';
import type { EventKind } from '../trace.ts';
import type { Network } from './network.ts';

const SEGMENT_BYTES = 65_536;
const POISON = 0xdd;
const PUMP_NS = 4_000;
const RETRANSMIT_NS = 200_000_000;

/** What an endpoint asks of its process. */
export interface NetHost {
  readonly host: string;
  readonly isAlive: boolean;
  readonly isPaused: boolean;
  readonly guard: (call: string) => void;
  /** An event of this process: dropped when it is dead, kept back while it is paused. */
  readonly event: (kind: EventKind, atNs: number, run: () => void) => void;
}

type Segment =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'syn'; readonly to: Address }
  | { readonly kind: 'syn-ack' }
  | { readonly kind: 'fin' }
  | { readonly kind: 'rst' };

interface OutItem {
  readonly bytes: Uint8Array | undefined;
  readonly file: SimFile | undefined;
  readonly position: number;
  readonly length: number;
  taken: number;
  readonly done: (() => void) | undefined;
}

export class Endpoint implements Connection {
  readonly id: number;
  readonly local: Address;
  readonly remote: Address;
  readonly host: string;
  readonly peerHost: string;
  readonly process: NetHost;
  readonly #network: Network;
  #peer: Endpoint | undefined;
  #events: ConnectionEvents | undefined;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #isOpenTold = false;
  #closeError: Error | undefined;
  #isCloseTold = false;
  // Sending.
  readonly #queue = new RingQueue<OutItem>();
  #queuedBytes = 0;
  #unreadBytes = 0;
  #isPumpSet = false;
  #isFinWanted = false;
  #isFinSent = false;
  // The link from here to the peer.
  readonly #flight = new RingQueue<Segment>();
  #lastArrivalNs = 0;
  #heldCount = 0;
  #isHeld = false;
  #heldSinceNs = 0;
  #isGiveUpSet = false;
  #creditBytes = 0;
  #isCreditSet = false;
  // Receiving.
  readonly #inbox = new RingQueue<Segment>();
  #isReading = true;
  #isDeliverySet = false;
  #isFinRead = false;

  constructor(
    network: Network,
    process: NetHost,
    local: Address,
    remote: Address,
    host: string,
    peerHost: string,
  ) {
    this.#network = network;
    this.process = process;
    this.local = local;
    this.remote = remote;
    this.host = host;
    this.peerHost = peerHost;
    this.id = network.nextConnectionId();
    network.register(this);
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  // ---- the face of the process ---------------------------------------------------------------

  start(events: ConnectionEvents): void {
    this.process.guard('connection.start');
    assert(this.#events === undefined, 'Connection.start: called twice');
    this.#events = events;
    this.#wake();
  }

  write(bytes: Uint8Array, done?: () => void): void {
    this.process.guard('connection.write');
    this.#enqueue({ bytes, file: undefined, position: 0, length: bytes.length, taken: 0, done });
  }

  sendFile(file: DiskFile, position: number, length: number, done: () => void): void {
    this.process.guard('connection.sendFile');
    assert(file instanceof SimFile, 'Connection.sendFile: a file of another environment');
    this.#enqueue({ bytes: undefined, file, position, length, taken: 0, done });
  }

  pauseReading(): void {
    this.process.guard('connection.pauseReading');
    this.#isReading = false;
  }

  resumeReading(): void {
    this.process.guard('connection.resumeReading');
    this.#isReading = true;
    this.#wake();
  }

  end(): void {
    this.process.guard('connection.end');
    if (this.#state === 'closed') return;
    this.#isFinWanted = true;
    this.#setPump(PUMP_NS);
  }

  destroy(): void {
    this.process.guard('connection.destroy');
    if (this.#state === 'closed') return;
    this.#hangUp();
    this.#close(undefined);
  }

  // ---- opening -------------------------------------------------------------------------------

  /** The accepting side: both ends know each other, this one is open at once. */
  pairWith(client: Endpoint): void {
    this.#peer = client;
    client.#peer = this;
    this.#state = 'open';
    this.#isOpenTold = true;
    this.#transmit({ kind: 'syn-ack' }, 0);
  }

  open(to: Address): void {
    this.#transmit({ kind: 'syn', to }, 0);
  }

  openTimedOut(): void {
    if (this.#state !== 'connecting') return;
    this.#network.counts.timedOut += 1;
    this.#hangUp();
    this.fail(new SimSystemError('ETIMEDOUT', `connect ${this.remote.host}:${this.remote.port}`));
  }

  // ---- ending --------------------------------------------------------------------------------

  /** The system tells the process that the connection is gone. */
  fail(error: Error): void {
    this.#close(error);
  }

  /** A reset in the middle of the network: both ends lose what was under way. */
  reset(): void {
    this.#peer?.fail(new SimSystemError('ECONNRESET', 'connection reset'));
    this.fail(new SimSystemError('ECONNRESET', 'connection reset'));
  }

  /** The process is gone. The system says goodbye for it, unless the system is gone as well. */
  processDied(isSystemAlive: boolean): void {
    if (isSystemAlive) this.#hangUp();
    else if (this.#isHeld) this.#flight.clear();
    this.#state = 'closed';
    this.#isCloseTold = true;
    this.#inbox.clear();
    this.#queue.clear();
    this.#network.unregister(this);
  }

  /** FIN behind what was sent; or RST, at once, if there were bytes that nobody read. */
  #hangUp(): void {
    if (this.#isFinSent) return;
    this.#isFinSent = true;
    const isAbrupt = this.#inbox.size > 0 || chance(this.#network.random, 0.25);
    this.#transmit({ kind: isAbrupt ? 'rst' : 'fin' }, 0);
  }

  #close(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closeError = error;
    this.#inbox.clear();
    this.#network.unregister(this);
    this.#wake();
  }

  #tellClosed(): void {
    const events = this.#events;
    if (events === undefined || this.#isCloseTold) return;
    this.#isCloseTold = true;
    this.#queuedBytes = 0;
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift())
      item.done?.();
    events.onClose(this.#closeError);
  }

  // ---- sending -------------------------------------------------------------------------------

  #enqueue(item: OutItem): void {
    if (this.#state === 'closed' || this.#isFinWanted) {
      const { done } = item;
      if (done !== undefined) this.process.event('net-event', this.#now() + 1, done);
      return;
    }
    this.#queue.push(item);
    this.#queuedBytes += item.length;
    this.#setPump(between(this.#network.random, 500, PUMP_NS));
  }

  #setPump(delayNs: number): void {
    if (this.#isPumpSet || this.#state !== 'open') return;
    this.#isPumpSet = true;
    this.process.event('net-pump', this.#now() + delayNs, () => {
      this.#isPumpSet = false;
      this.#pump();
    });
  }

  /** Takes from the queue what the window allows. */
  #pump(): void {
    if (this.#state !== 'open') return;
    const hadBytes = this.#queue.size > 0;
    const finished: (() => void)[] = [];
    for (let item = this.#queue.peek(); item !== undefined; item = this.#queue.peek()) {
      if (item.taken < item.length) {
        const room = this.#network.profile.windowBytes - this.#unreadBytes;
        if (room <= 0) break;
        const most = Math.min(item.length - item.taken, room, SEGMENT_BYTES);
        if (!this.#take(item, this.#network.segmentBytes(most))) return;
        if (item.taken < item.length) continue;
      }
      this.#queue.shift();
      if (item.done !== undefined) finished.push(item.done);
    }
    if (this.#queue.size > 0) {
      this.#peer?.offerCredit();
      if (this.#peer?.isOpen !== true) this.#setGiveUp();
    }
    for (const done of finished) done();
    if (hadBytes && this.#queue.size === 0 && this.isOpen) this.#events?.onDrain?.();
    if (this.#isFinWanted && this.#queue.size === 0 && this.isOpen && !this.#isFinSent) {
      this.#isFinSent = true;
      this.#transmit({ kind: 'fin' }, 0);
      if (this.#isFinRead) this.#close(undefined);
    }
  }

  #take(item: OutItem, count: number): boolean {
    const bytes = new Uint8Array(count);
    if (item.bytes !== undefined) {
      bytes.set(item.bytes.subarray(item.taken, item.taken + count));
    } else if (item.file!.peek(bytes, item.position + item.taken) < count) {
      this.#hangUp();
      this.fail(new SimSystemError('EIO', `${item.file!.path}: shorter than what is to be sent`));
      return false;
    }
    item.taken += count;
    this.#queuedBytes -= count;
    this.#unreadBytes += count;
    this.#transmit({ kind: 'bytes', bytes }, count);
    return true;
  }

  // ---- the link ------------------------------------------------------------------------------

  #transmit(segment: Segment, size: number): void {
    const { counts } = this.#network;
    counts.segments += 1;
    counts.bytes += size;
    this.#flight.push(segment);
    const link = this.#network.link(this.host, this.peerHost);
    const atNs = Math.max(link.arrivalNs(this.#now(), size + 40), this.#lastArrivalNs + 1);
    this.#lastArrivalNs = atNs;
    this.#network.world.at(atNs, 'net-segment', () => this.#arrive());
  }

  #arrive(): void {
    if (this.#isHeld) {
      this.#heldCount += 1;
      return;
    }
    if (!this.#network.passes(this.host, this.peerHost)) {
      this.#heldCount = 1;
      this.#hold();
      return;
    }
    const segment = this.#flight.shift();
    if (segment !== undefined) this.#land(segment);
  }

  /** Waits for the link; what is held comes in one burst, a retransmission later. */
  #hold(): void {
    if (!this.#isHeld) this.#heldSinceNs = this.#now();
    this.#isHeld = true;
    this.#setGiveUp();
    this.#network.link(this.host, this.peerHost).hold(() => {
      const delayNs = between(this.#network.random, 1, RETRANSMIT_NS);
      this.#network.world.at(this.#now() + delayNs, 'net-segment', () => this.#release());
    });
  }

  #release(): void {
    if (!this.#network.passes(this.host, this.peerHost)) {
      this.#hold();
      return;
    }
    this.#isHeld = false;
    const count = this.#heldCount;
    this.#heldCount = 0;
    for (let i = 0; i < count; i += 1) {
      const segment = this.#flight.shift();
      if (segment !== undefined) this.#land(segment);
    }
  }

  /** A segment reached the peer's system. */
  #land(segment: Segment): void {
    if (segment.kind === 'syn') {
      if (this.#state === 'closed') return;
      if (this.#network.accept(this, segment.to) === undefined) this.#refuse();
      return;
    }
    const peer = this.#peer;
    if (peer === undefined) return;
    if (!this.#network.passes(this.peerHost, this.host)) this.#setGiveUp();
    if (peer.#state === 'closed') {
      // Nobody is there: the answer is a reset, or silence where both sides have said farewell.
      const isFarewell = segment.kind === 'rst' || (segment.kind === 'fin' && peer.#isFinSent);
      if (!isFarewell) this.#answerReset();
      return;
    }
    peer.#receive(segment);
  }

  #refuse(): void {
    const link = this.#network.link(this.peerHost, this.host);
    this.#network.world.at(link.arrivalNs(this.#now(), 40), 'net-segment', () => {
      if (!this.#network.passes(this.peerHost, this.host) || this.#state !== 'connecting') return;
      this.fail(new SimSystemError('ECONNREFUSED', `${this.remote.host}:${this.remote.port}`));
    });
  }

  #answerReset(): void {
    const link = this.#network.link(this.peerHost, this.host);
    this.#network.world.at(link.arrivalNs(this.#now(), 40), 'net-segment', () => {
      if (!this.#network.passes(this.peerHost, this.host)) return;
      this.fail(new SimSystemError('ECONNRESET', 'the peer does not know this connection'));
    });
  }

  /** Unacknowledged bytes: if nothing changes until then, the system gives the connection up. */
  #setGiveUp(): void {
    if (this.#isGiveUpSet || this.#state === 'closed') return;
    this.#isGiveUpSet = true;
    const startedNs = this.#now();
    this.#network.world.at(startedNs + this.#network.profile.giveUpNs, 'net-event', () => {
      this.#isGiveUpSet = false;
      if (this.#state === 'closed') return;
      const back = this.#network.link(this.peerHost, this.host);
      const isHeldLong = this.#isHeld && this.#heldSinceNs <= startedNs;
      const isDeafLong =
        this.host !== this.peerHost && !back.passes && back.blockedSinceNs <= startedNs;
      const isOrphan = this.#queue.size > 0 && this.#peer?.isOpen !== true;
      if (isHeldLong || isDeafLong || isOrphan) {
        this.#network.counts.timedOut += 1;
        this.fail(new SimSystemError('ETIMEDOUT', 'the peer does not answer'));
      } else if (this.#isHeld) this.#setGiveUp();
    });
  }

  // ---- receiving -----------------------------------------------------------------------------

  #receive(segment: Segment): void {
    if (segment.kind === 'rst') {
      this.fail(new SimSystemError('ECONNRESET', 'connection reset by peer'));
      return;
    }
    if (segment.kind === 'syn-ack') {
      this.#state = 'open';
      this.#setPump(1);
    } else this.#inbox.push(segment);
    this.#wake();
  }

  /** Lets the process look at this connection in an event of its own. */
  #wake(): void {
    if (this.#isDeliverySet || this.#events === undefined || !this.process.isAlive) return;
    this.#isDeliverySet = true;
    this.process.event('net-event', this.#now() + 1, () => {
      this.#isDeliverySet = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const events = this.#events!;
    if (this.#state === 'open' && !this.#isOpenTold) {
      this.#isOpenTold = true;
      events.onOpen?.();
    }
    while (this.#isReading && this.isOpen) {
      const segment = this.#inbox.shift();
      if (segment === undefined) break;
      if (segment.kind === 'bytes') this.#read(events, segment.bytes);
      else if (segment.kind === 'fin') this.#readFin();
    }
    if (this.#state === 'closed') this.#tellClosed();
  }

  #read(events: ConnectionEvents, bytes: Uint8Array): void {
    this.#creditBytes += bytes.length;
    if (this.#peer !== undefined && this.#peer.#queue.size > 0) this.offerCredit();
    events.onBytes(bytes);
    bytes.fill(POISON);
  }

  #readFin(): void {
    this.#isFinRead = true;
    if (this.#isFinSent) this.#close(undefined);
    else {
      this.#isFinWanted = true;
      this.#setPump(PUMP_NS);
    }
  }

  /** Tells the sender how much was read since the last time, a latency later. */
  offerCredit(): void {
    if (this.#isCreditSet || this.#creditBytes === 0) return;
    this.#isCreditSet = true;
    const link = this.#network.link(this.host, this.peerHost);
    this.#network.world.at(link.arrivalNs(this.#now(), 40), 'net-segment', () => this.#grant());
  }

  #grant(): void {
    if (!this.#network.passes(this.host, this.peerHost)) {
      if (this.#peer !== undefined) this.#peer.#setGiveUp();
      this.#network.link(this.host, this.peerHost).hold(() => this.#grant());
      return;
    }
    this.#isCreditSet = false;
    const peer = this.#peer;
    if (peer === undefined) return;
    peer.#unreadBytes -= this.#creditBytes;
    this.#creditBytes = 0;
    if (peer.#queue.size > 0) peer.#setPump(1);
  }

  #now(): number {
    return this.#network.world.nowNs();
  }
}
