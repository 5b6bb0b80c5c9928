// Questions of leaders that hand over: one command for all that ask while another is under way, refusals for what has
// changed nothing, and nothing for what nobody answered.
import { expect, test } from 'vitest';
import {
  decodeCommand,
  type LeaderMove,
  type MetadataCommand,
} from '../../../src/cluster/metadata/index.ts';
import { LeaderMoves } from '../../../src/cluster/metadata-shell/leader-moves.ts';
import {
  type ProposeAnswer,
  UNAVAILABLE,
} from '../../../src/cluster/metadata-shell/metadata-protocol.ts';
import { creation, World } from '../metadata/world.ts';

const DONE: ProposeAnswer = { ...UNAVAILABLE, kind: 'done', code: '', message: '' };

class Bench {
  readonly world = new World([1, 2, 3]);
  readonly asked: Extract<MetadataCommand, { kind: 'move-leaders' }>[] = [];
  readonly refused: [thread: number, logId: number][] = [];
  readonly moves: LeaderMoves;
  nowMs = 1_000;
  #answers: ((answer: ProposeAnswer) => void)[] = [];

  constructor() {
    this.world.do(creation('t', { partitions: 9, replicationFactor: 3 }));
    this.moves = new LeaderMoves({
      node: 1,
      image: this.world.image,
      nowMs: () => this.nowMs,
      change: (bytes) => {
        const command = decodeCommand(bytes);
        if (command.kind !== 'move-leaders') throw new Error(command.kind);
        this.asked.push(command);
        return new Promise((resolve) => this.#answers.push(resolve));
      },
      refused: (thread, { logId }) => this.refused.push([thread, logId]),
      onFatal: (error) => {
        throw error;
      },
    });
  }

  /** What node 1 leads. */
  led(): LeaderMove[] {
    return this.world.image.logsLedBy(1).map((logId) => {
      const { epoch, partitionEpoch } = this.world.image.log(logId)!;
      return { logId, epoch, partitionEpoch, to: 2 };
    });
  }

  async answer(kind: 'applied' | 'not-applied' | 'unavailable'): Promise<void> {
    if (kind === 'applied') this.world.do(this.asked.at(-1)!);
    this.#answers.shift()!(kind === 'unavailable' ? UNAVAILABLE : DONE);
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('those of one turn go in one command, those that come meanwhile in the next', async () => {
  const bench = new Bench();
  const [first, second, third] = bench.led();
  bench.moves.ask(1, first!);
  bench.moves.ask(2, second!);
  await settled();
  bench.moves.ask(1, third!);
  await settled();
  expect(bench.asked.map(({ moves }) => moves)).toEqual([[first, second]]);
  await bench.answer('applied');
  expect(bench.asked.map(({ moves }) => moves)).toEqual([[first, second], [third]]);
  await bench.answer('applied');
  expect(bench.refused).toEqual([]);
  expect(bench.world.image.ledCount(1)).toBe(0);
  bench.moves.ask(1, third!);
  await settled();
  // Its epoch is over: that it was in vain nobody needs to hear.
  await bench.answer('applied');
  expect(bench.refused).toEqual([]);
});

test('what has changed nothing is refused, and only that', async () => {
  const bench = new Bench();
  const [first, second] = bench.led();
  bench.moves.ask(1, { ...first!, partitionEpoch: first!.partitionEpoch + 1 });
  bench.moves.ask(2, second!);
  await settled();
  await bench.answer('applied');
  expect(bench.refused).toEqual([[1, first!.logId]]);
});

test('what nobody answered is not refused: it may happen yet', async () => {
  const bench = new Bench();
  const [first] = bench.led();
  bench.moves.ask(1, first!);
  await settled();
  await bench.answer('unavailable');
  expect(bench.refused).toEqual([]);
});

test('who has waited for too long is told that nothing was asked', async () => {
  const bench = new Bench();
  const [first, second] = bench.led();
  bench.moves.ask(1, first!);
  await settled();
  bench.moves.ask(2, second!);
  bench.nowMs += 1_500;
  await bench.answer('unavailable');
  expect(bench.refused).toEqual([[2, second!.logId]]);
  expect(bench.asked).toHaveLength(1);
});
