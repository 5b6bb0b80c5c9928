import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeQueueAnswer,
  encodeQueueAnswer,
  type QueueAnswer,
} from '../../../src/broker/view/answers.ts';
import {
  encodeQueueCommand,
  PUBLISH_HEAD_BYTES_MAX,
  type QueueCommand,
  writePublishHead,
} from '../../../src/broker/view/commands.ts';
import { QUEUE_DEFAULTS } from '../../../src/broker/view/config.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { again, listOf, NODE, QueueHarness } from './harness.ts';

function someRuns(): Runs {
  const runs = new Runs();
  runs.push(2 ** 40, 3, 7);
  runs.push(5, 1, 2 ** 45);
  runs.push(6, 1, 0);
  return runs;
}

const rows = (runs: Runs) =>
  Array.from({ length: runs.size }, (_, i) => [
    runs.offset[i],
    runs.count[i],
    runs.number[i],
    runs.returns[i],
    runs.redelivered[i],
  ]);

describe('commands', () => {
  it('of publishes can be written around a batch that is there', () => {
    const client = fc.record({ clientId: fc.maxSafeNat(), incarnation: fc.maxSafeNat() });
    const number = fc.maxSafeNat();
    const body = fc.uint8Array({ minLength: 1 });
    fc.assert(
      fc.property(client, number, body, (of, firstNumber, batch) => {
        const out = new Uint8Array(PUBLISH_HEAD_BYTES_MAX + batch.length);
        out.set(batch, PUBLISH_HEAD_BYTES_MAX);
        const start = writePublishHead(out, PUBLISH_HEAD_BYTES_MAX, of, firstNumber, 'stored');
        const command = { kind: 'publish', level: 'stored', ...of, firstNumber, batch } as const;
        expect(out.subarray(start)).toEqual(encodeQueueCommand(command));
      }),
    );
  });

  it('come back from their bytes as they were', () => {
    const owner = { node: 3, incarnation: 2 ** 40 };
    const consumer = { owner, consumerId: 2 ** 41 };
    const held = { epoch: 9, runs: someRuns() };
    const commands: QueueCommand[] = [
      {
        kind: 'publish',
        level: 'local',
        clientId: 2 ** 50,
        incarnation: 3,
        firstNumber: 9,
        batch: Uint8Array.of(1, 2, 3),
      },
      {
        kind: 'attach',
        ...consumer,
        isAutoAcknowledging: true,
        isExclusive: false,
        isPassive: true,
        priority: -7,
      },
      { kind: 'detach', ...consumer, keepsMessages: true, seen: 4 },
      { kind: 'receive', ...consumer, seen: 2 ** 44, credit: 0, waitMs: 9, leaseMs: 5 },
      { kind: 'acknowledge', level: 'committed', ...held },
      { kind: 'return', level: 'none', isRequeued: false, counts: true, ...held },
      { kind: 'release-owner', owner },
      { kind: 'extend', leaseMs: 60_000, ...held },
      { kind: 'purge' },
      { kind: 'stats' },
      { kind: 'check', isUnused: false, isEmpty: true },
    ];
    for (const command of commands) {
      const back = again(command);
      if ('runs' in command && 'runs' in back) {
        expect({ ...back, runs: rows(back.runs) }).toEqual({
          ...command,
          runs: rows(command.runs),
        });
      } else expect(back).toEqual(command);
    }
  });

  it('of any bytes never break a queue: they are refused, or mean what they say', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.integer({ min: 0, max: 10 }), fc.uint8Array({ maxLength: 40 }))
        .map(([kind, rest]) => Uint8Array.of(kind, ...rest)),
    );
    fc.assert(
      fc.property(fc.array(body, { maxLength: 12 }), (bodies) => {
        const h = new QueueHarness();
        h.attach(1);
        h.publish(20);
        h.fetch(1, 10);
        const behavior = h.behavior;
        bodies.forEach((each, i) => {
          const command = { token: 1_000_000 + i, body: each };
          const decision = behavior.decide(h.state, h.local, command, h.position());
          const told = { events: decision.events?.slice() ?? new Uint8Array(0), batch: undefined };
          if (decision.batch === undefined && decision.events !== undefined) {
            const at = { seq: h.endSeq + 1 + i, epoch: 1, logTimeMs: 1 };
            behavior.apply(h.state, { ...at, ...told, baseOffset: 20, nextOffset: 20 });
          }
        });
        behavior.snapshot(h.state);
        expect(h.state.floor).toBeLessThanOrEqual(20);
      }),
      { numRuns: 300 },
    );
  });

  it('that name too many messages are refused before anything is done', () => {
    const h = new QueueHarness({ commandMessagesMax: 100 });
    const runs = new Runs();
    runs.push(0, 101, 1);
    const token = h.send({ kind: 'acknowledge', level: 'none', epoch: 1, runs });
    expect(h.answer(token, 'count').outcome).toBe('bad-command');
    expect(QUEUE_DEFAULTS.commandMessagesMax).toBe(1_000_000);
    const trailing = Uint8Array.of(...encodeQueueCommand({ kind: 'stats' }), 0);
    const position = h.position();
    const decision = h.behavior.decide(h.state, h.local, { token: 99, body: trailing }, position);
    expect(decodeQueueAnswer(decision.replies![0]!.body).outcome).toBe('bad-command');
  });

  it('are as small as the wire format says', () => {
    const runs = new Runs();
    runs.add(1_000, 64, 500);
    const body = encodeQueueCommand({ kind: 'acknowledge', level: 'none', epoch: 1, runs });
    expect([...body]).toEqual([4, 0, 1, 1, 0xd0, 0x0f, 64, 0xe8, 0x07]);
    const asked = { ...NODE, seen: 5, credit: 100, waitMs: 0, leaseMs: 0 };
    const { seen, credit, waitMs, leaseMs } = asked;
    const receive = { owner: NODE, consumerId: 2, seen, credit, waitMs, leaseMs };
    expect([...encodeQueueCommand({ kind: 'receive', ...receive })]).toEqual([
      3, 1, 1, 2, 5, 100, 0, 0,
    ]);
  });
});

describe('answers', () => {
  it('come back from their bytes as they were', () => {
    const runs = someRuns();
    runs.push(900, 2, 4, 3, 1);
    const answers: QueueAnswer[] = [
      { kind: 'published', outcome: 'number-gap', offset: -1, expected: 2 ** 40 },
      { kind: 'attached', outcome: 'exclusive', epoch: 4, seen: 12 },
      { kind: 'deliveries', outcome: 'ok', epoch: 5, ready: 10_000_000, runs },
      { kind: 'settled', outcome: 'ok', count: 9, refused: [0, 3] },
      { kind: 'count', outcome: 'in-use', count: 5 },
      {
        kind: 'stats',
        outcome: 'ok',
        ready: 1,
        leased: 2,
        consumers: 3,
        waiting: 4,
        startOffset: 5,
        endOffset: 6,
        dropped: 7,
      },
    ];
    for (const answer of answers) {
      const back = decodeQueueAnswer(encodeQueueAnswer(answer));
      if (answer.kind === 'deliveries' && back.kind === 'deliveries') {
        expect(rows(back.runs)).toEqual(rows(answer.runs));
        expect({ ...back, runs: 0 }).toEqual({ ...answer, runs: 0 });
        expect(listOf(back.runs, 5)).toHaveLength(7);
      } else expect(back).toEqual(answer);
    }
  });

  it('of unknown kinds or outcomes are refused', () => {
    for (const bytes of [[99, 0], [0, 99], [4]]) {
      expect(() => decodeQueueAnswer(Uint8Array.from(bytes))).toThrow();
    }
  });
});
