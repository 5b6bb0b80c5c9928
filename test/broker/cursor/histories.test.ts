import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeGroupCommand,
  encodeGroupCommand,
  type GroupCommand,
} from '../../../src/broker/cursor/commands.ts';
import { equalBytes } from '../../../src/std/bytes.ts';
import { GroupHarness } from './harness.ts';

const MEMBERS = ['a', 'b', 'c'];

type Step =
  | { readonly kind: 'join' | 'sync' | 'heartbeat' | 'leave' | 'commit'; readonly who: string }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'move' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('join', 'sync', 'heartbeat', 'leave', 'commit'),
      who: fc.constantFrom(...MEMBERS),
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait'),
      ms: fc.constantFrom(60, 300, 4_000, 12_000),
    }) as fc.Arbitrary<Step>,
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'move' }) as fc.Arbitrary<Step> },
);

/** Every member keeps the generation it was last told, as a client does. */
function play(steps: readonly Step[]): { harness: GroupHarness; tokens: number[] } {
  const h = new GroupHarness({ cursorRetentionMs: 60_000, emptyGroupRetentionMs: 20_000 });
  const generations = new Map<string, number>();
  const joins = new Map<number, string>();
  const tokens: number[] = [];
  for (const each of steps) {
    if (each.kind === 'wait') h.advance(each.ms);
    else if (each.kind === 'move') h.failOver();
    else tokens.push(act(h, each.kind, each.who, generations, joins));
    for (const [token, who] of joins) {
      const answer = h.answers.get(token);
      if (answer?.kind !== 'join') continue;
      joins.delete(token);
      if (answer.outcome === 'ok') generations.set(who, answer.generation);
    }
    checkGroup(h);
  }
  return { harness: h, tokens };
}

function act(
  h: GroupHarness,
  kind: string,
  who: string,
  generations: Map<string, number>,
  joins: Map<number, string>,
): number {
  const generation = generations.get(who) ?? -1;
  const claim = { group: 'g', memberId: who, instanceId: undefined, generation };
  switch (kind) {
    case 'join': {
      const isMember = h.local.groups.get('g')?.members.has(who) === true;
      const token = h.join(who, { memberId: isMember ? who : '' });
      joins.set(token, who);
      return token;
    }
    case 'sync':
      return h.sync(who, generation, { a: 1, b: 2, c: 3 });
    case 'heartbeat':
      return h.send({ kind: 'heartbeat', ...claim });
    case 'leave':
      return h.send({
        kind: 'leave',
        group: 'g',
        members: [{ memberId: who, instanceId: undefined }],
      });
    default: {
      const cursor = {
        destination: 'd',
        partition: 0,
        logId: 1,
        offset: generation,
        leaderEpoch: -1,
        metadata: '',
      };
      return h.send({ kind: 'commit', ...claim, cursors: [cursor] });
    }
  }
}

function checkGroup(h: GroupHarness): void {
  const group = h.local.groups.get('g');
  if (group === undefined) return;
  if (group.phase === 'empty') expect(group.members.size).toBe(0);
  else expect(group.members.size).toBeGreaterThan(0);
  if (group.phase === 'stable' || group.phase === 'completing') {
    expect(group.members.has(group.leader!)).toBe(true);
    for (const member of group.members.values()) expect(member.joinToken).toBeUndefined();
  }
  if (group.phase === 'stable') {
    for (const member of group.members.values()) expect(member.syncToken).toBeUndefined();
  }
}

describe('random histories', () => {
  it('answer every token once, within bounded time, and end with nothing left', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { harness, tokens } = play(steps);
        // Without heartbeats everybody is gone after a session, every round closes, cursors expire.
        harness.advance(400_000);
        for (const token of tokens) expect(harness.answers.has(token)).toBe(true);
        expect(harness.state.groups.size).toBe(0);
        expect(harness.local.groups.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('give the same state from the log alone, frame by frame, as on the leader', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { harness } = play(steps);
        const replica = harness.behavior.initial();
        for (const frame of harness.frames) harness.behavior.apply(replica, frame);
        const ours = harness.behavior.snapshot(harness.state);
        expect(equalBytes(harness.behavior.snapshot(replica), ours)).toBe(true);
        const again = harness.behavior.restore(ours);
        expect(equalBytes(harness.behavior.snapshot(again), ours)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

describe('commands', () => {
  it('come back from their bytes as they were', () => {
    const commands: GroupCommand[] = [
      { kind: 'heartbeat', group: 'g', memberId: 'm', instanceId: 'i', generation: -1 },
      { kind: 'leave', group: 'g', members: [{ memberId: '', instanceId: 'i' }] },
      { kind: 'read', group: 'ü', cursors: undefined },
      { kind: 'read', group: 'g', cursors: [{ destination: 'd', partition: 3, logId: 2 ** 40 }] },
      { kind: 'describe', group: 'g' },
      { kind: 'list' },
      { kind: 'forget', logIds: [1, 2 ** 50] },
    ];
    for (const command of commands) {
      expect(decodeGroupCommand(encodeGroupCommand(command))).toEqual(command);
    }
  });

  it('of any bytes never break the coordinator: they are answered as bad commands or as what they say', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
        const h = new GroupHarness();
        h.take(h.behavior.decide(h.state, h.local, { token: 1, body }, h.position()));
        h.advance(1_000_000_000);
        expect(h.answers.has(1)).toBe(true);
      }),
    );
  });
});
