// Commands of a client to a log whose leaders change and whose links lose what is on them: every command that is
// answered was decided once, in the order in which it was asked, and no answer is of another history.
import { expect, test } from 'vitest';
import { decodeAnswer, durable, encodeCommand } from '../../../src/actors/durable/event-sourced.ts';
import { Lane, type LaneCommand } from '../../../src/actors/durable/lane.ts';
import { ask, protocol } from '../../../src/actors/index.ts';
import { array, u32 } from '../../../src/codec/index.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { runs } from '../../setup/runs.ts';

const Numbers = durable(
  protocol('numbers', 1, {
    /** Refused where it is odd and the list is of even length: what is decided depends on the place. */
    put: ask(u32, array(u32)),
    look: ask(u32, array(u32)),
  }),
  {
    events: { put: u32 },
    state: array(u32),
    initial: (): readonly number[] => [],
    decide: {
      put(list, number) {
        if (number % 2 === 1 && list.length % 2 === 0) throw new Error(`refused at ${list.length}`);
        return { events: [{ type: 'put', value: number }], reply: [...list, number] };
      },
      look: (list) => ({ reply: list }),
    },
    apply: { put: (list, number) => [...list, number] },
  },
);
const { behavior } = Numbers;

interface Command extends LaneCommand {
  readonly op: 'put' | 'look';
  readonly id: number;
  outcome: readonly number[] | string | undefined;
}

interface Frame {
  readonly events: Uint8Array;
}

/** Whoever leads: what is committed is all that the next one has. */
class Leader {
  readonly frames: Frame[] = [];
  committed = 0;
  readonly state = behavior.initial();
  readonly local: unknown;
  /** Answers wait until the log is committed up to `seq`. */
  readonly waiting: { seq: number; token: number; body: Uint8Array }[] = [];

  constructor(frames: readonly Frame[]) {
    for (const { events } of frames) this.#append(events);
    this.committed = this.frames.length;
    this.local = behavior.promote(this.state, this.#position());
  }

  #position() {
    const offsets = { endOffset: 0, committedOffset: 0, startOffset: 0 };
    return { logId: 1, epoch: 1, logTimeMs: 1, endSeq: 0, committedSeq: 0, ...offsets };
  }

  #append(events: Uint8Array): void {
    const seq = this.frames.push({ events });
    const rest = { seq, epoch: 1, logTimeMs: 1, batch: undefined, baseOffset: 0, nextOffset: 0 };
    behavior.apply(this.state, { events, ...rest });
  }

  /** `isFull`: the store refuses the frame of the decision. */
  take(token: number, body: Uint8Array, isFull: boolean): 'refused' | undefined {
    const decided = behavior.decide(this.state, this.local, { token, body }, this.#position());
    const { events, replies } = decided;
    if (events !== undefined && isFull) return 'refused';
    if (events !== undefined) this.#append(events);
    for (const reply of replies ?? []) {
      this.waiting.push({ seq: this.frames.length, token, body: reply.body });
    }
    return undefined;
  }
}

class World {
  readonly #random: SeededRandom;
  readonly commands: Command[] = [];
  readonly lane = new Lane<Command>();
  leader = new Leader([]);
  /** On their way to the leader, and back. */
  #sent: { token: number; body: Uint8Array }[] = [];
  #answers: { token: number; body: Uint8Array | 'refused' }[] = [];
  #open = new Map<number, Command>();
  #token = 0;
  #number = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  get isDone(): boolean {
    return this.lane.isEmpty;
  }

  ask(): void {
    const id = this.commands.length;
    const op = this.#random.below(4) === 0 ? 'look' : 'put';
    const body = encodeCommand(Numbers.protocol.byName.get(op)!, id);
    const command = { op, id, body, number: 0, token: 0, isUnknown: false, outcome: undefined };
    this.commands.push(command as Command);
    this.lane.add(command as Command);
  }

  send(): void {
    const next = () => ++this.#number;
    this.lane.send({ clientId: 1, life: 1 }, next, (command, bytes) => {
      const token = ++this.#token;
      this.#open.set(token, command);
      this.#sent.push({ token, body: bytes });
      return token;
    });
  }

  step(isCalm: boolean): void {
    const { leader } = this;
    const draw = this.#random.below(isCalm ? 60 : 75);
    if (draw < 20) {
      const first = this.#sent.shift();
      if (first === undefined) return;
      const isFull = !isCalm && this.#random.below(20) === 0;
      const result = leader.take(first.token, first.body, isFull);
      if (result !== undefined) this.#answers.push({ token: first.token, body: result });
    } else if (draw < 35) this.#commit();
    else if (draw < 55) this.#hear();
    else if (draw < 60) this.send();
    else if (draw < 66) this.#cut();
    else if (draw < 70) this.#move();
    else this.ask();
  }

  #commit(): void {
    const { leader } = this;
    leader.committed = leader.frames.length;
    const { waiting } = leader;
    while (waiting.length > 0 && waiting[0]!.seq <= leader.committed) {
      this.#answers.push(waiting.shift()!);
    }
  }

  #hear(): void {
    const answer = this.#answers.shift();
    const command = answer && this.#open.get(answer.token);
    if (answer === undefined || command === undefined) return;
    this.#open.delete(answer.token);
    const { body } = answer;
    if (body === 'refused' || body[0] === 2) {
      command.token = 0;
      this.#forget();
      return;
    }
    expect(body[0]).not.toBe(3);
    this.lane.remove(command);
    try {
      const op = Numbers.protocol.byName.get(command.op)!;
      command.outcome = decodeAnswer(op, body) as readonly number[];
    } catch (error) {
      command.outcome = (error as Error).message;
    }
  }

  #forget(): void {
    for (const token of this.lane.recall()) this.#open.delete(token);
  }

  /** The link ends: a part of what is on it still arrives. */
  #cut(): void {
    this.#sent = this.#sent.slice(0, this.#random.below(this.#sent.length + 1));
    this.#answers = [];
    this.#forget();
  }

  /** What is not committed may be with the next one, or not. */
  #move(): void {
    const { frames, committed } = this.leader;
    const kept = committed + this.#random.below(frames.length - committed + 1);
    this.leader = new Leader(frames.slice(0, kept));
    this.#sent = [];
    this.#answers = [];
    this.#forget();
  }
}

test('whatever is lost, commands are decided once and in order', () => {
  let refusals = 0;
  for (let seed = 1; seed <= runs(600, 100); seed += 1) {
    const world = new World(seed);
    for (let i = 0; i < 600; i += 1) world.step(false);
    for (let i = 0; i < 50_000 && !world.isDone; i += 1) world.step(true);
    expect(world.isDone).toBe(true);
    // One after the other by hand gives the same answers, and the same list.
    let list: number[] = [];
    for (const { op, id, outcome } of world.commands) {
      const isRefused = op === 'put' && id % 2 === 1 && list.length % 2 === 0;
      if (op === 'put' && !isRefused) list = [...list, id];
      if (isRefused) refusals += 1;
      expect({ seed, id, outcome }).toEqual({
        seed,
        id,
        outcome: isRefused ? `refused at ${list.length}` : list,
      });
    }
    expect(world.leader.state.value).toEqual(list);
  }
  expect(refusals).toBeGreaterThan(100);
}, 120_000);
