import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../../src/std/bytes.ts';
import { GroupHarness } from './harness.ts';

describe('rounds', () => {
  it('two members that start together share one generation and get their own assignments', () => {
    const h = new GroupHarness();
    const a = h.join('a');
    h.advance(50);
    const b = h.join('b');
    expect(h.answers.has(a)).toBe(false);
    h.advance(250);
    const first = h.answer(a, 'join');
    expect(first).toMatchObject({ outcome: 'ok', generation: 1, leader: 'a', protocol: 'range' });
    expect(first.members.map((m) => m.memberId)).toEqual(['a', 'b']);
    expect(h.answer(b, 'join')).toMatchObject({ generation: 1, leader: 'a', members: [] });
    const syncB = h.sync('b', 1);
    expect(h.answers.has(syncB)).toBe(false);
    const syncA = h.sync('a', 1, { a: 1, b: 2 });
    expect([...h.answer(syncA, 'sync').assignment]).toEqual([1]);
    expect([...h.answer(syncB, 'sync').assignment]).toEqual([2]);
    expect(h.heartbeat('a', 1)).toBe('ok');
  });

  it('a third member makes the others rebalance, and whoever stays away is out', () => {
    const h = new GroupHarness();
    h.stablePair();
    const c = h.join('c');
    expect(h.heartbeat('a', 1)).toBe('rebalancing');
    const a = h.join('a', { memberId: 'a' });
    h.advance(9_700);
    expect(h.answers.has(c)).toBe(false);
    // b never came back: its session of 10 s ends the round long before 30 s.
    h.advance(301);
    expect(h.answer(a, 'join').members.map((m) => m.memberId)).toEqual(['a', 'c']);
    expect(h.answer(c, 'join').generation).toBe(2);
    expect(h.heartbeat('b', 1)).toBe('unknown-member');
  });

  it('leaving rebalances the rest, and the last one out leaves an empty stored group', () => {
    const h = new GroupHarness();
    h.stablePair();
    expect(h.leave('a')).toEqual(['ok']);
    expect(h.heartbeat('b', 1)).toBe('rebalancing');
    const b = h.join('b', { memberId: 'b' });
    expect(h.answer(b, 'join')).toMatchObject({ generation: 2, leader: 'b' });
    h.sync('b', 2, { b: 9 });
    h.leave('b');
    expect(h.state.groups.get('g')?.membership).toMatchObject({ generation: 3, members: [] });
    expect(h.leave('b')).toEqual(['unknown-member']);
  });

  it('a member without an id is told one and must come back with it', () => {
    const h = new GroupHarness();
    const first = h.answer(h.join('a', { needsKnownId: true }), 'join');
    expect(first).toMatchObject({ outcome: 'member-id-required', memberId: 'a' });
    const second = h.join('x', { memberId: 'a', needsKnownId: true });
    h.advance(250);
    expect(h.answer(second, 'join')).toMatchObject({ outcome: 'ok', memberId: 'a' });
    expect(h.answer(h.join('y', { memberId: 'stranger' }), 'join').outcome).toBe('unknown-member');
  });

  it('a given id that never comes back holds up the round no longer than its session', () => {
    const h = new GroupHarness();
    h.stablePair();
    h.join('late', { needsKnownId: true });
    const a = h.join('a', {
      memberId: 'a',
      protocols: [{ name: 'range', metadata: Uint8Array.of(9) }],
    });
    const b = h.join('b', { memberId: 'b' });
    expect(h.answers.has(a)).toBe(false);
    h.advance(10_001);
    expect(h.answer(a, 'join').generation).toBe(2);
    expect(h.answer(b, 'join').generation).toBe(2);
  });

  it('the wrong generation, protocol and session time are refused by name', () => {
    const h = new GroupHarness();
    h.stablePair();
    expect(h.heartbeat('a', 7)).toBe('wrong-generation');
    expect(h.answer(h.sync('a', 0), 'sync').outcome).toBe('wrong-generation');
    const other = [{ name: 'sticky', metadata: Uint8Array.of(1) }];
    expect(h.answer(h.join('c', { protocols: other }), 'join').outcome).toBe(
      'inconsistent-protocol',
    );
    expect(h.answer(h.join('c', { protocolType: 'connect' }), 'join').outcome).toBe(
      'inconsistent-protocol',
    );
    expect(h.answer(h.join('c', { sessionTimeoutMs: 1 }), 'join').outcome).toBe(
      'bad-session-timeout',
    );
    expect(h.answer(h.join('c', { group: '' }), 'join').outcome).toBe('bad-group');
  });

  it('members that joined but never sync are removed when their time is up', () => {
    const h = new GroupHarness();
    h.join('a', { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 6_000 });
    h.join('b', { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 6_000 });
    h.advance(250);
    const sync = h.sync('a', 1, { a: 1 });
    expect(h.answer(sync, 'sync').outcome).toBe('ok');
    h.advance(6_001);
    expect(h.heartbeat('b', 1)).toBe('unknown-member');
    expect(h.heartbeat('a', 1)).toBe('rebalancing');
  });

  it('the grace of a first round starts again for each newcomer', () => {
    const h = new GroupHarness({ initialRebalanceDelayMs: 100 });
    const a = h.join('a');
    h.advance(90);
    h.join('b');
    h.advance(60);
    expect(h.answers.has(a)).toBe(false);
    h.join('c');
    h.advance(200);
    expect(h.answer(a, 'join').members.map((m) => m.memberId)).toEqual(['a', 'b', 'c']);
  });

  it('a full group refuses one more', () => {
    const h = new GroupHarness({ membersMax: 2 });
    h.stablePair();
    expect(h.answer(h.join('c'), 'join').outcome).toBe('group-full');
  });

  it('the protocol most members prefer among the common ones is chosen', () => {
    const h = new GroupHarness();
    const speak = (...names: string[]) =>
      names.map((name) => ({ name, metadata: Uint8Array.of(1) }));
    const a = h.join('a', { protocols: speak('x', 'y', 'z') });
    h.join('b', { protocols: speak('y', 'x') });
    h.join('c', { protocols: speak('y', 'x', 'q') });
    h.advance(500);
    expect(h.answer(a, 'join').protocol).toBe('y');
  });
});

describe('instances', () => {
  it('a restarted instance keeps its place without a round, and its former self is fenced', () => {
    const h = new GroupHarness();
    h.join('a', { instanceId: 'i' });
    h.join('b');
    h.advance(250);
    h.sync('b', 1);
    h.send({
      kind: 'sync',
      group: 'g',
      memberId: 'a',
      instanceId: 'i',
      generation: 1,
      protocolType: undefined,
      protocol: undefined,
      assignments: [
        { memberId: 'a', assignment: Uint8Array.of(1) },
        { memberId: 'b', assignment: Uint8Array.of(2) },
      ],
    });
    const again = h.answer(h.join('a2', { instanceId: 'i' }), 'join');
    expect(again).toMatchObject({ outcome: 'ok', memberId: 'a2', generation: 1, leader: 'a' });
    expect(h.heartbeat('b', 1)).toBe('ok');
    const old = h.ask(
      { kind: 'heartbeat', group: 'g', memberId: 'a', instanceId: 'i', generation: 1 },
      'plain',
    );
    expect(old.outcome).toBe('fenced-instance');
    const sync = h.sync('a2', 1);
    expect([...h.answer(sync, 'sync').assignment]).toEqual([1]);
    const skipping = h.answer(h.join('a3', { instanceId: 'i', canSkipAssignment: true }), 'join');
    expect(skipping).toMatchObject({ skipAssignment: true, leader: 'a3' });
    expect(skipping.members.length).toBe(2);
  });

  it('an instance that misses a round stays a member, but somebody present leads', () => {
    const h = new GroupHarness();
    const patient = { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 6_000 };
    h.join('a', { instanceId: 'i', ...patient });
    h.join('b', patient);
    h.advance(250);
    expect(h.local.groups.get('g')).toMatchObject({ phase: 'completing', leader: 'a' });
    const b = h.join('b', {
      memberId: 'b',
      ...patient,
      protocols: [{ name: 'range', metadata: Uint8Array.of(9) }],
    });
    h.advance(5_999);
    expect(h.answers.has(b)).toBe(false);
    h.advance(2);
    const answer = h.answer(b, 'join');
    expect(answer).toMatchObject({ generation: 2, leader: 'b' });
    expect(answer.members.map((m) => m.memberId)).toEqual(['a', 'b']);
  });

  it('leaving by instance id alone works', () => {
    const h = new GroupHarness();
    h.join('a', { instanceId: 'i' });
    h.advance(250);
    const left = h.ask(
      {
        kind: 'leave',
        group: 'g',
        members: [
          { memberId: '', instanceId: 'i' },
          { memberId: 'q', instanceId: 'j' },
        ],
      },
      'plain',
    );
    expect(left.each).toEqual(['ok', 'unknown-member']);
  });
});

describe('cursors', () => {
  it('a member commits in its generation only, a stranger only while nobody is there', () => {
    const h = new GroupHarness();
    expect(h.commit('', -1, 10).each).toEqual(['ok']);
    expect(h.read()).toMatchObject({ offset: 10, leaderEpoch: 5, metadata: 'm' });
    h.stablePair();
    expect(h.commit('', -1, 11).outcome).toBe('unknown-member');
    expect(h.commit('a', 0, 11).outcome).toBe('wrong-generation');
    expect(h.commit('a', 1, 12).outcome).toBe('ok');
    expect(h.read().offset).toBe(12);
    h.join('c');
    h.join('a', { memberId: 'a' });
    h.join('b', { memberId: 'b' });
    expect(h.commit('a', 2, 13).outcome).toBe('rebalancing');
  });

  it('a destination made again under the same name has no cursor', () => {
    const h = new GroupHarness();
    h.commit('', -1, 10, 100);
    expect(h.read(200).offset).toBe(-1);
    h.commit('', -1, 3, 200);
    expect(h.read(200).offset).toBe(3);
    expect(h.read(100).offset).toBe(-1);
  });

  it('metadata beyond the limit is refused for its cursor only', () => {
    const h = new GroupHarness({ metadataBytesMax: 3 });
    const cursor = (partition: number, metadata: string) => ({
      destination: 'd',
      partition,
      logId: partition,
      offset: 1,
      leaderEpoch: -1,
      metadata,
    });
    const answer = h.ask(
      {
        kind: 'commit',
        group: 'g',
        memberId: '',
        instanceId: undefined,
        generation: -1,
        cursors: [cursor(1, 'abc'), cursor(2, 'äb!')],
      },
      'plain',
    );
    expect(answer.each).toEqual(['ok', 'metadata-too-large']);
    expect(h.ask({ kind: 'read', group: 'g', cursors: undefined }, 'read').cursors.length).toBe(1);
  });

  it('cursors outlive their group by the retention and then the group is forgotten', () => {
    const h = new GroupHarness({ cursorRetentionMs: 100_000, emptyGroupRetentionMs: 20_000 });
    h.stablePair();
    h.commit('a', 1, 12);
    for (let i = 0; i < 40; i += 1) {
      h.advance(5_000);
      h.heartbeat('a', 1);
      h.heartbeat('b', 1);
    }
    expect(h.read().offset).toBe(12);
    h.leave('a');
    h.leave('b');
    h.advance(99_999);
    expect(h.read().offset).toBe(12);
    h.advance(2);
    expect(h.read().offset).toBe(-1);
    expect(h.state.groups.size).toBe(0);
    expect(h.ask({ kind: 'list' }, 'list').groups).toEqual([]);
    h.advance(60_000);
    expect(h.local.groups.size).toBe(0);
    expect(h.behavior.nextDueMs(h.state, h.local)).toBeUndefined();
  });

  it('an expiry that the store refuses is decided again, until it is stored', () => {
    const h = new GroupHarness({ cursorRetentionMs: 100_000, emptyGroupRetentionMs: 20_000 });
    h.stablePair();
    h.commit('a', 1, 12);
    h.leave('a');
    h.leave('b');
    h.commit('', -1, 3, 200);
    h.isFull = true;
    h.advance(300_000);
    expect(h.state.groups.size).toBe(1);
    h.isFull = false;
    const { seq } = h;
    h.advance(60_000);
    expect(h.state.groups.size).toBe(0);
    expect(h.local.groups.size).toBe(0);
    // One frame was enough; nothing is decided any more.
    expect(h.seq).toBe(seq + 1);
    expect(h.behavior.nextDueMs(h.state, h.local)).toBeUndefined();
  });

  it('a removed log takes its cursors along', () => {
    const h = new GroupHarness();
    h.commit('', -1, 10, 100);
    h.send({ kind: 'forget', logIds: [100] });
    expect(h.read().offset).toBe(-1);
  });
});

describe('a move of the coordinator', () => {
  it('keeps members and cursors, restarts sessions at full length, and tells who waits', () => {
    const h = new GroupHarness();
    h.stablePair();
    h.commit('a', 1, 12);
    h.advance(9_000);
    const waiting = h.join('c');
    h.failOver();
    expect(h.answer(waiting, 'join').outcome).toBe('moved');
    h.advance(9_000);
    expect(h.heartbeat('a', 1)).toBe('ok');
    expect(h.read().offset).toBe(12);
    h.advance(1_001);
    expect(h.heartbeat('b', 1)).toBe('unknown-member');
  });

  it('a round that was open is forgotten: its members are asked to join again', () => {
    const h = new GroupHarness();
    h.join('a');
    h.advance(250);
    h.failOver();
    expect(h.heartbeat('a', 1)).toBe('unknown-member');
  });

  it('the snapshot of equal states is equal, whatever order they came in', () => {
    const one = new GroupHarness();
    one.commit('', -1, 1, 100);
    one.send({
      kind: 'commit',
      group: 'b',
      memberId: '',
      instanceId: undefined,
      generation: -1,
      cursors: [
        { destination: 'x', partition: 0, logId: 3, offset: 1, leaderEpoch: -1, metadata: '' },
      ],
    });
    const two = new GroupHarness();
    two.send({
      kind: 'commit',
      group: 'b',
      memberId: '',
      instanceId: undefined,
      generation: -1,
      cursors: [
        { destination: 'x', partition: 0, logId: 3, offset: 1, leaderEpoch: -1, metadata: '' },
      ],
    });
    two.commit('', -1, 1, 100);
    const a = one.behavior.snapshot(one.state);
    const b = two.behavior.snapshot(two.state);
    expect(equalBytes(a, b)).toBe(true);
    expect(equalBytes(one.behavior.snapshot(one.behavior.restore(a)), a)).toBe(true);
  });
});

describe('looking', () => {
  it('describes and lists what is there, and says what is not', () => {
    const h = new GroupHarness();
    h.stablePair();
    const described = h.ask({ kind: 'describe', group: 'g' }, 'describe');
    expect(described).toMatchObject({
      phase: 'stable',
      protocolType: 'consumer',
      protocol: 'range',
    });
    expect(described.members.map((m) => [...m.assignment])).toEqual([[1], [2]]);
    expect(h.ask({ kind: 'describe', group: 'no' }, 'describe').outcome).toBe('group-not-found');
    expect(h.ask({ kind: 'list' }, 'list').groups).toEqual([
      { group: 'g', protocolType: 'consumer', phase: 'stable' },
    ]);
  });
});
