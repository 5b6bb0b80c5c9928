// The consumers by which one shard takes messages from one log: for a group that has a view of it, or of a queue
// for whoever asks. One receive of a consumer waits at a time, so there are as many as ever waited at once; they are used again, and stay attached. A consumer
// whose answer may have got lost is detached and never used again: what it was given and has heard of stays
// with it until its leases end, the rest is ready again.
import type { LogResult } from '../../cluster/ports.ts';
import { decodeQueueAnswer } from '../view/answers.ts';
import { encodeQueueCommand, type QueueCommand } from '../view/commands.ts';
import type { Owner } from '../view/consumers.ts';
import { Runs } from '../view/runs.ts';
import { encodeViewCommand } from '../view/view-commands.ts';
import type { Call, Calls } from './calls.ts';
import type { HostRef } from './host-calls.ts';

/** A host keeps the question for so long beyond the wait. */
const ANSWER_MS = 10_000;
const ATTEMPTS = 3;
/** A log that was handed over is led by another one as soon as the metadata is known here. */
const ELSEWHERE_MS = 25;
const ELSEWHERE_ATTEMPTS = 40;

export interface LinePort {
  readonly calls: Calls;
  leaderHost(logId: number): HostRef | undefined;
  owner(): Owner | undefined;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
  /** The leader knows a later one, or this one was given up. */
  ownerIsStale(owner: Owner): void;
}

/**
 * A command to the view of a group, or to a queue, which is a view itself. New groups start with what is oldest:
 * nothing that was sent before they came is lost to them.
 */
export function encodeTo(group: string | undefined, command: QueueCommand): Uint8Array {
  return group === undefined
    ? encodeQueueCommand(command)
    : encodeViewCommand(group, 'begin', command);
}

interface LineConsumer {
  /** Given once: to attach again under an id would take back what is held under it. */
  id: number;
  /** As whom it is attached, if it is. */
  owner: Owner | undefined;
  seen: number;
}

/** Messages given out, or why there are none. */
export interface GivenRuns {
  readonly result: LogResult;
  readonly epoch: number;
  readonly runs: Runs;
}

export interface ReceiveOptions {
  readonly credit: number;
  readonly waitMs: number;
  readonly leaseMs: number;
}

export class ViewLine {
  /** Undefined: the log is a queue's. */
  readonly group: string | undefined;
  readonly logId: number;
  readonly #port: LinePort;
  #idle: LineConsumer[] = [];
  #nextId = 1;
  /** Receives under way. */
  busy = 0;

  constructor(group: string | undefined, logId: number, port: LinePort) {
    this.group = group;
    this.logId = logId;
    this.#port = port;
  }

  receive(options: ReceiveOptions, done: (given: GivenRuns) => void): LineReceive {
    this.busy += 1;
    const consumer = this.#idle.pop() ?? { id: this.#nextId++, owner: undefined, seen: 0 };
    const receive = new LineReceive(this, this.#port, consumer, options, (given) => {
      this.busy -= 1;
      if (consumer.owner !== undefined) this.#idle.push(consumer);
      done(given);
    });
    receive.start();
    return receive;
  }

  /** Nobody uses it: its consumers go. */
  leave(): void {
    for (const consumer of this.#idle) this.forget(consumer);
    this.#idle = [];
  }

  /** From now on it is a consumer that has yet to attach. */
  forget(consumer: LineConsumer): void {
    const { id: consumerId, owner, seen } = consumer;
    consumer.id = this.#nextId++;
    consumer.owner = undefined;
    const host = this.#port.leaderHost(this.logId);
    if (host === undefined || owner === undefined) return;
    const command = { kind: 'detach', owner, consumerId, keepsMessages: true, seen } as const;
    const body = encodeTo(this.group, command);
    this.#port.calls.command({ host, lost: () => undefined }, this.logId, body);
  }
}

export class LineReceive {
  readonly #line: ViewLine;
  readonly #port: LinePort;
  readonly #consumer: LineConsumer;
  readonly #options: ReceiveOptions;
  readonly #done: (given: GivenRuns) => void;
  readonly #runs = new Runs();
  #attemptsLeft = ATTEMPTS;
  #elsewhereLeft = ELSEWHERE_ATTEMPTS;
  #isWaiting = false;
  #isCancelled = false;

  constructor(
    line: ViewLine,
    port: LinePort,
    consumer: LineConsumer,
    options: ReceiveOptions,
    done: (given: GivenRuns) => void,
  ) {
    this.#line = line;
    this.#port = port;
    this.#consumer = consumer;
    this.#options = options;
    this.#done = done;
  }

  start(): void {
    const { owner } = this.#consumer;
    if (owner !== undefined && owner !== this.#port.owner()) this.#line.forget(this.#consumer);
    if (this.#consumer.owner === undefined) this.#attach();
    else this.#ask(this.#options.credit, this.#options.waitMs);
  }

  /** It waits no more. What was given out meanwhile is ready again. */
  cancel(): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    // Takes the place of the receive that waits, and asks for nothing: the leader puts back the rest.
    if (this.#isWaiting) this.#ask(0, 0);
  }

  #attach(): void {
    const owner = this.#port.owner();
    if (owner === undefined) {
      this.#fail('not-available');
      return;
    }
    const options = {
      isAutoAcknowledging: false,
      isExclusive: false,
      isPassive: true,
      priority: 0,
    };
    const consumerId = this.#consumer.id;
    this.#send({ kind: 'attach', owner, consumerId, ...options }, ANSWER_MS, (body) => {
      const answer = decodeQueueAnswer(body, this.#runs);
      if (answer.outcome === 'stale-owner') this.#port.ownerIsStale(owner);
      if (answer.kind !== 'attached' || answer.outcome !== 'ok') {
        this.#fail(answer.outcome === 'too-many-groups' ? 'throttled' : 'not-available');
        return;
      }
      this.#consumer.owner = owner;
      this.#consumer.seen = answer.seen;
      if (this.#isCancelled) this.#end('ok', 0);
      else this.#ask(this.#options.credit, this.#options.waitMs);
    });
  }

  #ask(credit: number, waitMs: number): void {
    const { id: consumerId, owner, seen } = this.#consumer;
    if (owner === undefined) {
      this.#fail('not-available');
      return;
    }
    const { leaseMs } = this.#options;
    this.#isWaiting = true;
    const isStop = this.#isCancelled;
    const command = { kind: 'receive', owner, consumerId, seen, credit, waitMs, leaseMs } as const;
    this.#send(command, waitMs + ANSWER_MS, (body) => {
      // The answer to what was cancelled: the one behind it counts.
      if (this.#isCancelled && !isStop) return;
      this.#isWaiting = false;
      this.#heard(body);
    });
  }

  #heard(body: Uint8Array): void {
    const answer = decodeQueueAnswer(body, this.#runs);
    if (answer.kind !== 'deliveries') {
      this.#again();
      return;
    }
    const { outcome, epoch } = answer;
    if (outcome !== 'ok' && outcome !== 'too-many-leases') {
      this.#again();
      return;
    }
    const last = this.#runs.size - 1;
    if (last >= 0) {
      const number = this.#runs.number[last]! + this.#runs.count[last]! - 1;
      this.#consumer.seen = Math.max(this.#consumer.seen, number);
    }
    this.#end('ok', epoch);
  }

  /** The leader does not know the consumer: it may be another one. */
  #again(): void {
    this.#line.forget(this.#consumer);
    this.#attemptsLeft -= 1;
    if (this.#isCancelled) this.#end('ok', 0);
    else if (this.#attemptsLeft > 0) this.#attach();
    else this.#fail('not-available');
  }

  #send(command: QueueCommand, timeoutMs: number, heard: (body: Uint8Array) => void): void {
    const { logId, group } = this.#line;
    const host = this.#port.leaderHost(logId);
    if (host === undefined) {
      this.#fail('not-available');
      return;
    }
    const call: Call = {
      host,
      answered: ({ result, body }) => {
        // The consumer may be another receive's by now.
        if (this.#isOver) return;
        if (result === 'ok') heard(body);
        else if (result === 'not-leader' && this.#elsewhereLeft > 0) this.#elsewhere();
        else this.#fail(result);
      },
      lost: () => this.#fail('not-available'),
    };
    this.#port.calls.command(call, logId, encodeTo(group, command), timeoutMs);
  }

  /** Nothing was given out: the log is being handed over, and whoever leads next knows no consumer yet. */
  #elsewhere(): void {
    this.#elsewhereLeft -= 1;
    this.#isWaiting = false;
    this.#line.forget(this.#consumer);
    this.#port.later(ELSEWHERE_MS, () => {
      if (this.#isOver) return;
      if (this.#isCancelled) this.#end('ok', 0);
      else this.#attach();
    });
  }

  #isOver = false;

  #fail(result: LogResult): void {
    if (this.#isOver) return;
    this.#line.forget(this.#consumer);
    this.#runs.clear();
    this.#end(this.#isCancelled ? 'ok' : result, 0);
  }

  #end(result: LogResult, epoch: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done({ result, epoch, runs: this.#runs });
  }
}
