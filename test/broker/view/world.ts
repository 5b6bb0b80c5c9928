// A queue among publishers, consumers and a naive model of it: a set of objects, one per message, that
// knows who holds what. The model is told what was asked and checks what is answered: nothing that is gone
// comes again, nothing is with two, whatever may have been out before is marked, nobody gets more than
// asked for, and the queue's counts are the model's. It shares no code with the queue.
import type { QueueAnswer } from '../../../src/broker/view/answers.ts';
import type { QueueFaults } from '../../../src/broker/view/config.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { RecordReader } from '../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8, equalBytes } from '../../../src/std/bytes.ts';
import { batchOf, type Got, listOf, QueueHarness } from './harness.ts';

export type Step =
  | { readonly op: 'publish'; readonly client: number; readonly count: number }
  | { readonly op: 'resend'; readonly client: number }
  /** A batch of somebody who is no log client and never sends it again. */
  | { readonly op: 'append'; readonly count: number }
  | { readonly op: 'commit'; readonly frames: number }
  | {
      readonly op: 'receive';
      readonly who: number;
      readonly credit: number;
      readonly waits: boolean;
      readonly leaseMs: number;
      /** The answer does not arrive. */
      readonly isLost: boolean;
    }
  | { readonly op: 'acknowledge' | 'drop'; readonly who: number; readonly pick: number }
  | {
      readonly op: 'requeue';
      readonly who: number;
      readonly pick: number;
      readonly counts: boolean;
    }
  | { readonly op: 'extend'; readonly who: number; readonly pick: number; readonly ms: number }
  | { readonly op: 'detach'; readonly who: number; readonly keeps: boolean }
  | { readonly op: 'attach'; readonly who: number }
  | { readonly op: 'node-gone'; readonly node: number }
  | { readonly op: 'purge' }
  | { readonly op: 'wait'; readonly ms: number }
  | { readonly op: 'move'; readonly kept: number }
  /** The store refuses the frame of the next step. */
  | { readonly op: 'refuse' };

/** The queue and its model disagree. */
export class Violation extends Error {}

interface Message {
  readonly offset: number;
  readonly name: string;
  wasOut: boolean;
  held: { readonly who: Client; readonly number: number; dueMs: number } | undefined;
  /** The frame that said that it is done with. */
  goneSeq: number | undefined;
  /** The frames that said that it was given back and that it counts. */
  backSeqs: number[];
}

/** A consumer as its session sees it. */
interface Client {
  readonly id: number;
  readonly node: number;
  readonly isAuto: boolean;
  isAttached: boolean;
  seen: number;
  /** What it was given and has not settled, of older epochs too. */
  hand: Got[];
  /** Highest offset that came as new since it attached. */
  newest: number;
}

interface Asked {
  readonly who: Client;
  readonly credit: number;
  readonly leaseMs: number;
  readonly isLost: boolean;
  /** Leases that it has not heard of, at the time of asking. */
  readonly unseen: ReadonlySet<number>;
}

interface Publisher {
  readonly id: number;
  next: number;
  /** Sent and not answered, in order. */
  open: { readonly first: number; readonly count: number }[];
  readonly confirmed: string[];
}

const CONSUMERS = [
  { id: 1, node: 1, isAuto: false, priority: 0 },
  { id: 2, node: 1, isAuto: false, priority: 0 },
  { id: 3, node: 2, isAuto: false, priority: 3 },
  { id: 4, node: 2, isAuto: true, priority: 0 },
] as const;

export class QueueWorld {
  readonly queue: QueueHarness;
  readonly messages: Message[] = [];
  readonly #clients: Client[] = [];
  readonly #publishers: Publisher[] = [];
  readonly #incarnations = new Map([
    [1, 1],
    [2, 1],
  ]);
  readonly #asked = new Map<number, Asked>();
  readonly #published = new Map<number, { by: Publisher; first: number; count: number }>();
  #framesSeen = 0;
  /** Something was refused: more may be marked than would have to be. */
  #isTainted = false;

  constructor(faults: QueueFaults = {}, isHosted = false) {
    this.queue = new QueueHarness({ reserveAhead: 8, releaseOffsets: 5, faults }, isHosted);
    this.queue.commitsAtOnce = false;
    this.queue.onAnswer = (token, answer, isLost) => this.#answered(token, answer, isLost);
    for (const { id, node, isAuto } of CONSUMERS) {
      const client = { id, node, isAuto, isAttached: false, seen: 0, hand: [], newest: -1 };
      this.#clients.push(client);
      this.#attach(client);
    }
    for (const id of [11, 12]) this.#publishers.push({ id, next: 1, open: [], confirmed: [] });
  }

  play(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.op === 'refuse') {
        this.queue.refusesFrames = true;
        continue;
      }
      const isRefusing = this.queue.refusesFrames;
      this.#act(step);
      this.queue.refusesFrames = false;
      if (isRefusing) this.#isTainted = true;
      this.#check();
    }
    this.queue.refusesFrames = false;
    this.#finish();
  }

  #act(step: Exclude<Step, { op: 'refuse' }>): void {
    const { queue } = this;
    switch (step.op) {
      case 'publish':
        this.#publish(this.#publishers[step.client % 2]!, step.count);
        break;
      case 'resend':
        this.#resend(this.#publishers[step.client % 2]!);
        break;
      case 'append':
        this.#appendPlain(step.count);
        break;
      case 'commit':
        queue.commit(step.frames);
        break;
      case 'receive':
        this.#receive(this.#who(step.who), step);
        break;
      case 'acknowledge':
      case 'drop':
        this.#settle(this.#who(step.who), step.pick, step.op);
        break;
      case 'requeue':
        this.#requeue(this.#who(step.who), step.pick, step.counts);
        break;
      case 'extend':
        this.#extend(this.#who(step.who), step.pick, step.ms);
        break;
      case 'detach':
        this.#detach(this.#who(step.who), step.keeps);
        break;
      case 'attach':
        this.#attach(this.#who(step.who));
        break;
      case 'node-gone':
        this.#nodeGone(1 + (step.node % 2));
        break;
      case 'purge':
        this.#purge();
        break;
      case 'wait':
        queue.advance(step.ms);
        this.#expire();
        break;
      case 'move':
        this.#move(step.kept);
        break;
    }
  }

  #who(index: number): Client {
    return this.#clients[index % this.#clients.length]!;
  }

  #owner(node: number) {
    return { node, incarnation: this.#incarnations.get(node)! };
  }

  // ---- Publishers -----------------------------------------------------------------------------

  #publish(by: Publisher, count: number): void {
    const first = by.next;
    by.next += count;
    by.open.push({ first, count });
    this.#sendBatch(by, first, count);
  }

  #resend(by: Publisher): void {
    for (const { first, count } of [...by.open]) this.#sendBatch(by, first, count);
  }

  #sendBatch(by: Publisher, first: number, count: number): void {
    const batch = batchOf(count, (index) => encodeUtf8(`${by.id}:${first + index}`));
    this.#published.set(this.queue.nextToken, { by, first, count });
    this.queue.publishBatch(by.id, 1, first, batch);
    this.#readLog();
  }

  #appendPlain(count: number): void {
    this.#readLog();
    const first = this.queue.endOffset;
    this.queue.append(batchOf(count, (index) => encodeUtf8(`plain:${first + index}`)));
    this.#readLog();
  }

  // ---- Consumers ------------------------------------------------------------------------------

  #attach(who: Client): void {
    this.#free((held) => held.who === who);
    who.isAttached = true;
    who.newest = -1;
    const options = CONSUMERS.find(({ id }) => id === who.id)!;
    const token = this.queue.send({
      kind: 'attach',
      owner: this.#owner(who.node),
      consumerId: who.id,
      isAutoAcknowledging: who.isAuto,
      isExclusive: false,
      isPassive: false,
      priority: options.priority,
    });
    const answer = this.queue.answers.get(token);
    if (answer === 'refused') {
      // Nobody asks for messages before it is attached: it tries again until the store has room.
      this.queue.refusesFrames = false;
      this.#attach(who);
      return;
    }
    if (answer?.kind !== 'attached') throw new Violation('attach: no answer');
    this.#must(answer.outcome === 'ok', `attach: ${answer.outcome}`);
    who.seen = answer.seen;
  }

  #receive(who: Client, step: Extract<Step, { op: 'receive' }>): void {
    const { credit, leaseMs, isLost } = step;
    const unseen = new Set<number>();
    for (const { held } of this.messages) {
      const isUnseen = held?.who === who && held.number > who.seen;
      if (isUnseen && who.isAttached) unseen.add(held.number);
    }
    const token = this.queue.nextToken;
    this.#asked.set(token, { who, credit, leaseMs, isLost, unseen });
    this.queue.receive(who.id, {
      owner: this.#owner(who.node),
      seen: who.seen,
      credit,
      waitMs: step.waits ? 20_000 : 0,
      leaseMs,
    });
    if (unseen.size > 0 && who.isAttached) {
      this.#must(this.queue.answers.has(token), 'what got lost is not given again');
    }
  }

  #pick(who: Client, pick: number): Got[] {
    return who.hand.filter((_, i) => (pick >> (i % 8)) % 2 === 1);
  }

  /** Acknowledges or drops; each message is a row of its own. */
  #settle(who: Client, pick: number, op: 'acknowledge' | 'drop'): void {
    const picked = this.#pick(who, pick);
    for (const [epoch, of] of byEpoch(picked)) {
      const expected = of.map((got) => this.#maySettle(got));
      of.forEach((got, i) => {
        const message = this.messages[got.offset];
        if (expected[i] === true && message !== undefined) message.held = undefined;
      });
      const runs = rowsOf(of);
      const level = 'none';
      const token = this.queue.send(
        op === 'acknowledge'
          ? { kind: 'acknowledge', level, epoch, runs }
          : { kind: 'return', level, isRequeued: false, counts: false, epoch, runs },
      );
      const answer = this.queue.answers.get(token);
      if (answer === 'refused' || answer?.kind !== 'settled') continue;
      of.forEach((got, i) => {
        const isRefused = answer.refused.includes(i);
        this.#must(isRefused !== expected[i], `${op} of ${got.offset}: refused ${isRefused}`);
        const message = this.messages[got.offset];
        if (!isRefused && message !== undefined) message.goneSeq ??= this.queue.endSeq;
      });
    }
    who.hand = who.hand.filter((got) => !picked.includes(got));
  }

  #maySettle(got: Got): boolean {
    const message = this.messages[got.offset];
    return message?.held === undefined || this.#isHolder(got);
  }

  #isHolder({ offset, number, epoch }: Got): boolean {
    return epoch === this.queue.epoch && this.messages[offset]?.held?.number === number;
  }

  #requeue(who: Client, pick: number, counts: boolean): void {
    const picked = this.#pick(who, pick);
    for (const [epoch, of] of byEpoch(picked)) {
      const expected = of.map((got) => this.#isHolder(got));
      of.forEach(({ offset }, i) => {
        if (expected[i] === true) this.messages[offset]!.held = undefined;
      });
      const more = { level: 'none', isRequeued: true, counts } as const;
      const token = this.queue.send({ kind: 'return', ...more, epoch, runs: rowsOf(of) });
      this.#refusedAre(token, expected);
      if (!counts || this.queue.answers.get(token) === 'refused') continue;
      of.forEach(({ offset }, i) => {
        if (expected[i] === true) this.messages[offset]!.backSeqs.push(this.queue.endSeq);
      });
    }
    who.hand = who.hand.filter((got) => !picked.includes(got));
  }

  #extend(who: Client, pick: number, leaseMs: number): void {
    for (const [epoch, of] of byEpoch(this.#pick(who, pick))) {
      const expected = of.map((got) => this.#isHolder(got));
      of.forEach(({ offset }, i) => {
        const message = this.messages[offset];
        if (expected[i] !== true || message?.held === undefined) return;
        if (leaseMs === 0) message.held = undefined;
        else message.held.dueMs = this.queue.nowMs + leaseMs;
      });
      const token = this.queue.send({ kind: 'extend', leaseMs, epoch, runs: rowsOf(of) });
      this.#refusedAre(token, expected);
    }
  }

  #refusedAre(token: number, expected: readonly boolean[]): void {
    const answer = this.queue.answers.get(token);
    if (answer === 'refused' || answer?.kind !== 'settled') return;
    const refused = expected.flatMap((isDone, i) => (isDone ? [] : [i]));
    this.#must(String(answer.refused) === String(refused), `refused ${answer.refused}`);
  }

  #detach(who: Client, keepsMessages: boolean): void {
    if (!who.isAttached) return;
    const above = keepsMessages ? who.seen : 0;
    this.#free(({ who: holder, number }) => holder === who && number > above);
    who.isAttached = false;
    const owner = this.#owner(who.node);
    this.queue.send({ kind: 'detach', owner, consumerId: who.id, keepsMessages, seen: who.seen });
  }

  #nodeGone(node: number): void {
    const owner = this.#owner(node);
    // What was lent for a time stays out, under the name of nobody who is there.
    this.#free((held) => held.who.node === node && held.dueMs === 0);
    for (const message of this.messages) {
      const { held } = message;
      if (held?.who.node === node) message.held = { ...held, who: { ...held.who, id: 0 } };
    }
    for (const who of this.#clients) {
      if (who.node !== node) continue;
      who.isAttached = false;
      // Whoever has the name of a lease may use it, by whatever way.
      who.hand = who.hand.filter((got) => this.#isHolder(got));
    }
    this.queue.send({ kind: 'release-owner', owner });
    this.#incarnations.set(node, owner.incarnation + 1);
  }

  #purge(): void {
    const ready = this.messages.filter((m) => m.goneSeq === undefined && m.held === undefined);
    const token = this.queue.send({ kind: 'purge' });
    if (this.queue.answers.get(token) === 'refused') return;
    for (const message of ready) message.goneSeq = this.queue.endSeq;
  }

  // ---- The log --------------------------------------------------------------------------------

  #move(kept: number): void {
    for (const message of this.messages) message.held = undefined;
    this.#published.clear();
    this.#asked.clear();
    this.queue.move(kept);
    const endSeq = this.queue.endSeq - 1;
    this.messages.length = this.queue.endOffset;
    this.#framesSeen = this.queue.frames.length;
    for (const message of this.messages) {
      if ((message.goneSeq ?? 0) > endSeq) message.goneSeq = undefined;
      message.backSeqs = message.backSeqs.filter((seq) => seq <= endSeq);
    }
    for (const who of this.#clients) who.isAttached = false;
    // What was in flight is sent again, in order, before anything new.
    for (const by of this.#publishers) this.#resend(by);
    for (const who of this.#clients) this.#attach(who);
  }

  /** Messages of frames that are new in the log. */
  #readLog(): void {
    const { frames } = this.queue;
    for (; this.#framesSeen < frames.length; this.#framesSeen += 1) {
      const { batch } = frames[this.#framesSeen]!;
      if (batch === undefined) continue;
      const reader = new RecordReader();
      reader.open(batch, 0, batch.length);
      while (reader.next()) {
        const name = decodeUtf8(reader.value()!);
        const { offset } = reader;
        const fresh = { offset, name, wasOut: false, held: undefined, goneSeq: undefined };
        this.messages[offset] = { ...fresh, backSeqs: [] };
      }
    }
  }

  #free(isFreed: (held: NonNullable<Message['held']>) => boolean): void {
    for (const message of this.messages) {
      if (message.held !== undefined && isFreed(message.held)) message.held = undefined;
    }
  }

  #expire(): void {
    this.#free(({ dueMs }) => dueMs > 0 && dueMs <= this.queue.nowMs);
  }

  // ---- Answers --------------------------------------------------------------------------------

  #answered(token: number, answer: QueueAnswer, isLost: boolean): void {
    if (answer.kind === 'published' && !isLost) this.#confirmed(token, answer);
    if (answer.kind === 'deliveries') this.#delivered(token, answer, isLost);
  }

  #confirmed(token: number, answer: Extract<QueueAnswer, { kind: 'published' }>): void {
    const sent = this.#published.get(token);
    if (sent === undefined || answer.outcome !== 'ok') return;
    const { by, first, count } = sent;
    by.open = by.open.filter((open) => open.first !== first);
    for (let i = 0; i < count; i += 1) by.confirmed.push(`${by.id}:${first + i}`);
    if (answer.offset < 0) return;
    this.#readLog();
    const { name } = this.messages[answer.offset]!;
    this.#must(name === `${by.id}:${first}`, `${by.id}:${first} is said to be ${name}`);
  }

  #delivered(
    token: number,
    answer: Extract<QueueAnswer, { kind: 'deliveries' }>,
    isLostHere: boolean,
  ): void {
    const asked = this.#asked.get(token);
    if (asked === undefined) return;
    this.#expire();
    const { who, credit, leaseMs, unseen } = asked;
    const all = listOf(answer.runs, answer.epoch);
    this.#must(all.length <= credit, `${all.length} messages for a credit of ${credit}`);
    for (const got of all) this.#isRight(got, who, unseen);
    for (const got of all) {
      const message = this.messages[got.offset]!;
      // An answer that the host replaced by a refusal was never out.
      if (!isLostHere) message.wasOut = true;
      if (who.isAuto) {
        if (!isLostHere) message.goneSeq = this.queue.endSeq;
      } else if (!unseen.has(got.number)) {
        const dueMs = leaseMs === 0 ? 0 : this.queue.nowMs + leaseMs;
        message.held = { who, number: got.number, dueMs };
      }
    }
    const last = all.at(-1);
    if (unseen.size > 0) this.#unseenAgain(who, unseen, all, credit);
    if (last === undefined || asked.isLost || isLostHere) return;
    who.seen = Math.max(who.seen, last.number);
    if (!who.isAuto) who.hand.push(...all);
  }

  #isRight(got: Got, who: Client, unseen: ReadonlySet<number>): void {
    const message = this.messages[got.offset];
    const { offset, redelivered } = got;
    this.#must(message !== undefined, `${offset} is not in the log`);
    this.#must(offset < this.queue.committedOffset, `${offset} is not committed`);
    this.#must(message!.goneSeq === undefined, `${offset} was done with`);
    const isAgain = message!.held?.number === got.number && unseen.has(got.number);
    this.#must(message!.held === undefined || isAgain, `${offset} is with another`);
    if (isAgain) return;
    this.#must(redelivered || !message!.wasOut, `${offset} was out before and is not marked`);
    // Leases that ran out count too.
    const counted = message!.backSeqs.length;
    this.#must(got.returns >= counted, `${offset} came back ${counted} times, not ${got.returns}`);
    if (redelivered) return;
    this.#must(offset > who.newest, `${offset} comes as new behind ${who.newest}`);
    who.newest = offset;
  }

  /** Those beyond the credit are ready again. */
  #unseenAgain(
    who: Client,
    unseen: ReadonlySet<number>,
    all: readonly Got[],
    credit: number,
  ): void {
    const expected = [...unseen].sort((a, b) => a - b).slice(0, credit);
    const numbers = all.map(({ number }) => number);
    this.#must(String(numbers) === String(expected), `${numbers} again, not ${expected}`);
    this.#free(
      ({ who: holder, number }) =>
        holder === who && unseen.has(number) && !expected.includes(number),
    );
  }

  // ---- Checks ---------------------------------------------------------------------------------

  #check(): void {
    this.#readLog();
    const { state } = this.queue;
    const left = this.messages.filter(({ goneSeq }) => goneSeq === undefined);
    this.#must(state.messages === left.length, `${state.messages} left, not ${left.length}`);
    const held = left.filter((message) => message.held !== undefined).length;
    const { leases } = this.queue.local;
    this.#must(leases.count === held, `${leases.count} leased, not ${held}`);
    if (this.#isTainted || this.queue.epoch > 1) return;
    // Nothing is marked without a reason: what is above the cursor was never out.
    const { redeliveredBelow } = this.queue.local;
    this.#must(redeliveredBelow === 0, 'something is marked in the first epoch');
  }

  #finish(): void {
    const { queue } = this;
    // What is open is sent again until it is answered.
    for (let i = 0; i < 5; i += 1) {
      queue.commit();
      for (const by of this.#publishers) this.#resend(by);
    }
    queue.commit();
    for (const by of this.#publishers) this.#must(by.open.length === 0, 'publishes stay open');
    this.#check();
    this.#logIsRight();
    for (const node of [1, 2]) this.#nodeGone(node);
    queue.advance(60_000);
    this.#expire();
    this.#attach(this.#clients[0]!);
    this.#drain();
    this.#replaysAlike();
    queue.move();
    for (let token = 1; token < queue.nextToken; token += 1) {
      this.#must(queue.answers.has(token), `token ${token} was never answered`);
    }
  }

  /** Each client's messages are in the log once, in order, from the first on; the confirmed ones are. */
  #logIsRight(): void {
    for (const by of this.#publishers) {
      const mine = this.messages.map(({ name }) => name).filter((n) => n.startsWith(`${by.id}:`));
      const wanted = mine.map((_, i) => `${by.id}:${i + 1}`);
      this.#must(String(mine) === String(wanted), `the log holds ${mine}`);
      for (const name of by.confirmed) this.#must(mine.includes(name), `${name} is lost`);
    }
  }

  /** Everything that is not done with comes out. */
  #drain(): void {
    const who = this.#clients[0]!;
    const came = new Set<number>();
    const left = this.messages.filter(({ goneSeq }) => goneSeq === undefined);
    for (let i = 0; i < 2_000 && came.size < left.length; i += 1) {
      const before = who.hand.length;
      const op = 'receive';
      const step = { op, who: 0, credit: 50, waits: false, leaseMs: 0, isLost: false } as const;
      this.#receive(who, step);
      this.queue.commit();
      for (const { offset } of who.hand.slice(before)) came.add(offset);
    }
    const lost = left.filter(({ offset }) => !came.has(offset)).map(({ offset }) => offset);
    this.#must(lost.length === 0, `${lost} never came`);
  }

  #replaysAlike(): void {
    const { behavior, state } = this.queue;
    const ours = behavior.snapshot(state);
    const replayed = behavior.snapshot(this.queue.replay());
    this.#must(equalBytes(ours, replayed), 'a replica has another state');
  }

  #must(isSo: boolean, otherwise: string): void {
    if (!isSo) throw new Violation(otherwise);
  }
}

function byEpoch(all: readonly Got[]): Map<number, Got[]> {
  const groups = new Map<number, Got[]>();
  for (const got of all) {
    const group = groups.get(got.epoch) ?? [];
    group.push(got);
    groups.set(got.epoch, group);
  }
  return groups;
}

function rowsOf(all: readonly Got[]): Runs {
  const runs = new Runs();
  for (const { offset, number } of all) runs.push(offset, 1, number);
  return runs;
}
