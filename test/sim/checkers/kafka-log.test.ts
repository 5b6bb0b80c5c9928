import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  emptyHistory,
  type KafkaHistory,
  type Poll,
  type Send,
} from '../../../src/sim/checkers/kafka-history.ts';
import { checkKafkaLog, countLost, KAFKA_ANOMALIES } from '../../../src/sim/checkers/kafka-log.ts';

/** A sound history: two producers on two partitions, one consumer, one read-back. */
function soundHistory(seed: number): KafkaHistory {
  const history = emptyHistory();
  const next = draws(seed);
  const ends = [0, 0];
  const orders = new Map<string, number>();
  const logs: { offset: number; send: Send }[][] = [[], []];
  for (let id = 0; id < 60; id += 1) {
    const partition = next(2);
    const producer = `p${next(2)}`;
    const lane = `${producer}/${partition}`;
    const order = orders.get(lane) ?? 0;
    orders.set(lane, order + 1);
    const attempts = 1 + (next(5) === 0 ? 1 : 0);
    const offset = ends[partition]!;
    ends[partition] = offset + attempts;
    const isKnown = next(6) !== 0;
    const send: Send = {
      producer,
      topic: 't',
      partition,
      id,
      bodyHash: id * 7,
      acks: -1,
      order,
      attempts,
      outcome: isKnown ? 'acknowledged' : 'unknown',
      offset: isKnown ? offset : undefined,
    };
    history.sends.push(send);
    for (let i = 0; i < attempts; i += 1) logs[partition]!.push({ offset: offset + i, send });
  }
  for (const [partition, log] of logs.entries()) {
    for (let at = 0; at < log.length; ) {
      const size = 1 + next(5);
      const records = log.slice(at, at + size);
      at += size;
      const poll: Poll = {
        consumer: 'c',
        topic: 't',
        partition,
        session: 1,
        offsets: records.map((each) => each.offset),
        ids: records.map((each) => each.send.id),
        bodyHashes: records.map((each) => each.send.bodyHash),
      };
      history.polls.push(poll);
      history.finalPolls.push({ ...poll, consumer: 'final' });
    }
  }
  return history;
}

function draws(seed: number): (n: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % n;
  };
}

type Mutation = (history: KafkaHistory, pick: (n: number) => number) => void;

/** Each puts one anomaly into a sound history. */
const MUTATIONS: Record<string, Mutation> = {
  'lost-write': (history, pick) => {
    const acknowledged = history.sends.filter(
      (send) =>
        send.outcome === 'acknowledged' && send.offset! + 1 < lastOffset(history, send.partition),
    );
    eraseEverywhere(history, acknowledged[pick(acknowledged.length)]!);
  },
  unseen: (history) => {
    const acknowledged = history.sends.filter((send) => send.outcome === 'acknowledged');
    const last = acknowledged.reduce((a, b) => (b.offset! > a.offset! ? b : a));
    for (const polls of [history.polls, history.finalPolls]) {
      cutPolls(polls, last.partition, (offset) => offset < last.offset!);
    }
  },
  duplicate: (history, pick) => {
    const send = history.sends[pick(history.sends.length)]!;
    const offset = lastOffset(history, send.partition) + 1;
    for (const [polls, consumer] of [
      [history.polls, 'c'],
      [history.finalPolls, 'final'],
    ] as const) {
      for (let i = 0; i < 2; i += 1) {
        polls.push({
          consumer,
          topic: 't',
          partition: send.partition,
          session: 1,
          offsets: [offset + i],
          ids: [send.id],
          bodyHashes: [send.bodyHash],
        });
      }
    }
  },
  'inconsistent-offset': (history, pick) => {
    const poll = history.polls[pick(history.polls.length)]!;
    const other = history.sends.find(
      (send) => send.partition === poll.partition && send.id !== poll.ids[0],
    )!;
    replace(history.polls, poll, {
      ...poll,
      ids: [other.id, ...poll.ids.slice(1)],
      bodyHashes: [other.bodyHash, ...poll.bodyHashes.slice(1)],
    });
  },
  'non-monotonic-poll': (history, pick) => {
    const poll = history.polls[pick(history.polls.length)]!;
    history.polls.push(poll);
  },
  'skipped-poll': (history, pick) => {
    const inner = history.polls.filter(
      (poll) => poll.offsets[0]! > 0 && poll.offsets.at(-1)! < lastOffset(history, poll.partition),
    );
    const poll = inner[pick(inner.length)]!;
    history.polls.splice(history.polls.indexOf(poll), 1);
  },
  reorder: (history) => {
    const known = history.sends.filter((send) => send.outcome === 'acknowledged');
    const first = known[0]!;
    const later = known.find(
      (send) =>
        send.producer === first.producer && send.partition === first.partition && send !== first,
    )!;
    // The history is as it was, but the producer sent them the other way round.
    replace(history.sends, first, { ...first, order: later.order });
    replace(history.sends, later, { ...later, order: first.order });
  },
  phantom: (history, pick) => {
    const at = pick(history.sends.length);
    history.sends.splice(at, 1);
  },
  altered: (history, pick) => {
    const send = history.sends[pick(history.sends.length)]!;
    replace(history.sends, send, { ...send, bodyHash: send.bodyHash + 1 });
  },
  'failed-visible': (history, pick) => {
    const send = history.sends[pick(history.sends.length)]!;
    send.outcome = 'failed';
  },
  vanished: (history, pick) => {
    const open = history.sends.filter((send) => send.outcome === 'unknown');
    const send = open[pick(open.length)]!;
    cutPolls(history.finalPolls, send.partition, (_, id) => id !== send.id);
  },
};

test('a sound history, with retries and unknown outcomes, has no anomaly', () => {
  for (let seed = 0; seed < 200; seed += 1) expect(checkKafkaLog(soundHistory(seed))).toEqual([]);
});

test('there is a mutation for every anomaly class', () => {
  expect(Object.keys(MUTATIONS).sort()).toEqual([...KAFKA_ANOMALIES].sort());
});

for (const [anomaly, mutate] of Object.entries(MUTATIONS)) {
  test(`every history into which ${anomaly} is put is found out`, () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const history = soundHistory(seed);
        mutate(history, draws(seed + 1));
        const found = new Set(checkKafkaLog(history).map(({ check }) => check));
        expect([...found]).toContain(`kafka-log/${anomaly}`);
      }),
      { numRuns: 150 },
    );
  });
}

test('the loss of what was acknowledged by the leader alone is allowed', () => {
  const history = soundHistory(3);
  const send = history.sends.find((each) => each.outcome === 'acknowledged')!;
  replace(history.sends, send, { ...send, acks: 1 });
  eraseEverywhere(history, send);
  expect(countLost(history)).toBe(0);
});

function lastOffset(history: KafkaHistory, partition: number): number {
  return Math.max(
    ...history.finalPolls
      .filter((poll) => poll.partition === partition)
      .flatMap((poll) => poll.offsets),
  );
}

function eraseEverywhere(history: KafkaHistory, send: Send): void {
  for (const polls of [history.polls, history.finalPolls]) {
    cutPolls(polls, send.partition, (_, id) => id !== send.id);
  }
}

function cutPolls(
  polls: Poll[],
  partition: number,
  keep: (offset: number, id: number) => boolean,
): void {
  polls.forEach((poll, at) => {
    if (poll.partition !== partition) return;
    const kept = poll.offsets.map((offset, i) => keep(offset, poll.ids[i]!));
    polls[at] = {
      ...poll,
      offsets: poll.offsets.filter((_, i) => kept[i]),
      ids: poll.ids.filter((_, i) => kept[i]),
      bodyHashes: poll.bodyHashes.filter((_, i) => kept[i]),
    };
  });
}

function replace<T>(items: T[], old: T, fresh: T): void {
  items[items.indexOf(old)] = fresh;
}
