// One queue as the consumers of this shard use it: attaches them at whoever leads, asks for messages as
// they have room, fetches the records of what was given out, and says what becomes of them. When the
// leader changes, everybody attaches anew; what was given and not delivered comes again.
import type { AnsweredInput, FetchedInput, FetchSlice } from '../../cluster/ports.ts';
import { added, noItems } from '../../std/short-list.ts';
import { type DeliveriesAnswer, decodeQueueAnswer, type QueueAnswer } from '../view/answers.ts';
import { encodeQueueCommand, type QueueCommand } from '../view/commands.ts';
import type { Owner } from '../view/consumers.ts';
import { Runs } from '../view/runs.ts';
import type { Consumer } from './consumer.ts';
import { FetchedRecords } from './fetched-records.ts';
import { readFileSlice } from './file-slices.ts';
import type { HostRef } from './host-calls.ts';
import { LeaderPlace } from './leader-place.ts';
import { LinkCall, OpenCalls } from './link-calls.ts';
import type { LinkPort } from './link-port.ts';
import { type Settlement, Settlements, settleCommand } from './settlements.ts';

/** A receive waits so long for messages, and is then asked again. */
const RECEIVE_WAIT_MS = 600_000;
const RECEIVE_TIMEOUT_MS = RECEIVE_WAIT_MS + 60_000;
const COMMAND_TIMEOUT_MS = 60_000;

/** Where answers are read into: what is in it is taken over before the next one. */
const input = new Runs();

interface Leave {
  readonly consumer: Consumer;
  readonly owner: Owner;
  readonly epoch: number;
  readonly seen: number;
  readonly keepsMessages: boolean;
}

export class QueueLink {
  readonly logId: number;
  readonly place: LeaderPlace;
  readonly settlements = new Settlements();
  readonly #port: LinkPort;
  readonly #consumers = new Set<Consumer>();
  /** Those about whom there may be something to ask (`isAsking`). */
  #asking: Consumer[] = noItems();
  /** How many in `#asking` have ended, at least. */
  #endedAsking = 0;
  /** Those that were given what is not delivered (`isHolding`), each once, and some that have all of it. */
  #holding: Consumer[] = noItems();
  /** Consumers that go, and have to be told so. */
  #leaving: Leave[] = [];
  /** Questions that are open: an answer is still wanted. */
  readonly #open = new OpenCalls();
  readonly #records = new FetchedRecords();
  #isFetching = false;
  #isResting = false;
  #isPumpDue = false;
  // What is to be fetched next.
  #wantedFrom = 0;
  #wanted = 0;
  /** Behind what was delivered last. */
  #deliveredEnd = 0;

  constructor(logId: number, port: LinkPort) {
    this.logId = logId;
    this.#port = port;
    this.place = new LeaderPlace(logId, port);
  }

  get consumers(): number {
    return this.#consumers.size;
  }

  get #isIdle(): boolean {
    return (
      this.#consumers.size === 0 &&
      this.#leaving.length === 0 &&
      this.settlements.isEmpty &&
      this.#open.isEmpty
    );
  }

  // ---- Sessions -----------------------------------------------------------------------------------

  add(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.#askAbout(consumer);
  }

  /** It may have room, or less than before. */
  touch(consumer: Consumer): void {
    if (consumer.state !== 'ended') this.#askAbout(consumer);
  }

  #askAbout(consumer: Consumer): void {
    if (consumer.isAsking) return;
    consumer.isAsking = true;
    this.#asking = added(this.#asking, consumer);
  }

  remove(consumer: Consumer, keepsMessages: boolean): void {
    const { state, owner, delivered } = consumer;
    this.#drop(consumer);
    if (owner === undefined || state === 'off' || state === 'ended') return;
    // What it was given and not delivered, it has never heard of.
    const seen = keepsMessages ? delivered : 0;
    this.#leaving.push({ consumer, owner, epoch: this.place.epoch, seen, keepsMessages });
  }

  #drop(consumer: Consumer): void {
    this.#consumers.delete(consumer);
    consumer.isHolding = false;
    consumer.state = 'ended';
    consumer.generation += 1;
    if (!consumer.isAsking) return;
    // Whoever asks passes over it. Without a leader nobody does: they are taken out when they are half of all.
    this.#endedAsking += 1;
    if (this.#endedAsking * 2 < this.#asking.length) return;
    this.#asking = this.#asking.filter(({ state }) => state !== 'ended');
    this.#endedAsking = 0;
  }

  /** It was detached and keeps messages: now it gives them back. */
  giveUp(consumer: Consumer): void {
    const { owner, epoch } = consumer;
    if (owner === undefined || epoch !== this.place.epoch) return;
    this.#leaving.push({ consumer, owner, epoch, seen: 0, keepsMessages: false });
  }

  // ---- Going on -----------------------------------------------------------------------------------

  /** Says and asks what there is to say and ask. */
  pump(): void {
    const { place } = this;
    if (place.isGone) {
      this.#gone();
      return;
    }
    if (place.isOut) this.#refuseNew();
    else if (place.host !== undefined && !this.#isResting) this.#talk(place.host);
    if (this.#isIdle) {
      this.dropRecords();
      this.#port.idle(this);
    }
  }

  #talk(host: HostRef): void {
    // First what is done with, so that it does not come again.
    for (const settlement of this.settlements.take()) this.#settle(host, settlement);
    if (this.#leaving.length > 0) this.#leaveAll(host);
    if (this.#asking.length > 0) this.#askAll(host);
    this.#serve();
  }

  #leaveAll(host: HostRef): void {
    const leaving = this.#leaving;
    this.#leaving = [];
    for (const leave of leaving) this.#leave(host, leave);
  }

  #askAll(host: HostRef): void {
    const asking = this.#asking;
    this.#asking = noItems();
    this.#endedAsking = 0;
    for (const consumer of asking) consumer.isAsking = false;
    for (const consumer of asking) {
      if (consumer.state === 'off') this.#attach(host, consumer);
      else if (consumer.state === 'on' && !consumer.isResting) this.#receive(host, consumer);
    }
  }

  /** Once, behind what is at work in this turn. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    this.#port.soon(() => {
      this.#isPumpDue = false;
      this.pump();
    });
  }

  /** The leader knows nothing of it any more. */
  #forget(consumer: Consumer): void {
    consumer.forgotten();
    consumer.isHolding = false;
    this.touch(consumer);
  }

  /** The leader does not answer as it should: nothing is asked for a moment. */
  #rest(): void {
    if (this.#isResting) return;
    this.#isResting = true;
    this.#port.later(this.place.nextRetryMs(), () => {
      this.#isResting = false;
      this.pump();
    });
  }

  /** The leader or its epoch is another one. */
  moved(): void {
    const open = this.#open.takeAll();
    for (const { token } of open) this.#port.calls.forget(token);
    this.#isFetching = false;
    this.#isResting = false;
    for (const consumer of this.#consumers) this.#forget(consumer);
    this.#leaving = this.#leaving.filter(({ epoch }) => epoch === this.place.epoch);
    this.dropRecords();
    for (const call of open) call.abandoned();
    this.pump();
  }

  /** Consumers are attached as somebody else from now on. */
  ownerChanged(): void {
    for (const consumer of this.#consumers) this.#forget(consumer);
    this.pump();
  }

  #gone(): void {
    for (const { token } of this.#open.takeAll()) this.#port.calls.forget(token);
    this.settlements.clear();
    this.#leaving = [];
    for (const consumer of [...this.#consumers]) this.#end(consumer, 'deleted');
    this.dropRecords();
    this.#port.idle(this);
  }

  /** Who waits for a first word hears that there is nobody. The others attach again when there is. */
  #refuseNew(): void {
    for (const consumer of [...this.#consumers]) {
      const { gets, isTold } = consumer;
      if (gets === undefined ? !isTold : gets.length > 0) this.#end(consumer, 'unreachable');
    }
  }

  #end(consumer: Consumer, why: Parameters<Consumer['sink']['ended']>[1]): void {
    this.#drop(consumer);
    const { gets, sink, number } = consumer;
    if (gets === undefined) sink.ended(number, why);
    else for (const get of gets.splice(0)) sink.ended(get.number, why);
  }

  // ---- Commands -----------------------------------------------------------------------------------

  #ask(
    host: HostRef,
    command: QueueCommand,
    heard: (answer: QueueAnswer | undefined) => void,
    timeoutMs = COMMAND_TIMEOUT_MS,
  ): LinkCall {
    const call = new LinkCall(this, host, heard);
    const { calls } = this.#port;
    call.token = calls.command(call, this.logId, encodeQueueCommand(command), timeoutMs);
    this.#open.add(call);
    return call;
  }

  /** An answer; undefined: there is none, and the leader is given a moment. */
  heard(call: LinkCall, heard: AnsweredInput | undefined): void {
    this.#open.delete(call);
    let answer: QueueAnswer | undefined;
    if (heard?.result === 'ok') {
      answer = decodeQueueAnswer(heard.body, input);
      this.place.succeeded();
    } else this.#rest();
    call.take(answer);
    this.pump();
  }

  #settle(host: HostRef, settlement: Settlement): void {
    this.#ask(host, settleCommand(settlement), (answer) => {
      if (answer?.kind === 'settled') this.settlements.done(settlement);
      else this.settlements.again(settlement, this.place.epoch);
    });
  }

  #leave(host: HostRef, leave: Leave): void {
    const { consumer, owner, seen, keepsMessages } = leave;
    const command = {
      kind: 'detach',
      owner,
      consumerId: consumer.id,
      keepsMessages,
      seen,
    } as const;
    this.#ask(host, command, (answer) => {
      if (answer === undefined && leave.epoch === this.place.epoch) this.#leaving.push(leave);
    });
  }

  #attach(host: HostRef, consumer: Consumer): void {
    const owner = this.#port.owner();
    if (owner === undefined) {
      this.#askAbout(consumer);
      return;
    }
    const { options, gets, generation, id } = consumer;
    consumer.state = 'attaching';
    consumer.owner = owner;
    const command: QueueCommand = {
      kind: 'attach',
      owner,
      consumerId: id,
      isAutoAcknowledging: false,
      isExclusive: options.exclusive,
      isPassive: gets !== undefined,
      priority: options.priority,
    };
    this.#ask(host, command, (answer) => {
      if (consumer.generation !== generation) return;
      if (answer?.kind !== 'attached') this.#forget(consumer);
      else if (answer.outcome === 'ok') this.#attached(consumer, answer.epoch, answer.seen);
      else if (answer.outcome === 'stale-owner') {
        this.#forget(consumer);
        this.#rest();
        this.#port.ownerIsStale(owner);
      } else this.#end(consumer, answer.outcome);
    });
  }

  #attached(consumer: Consumer, epoch: number, seen: number): void {
    consumer.state = 'on';
    consumer.epoch = epoch;
    consumer.seen = seen;
    consumer.delivered = seen;
    this.#askAbout(consumer);
    if (consumer.isTold || consumer.gets !== undefined) return;
    consumer.isTold = true;
    consumer.sink.attached(consumer.number);
  }

  /** Asks for as much as there is room for; one receive waits at a time. */
  #receive(host: HostRef, consumer: Consumer): void {
    const { wanted, generation, owner, id, seen, gets } = consumer;
    // More room is asked for when the one that waits is answered; less at once.
    if (!consumer.hasToAsk) return;
    const waitMs = gets === undefined ? RECEIVE_WAIT_MS : 0;
    const command = {
      kind: 'receive' as const,
      owner: owner!,
      consumerId: id,
      seen,
      credit: wanted,
      waitMs,
      leaseMs: 0,
    };
    const call = this.#ask(
      host,
      command,
      (answer) => {
        // One that asked for less took its place, and said what was seen by then: what this one was given is the answer
        // to that one too, or is back in the queue and may be with somebody else.
        if (consumer.generation !== generation || consumer.parked !== call) return;
        consumer.parked = undefined;
        this.#askAbout(consumer);
        if (answer?.kind === 'deliveries') this.#given(consumer, answer);
      },
      RECEIVE_TIMEOUT_MS,
    );
    consumer.parked = call;
    consumer.parkedCredit = wanted;
  }

  #given(consumer: Consumer, answer: DeliveriesAnswer): void {
    const { outcome, runs, ready } = answer;
    switch (outcome) {
      case 'ok':
        consumer.seen = consumer.given.add(runs, consumer.seen);
        consumer.ready = ready;
        if (consumer.given.total > 0) this.#holds(consumer);
        if (runs.size === 0) this.#foundNothing(consumer);
        return;
      case 'replaced':
        return;
      case 'too-many-leases':
        this.#restOne(consumer);
        return;
      default:
        // The leader moved, or knows it no more: it attaches again.
        this.#forget(consumer);
        if (outcome !== 'moved') this.#rest();
    }
  }

  #foundNothing(consumer: Consumer): void {
    const get = consumer.gets?.shift();
    if (get !== undefined) consumer.sink.empty(get.number);
  }

  #restOne(consumer: Consumer): void {
    if (consumer.isResting) return;
    consumer.isResting = true;
    this.#port.later(this.place.nextRetryMs(), () => {
      consumer.isResting = false;
      this.touch(consumer);
      this.pump();
    });
  }

  // ---- Records ------------------------------------------------------------------------------------

  /** Delivers what is here, and looks for what is wanted next: in the log's memory, or by asking for it. */
  #serve(): void {
    this.#deliverAll();
    if (this.#findWanted() && this.#borrow()) {
      this.#deliverAll();
      if (this.#deliveredEnd >= this.#records.end) this.dropRecords();
      else this.#port.keep(this);
    }
    if (this.#findWanted()) this.#fetch();
  }

  #deliverAll(): void {
    // Whoever is told something may take others out.
    for (const consumer of this.#holding) if (consumer.isHolding) this.#deliver(consumer);
    let left = 0;
    for (const { isHolding } of this.#holding) if (isHolding) left += 1;
    if (left === this.#holding.length) return;
    this.#holding = left === 0 ? noItems() : this.#holding.filter(({ isHolding }) => isHolding);
  }

  #holds(consumer: Consumer): void {
    if (consumer.isHolding) return;
    consumer.isHolding = true;
    // One that held something a moment ago may be in it still.
    if (!this.#holding.includes(consumer)) this.#holding = added(this.#holding, consumer);
  }

  /** Whether something that was given out can be delivered and is not here. */
  #findWanted(): boolean {
    if (this.#holding.length === 0 || this.#isFetching || this.#isResting) return false;
    let from = Number.POSITIVE_INFINITY;
    let wanted = 0;
    for (const consumer of this.#holding) {
      if (!consumer.isHolding || !consumer.canDeliver) continue;
      from = Math.min(from, consumer.given.offset);
      wanted += consumer.given.total;
    }
    this.#wantedFrom = from;
    this.#wanted = wanted;
    return wanted > 0;
  }

  /** Once for a look at everything, so that a turn ends. False: the leader is asked. */
  #borrow(): boolean {
    const { host } = this.place;
    const from = this.#wantedFrom;
    if (host === undefined) return false;
    const lent = this.#port.lend?.(host, this.logId, from, this.#records.fetchBytes(this.#wanted));
    if (lent === undefined) return false;
    this.place.succeeded();
    this.#records.take(lent.slices, from, lent.release);
    if (this.#records.has(from)) return true;
    this.dropRecords();
    return false;
  }

  #deliver(consumer: Consumer): void {
    const { given, sink, epoch, number } = consumer;
    const { message } = this.#port;
    let isTouched = false;
    while (consumer.canDeliver && this.#records.has(given.offset)) {
      const { offset, lease, isRedelivered, returns } = given;
      const isRead = this.#records.seek(offset);
      given.next();
      this.#deliveredEnd = offset + 1;
      consumer.delivered = lease;
      const isDone = consumer.isAutoAcknowledging || !isRead;
      if (isDone) this.settlements.acknowledge(epoch, offset, lease);
      if (!isRead) {
        this.#port.warn('a message cannot be read and is passed over', { ...this.#at(offset) });
        continue;
      }
      const get = consumer.gets?.shift();
      if (!isDone && get === undefined) consumer.held += 1;
      message.record = this.#records.reader;
      message.logId = this.logId;
      message.offset = offset;
      message.epoch = epoch;
      message.lease = isDone ? 0 : lease;
      message.isRedelivered = isRedelivered;
      message.returns = returns;
      message.ready = consumer.ready;
      isTouched = true;
      sink.deliver(get?.number ?? number, message);
    }
    if (given.total === 0) consumer.isHolding = false;
    if (!this.settlements.isEmpty) this.#pumpSoon();
    if (!isTouched) return;
    sink.touched();
    if (!consumer.hasToAsk) return;
    this.touch(consumer);
    this.#pumpSoon();
  }

  #at(offset: number) {
    return { logId: this.logId, offset };
  }

  #fetch(): void {
    const { host } = this.place;
    if (host === undefined) return;
    this.#isFetching = true;
    const call = new LinkCall(this, host, () => {
      this.#isFetching = false;
    });
    call.offset = this.#wantedFrom;
    const maxBytes = this.#records.fetchBytes(this.#wanted);
    call.token = this.#port.calls.fetch(call, this.logId, call.offset, maxBytes);
    this.#open.add(call);
  }

  fetchedInput(call: LinkCall, input: FetchedInput): void {
    this.#open.delete(call);
    const { result, slices, release, startOffset } = input;
    if (result === 'ok' && slices.length > 0) {
      this.place.succeeded();
      this.#read(call, slices, release);
      return;
    }
    release();
    this.#isFetching = false;
    if (result === 'offset-out-of-range' && call.offset < startOffset) this.#skipBelow(startOffset);
    else this.#rest();
    this.pump();
  }

  /** A range of a file is read into memory first. */
  #read(call: LinkCall, slices: readonly FetchSlice[], release: () => void): void {
    const [slice] = slices;
    if (slice?.kind !== 'file') {
      const bytes = slices.flatMap((each) => (each.kind === 'memory' ? [each.bytes] : []));
      this.#take(call.offset, bytes, release);
      return;
    }
    // Until it is read the question counts as open: a leader change ends it.
    this.#open.add(call);
    const { memory } = this.#port;
    readFileSlice(slice, memory, release, (bytes) => {
      this.#port.soon(() => this.#readFrom(call, bytes));
    });
  }

  #readFrom(call: LinkCall, bytes: Uint8Array | undefined): void {
    const giveBack = (): void => {
      if (bytes !== undefined) this.#port.memory.give(bytes);
    };
    if (!call.isOpen) {
      giveBack();
      return;
    }
    this.#open.delete(call);
    if (bytes !== undefined) this.#take(call.offset, [bytes], giveBack);
    else {
      this.#isFetching = false;
      this.#rest();
    }
  }

  #take(offset: number, slices: readonly Uint8Array[], release: () => void): void {
    this.#isFetching = false;
    this.#records.take(slices, offset, release);
    if (!this.#records.has(offset)) this.#rest();
    // Who takes one message at a time finds the next ones here; but the memory is the log's.
    this.#port.keep(this);
    this.pump();
  }

  dropRecords(): void {
    this.#records.clear();
  }

  /** What was given out below is not there any more: it cannot be delivered, and nobody waits for it. */
  #skipBelow(startOffset: number): void {
    for (const { given, epoch, isHolding } of this.#holding) {
      if (!isHolding) continue;
      while (given.total > 0 && given.offset < startOffset) {
        this.#port.warn('a message is gone and is passed over', this.#at(given.offset));
        this.settlements.acknowledge(epoch, given.offset, given.lease);
        given.next();
      }
    }
  }
}
