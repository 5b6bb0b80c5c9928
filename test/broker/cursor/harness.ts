// Drives the group behavior as a host does: decides, applies the frame at the tip, lets time pass by
// ticks, and can move the leader by snapshot and promotion.
import type { Decision, FrameView } from '../../../src/actors/durable/behavior.ts';
import { decodeGroupAnswer, type GroupAnswer } from '../../../src/broker/cursor/answers.ts';
import { createGroupBehavior } from '../../../src/broker/cursor/behavior.ts';
import { encodeGroupCommand, type GroupCommand } from '../../../src/broker/cursor/commands.ts';
import { GROUP_DEFAULTS, type GroupConfig } from '../../../src/broker/cursor/config.ts';
import type { GroupState } from '../../../src/broker/cursor/group-state.ts';
import type { GroupLocal } from '../../../src/broker/cursor/live-group.ts';
import { recordCount } from '../../../src/records/batch.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

export class GroupHarness {
  readonly behavior;
  state: GroupState;
  local: GroupLocal;
  nowMs = 1_000_000;
  seq = 1;
  offset = 0;
  readonly frames: FrameView[] = [];
  readonly answers = new Map<number, GroupAnswer>();
  /** The store takes no frame: what is decided is not applied. */
  isFull = false;
  #token = 0;

  constructor(config: Partial<GroupConfig> = {}) {
    this.behavior = createGroupBehavior({ ...GROUP_DEFAULTS, crc32c, ...config });
    this.state = this.behavior.initial();
    this.local = this.behavior.promote(this.state, this.position());
  }

  position() {
    return {
      logId: 7,
      epoch: 1,
      logTimeMs: this.nowMs,
      endOffset: this.offset,
      committedOffset: this.offset,
      startOffset: 0,
      endSeq: this.seq - 1,
      committedSeq: this.seq - 1,
    };
  }

  /** Sends a command; the answer is in `answers` when it is given. */
  send(command: GroupCommand): number {
    this.#token += 1;
    const body = encodeGroupCommand(command);
    this.take(
      this.behavior.decide(this.state, this.local, { token: this.#token, body }, this.position()),
    );
    // The body was only lent.
    body.fill(0xdd);
    return this.#token;
  }

  ask<K extends GroupAnswer['kind']>(command: GroupCommand, kind: K) {
    return this.answer(this.send(command), kind);
  }

  answer<K extends GroupAnswer['kind']>(token: number, kind: K) {
    const answer = this.answers.get(token);
    if (answer === undefined) throw new Error(`token ${token} is not answered`);
    if (answer.kind !== kind) throw new Error(`answer is a ${answer.kind}, not a ${kind}`);
    return answer as Extract<GroupAnswer, { kind: K }>;
  }

  take(decision: Decision): void {
    const { batch } = decision;
    if (!this.isFull && (batch !== undefined || decision.events !== undefined)) {
      const baseOffset = this.offset;
      if (batch !== undefined) this.offset += recordCount(batch, 0);
      const frame: FrameView = {
        seq: this.seq++,
        epoch: 1,
        logTimeMs: this.nowMs,
        events: decision.events ?? new Uint8Array(0),
        batch,
        baseOffset,
        nextOffset: this.offset,
      };
      this.frames.push({
        ...frame,
        events: frame.events.slice(),
        batch: batch?.slice(),
      });
      this.behavior.apply(this.state, frame);
    }
    for (const reply of decision.replies ?? []) {
      if (this.answers.has(reply.token)) throw new Error(`token ${reply.token} answered twice`);
      this.answers.set(reply.token, decodeGroupAnswer(reply.body));
    }
  }

  /** Lets time pass, running ticks when they are due. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let i = 0; i < 10_000; i += 1) {
      const dueMs = this.behavior.nextDueMs(this.state, this.local);
      if (dueMs === undefined || dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.take(this.behavior.tick(this.state, this.local, this.position()));
    }
    this.nowMs = untilMs;
  }

  /** The leader dies: what it had is lost but the log. */
  failOver(): void {
    for (const reply of this.behavior.demote(this.local)) {
      this.answers.set(reply.token, decodeGroupAnswer(reply.body));
    }
    this.state = this.behavior.restore(this.behavior.snapshot(this.state));
    this.local = this.behavior.promote(this.state, this.position());
  }

  join(member: string, more: Partial<Extract<GroupCommand, { kind: 'join' }>> = {}): number {
    return this.send({
      kind: 'join',
      group: 'g',
      memberId: '',
      freshMemberId: member,
      instanceId: undefined,
      clientId: 'client',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Uint8Array.of(1, 2, 3) }],
      needsKnownId: false,
      canSkipAssignment: false,
      ...more,
    });
  }

  sync(memberId: string, generation: number, assignments: Record<string, number> = {}): number {
    return this.send({
      kind: 'sync',
      group: 'g',
      memberId,
      instanceId: undefined,
      generation,
      protocolType: 'consumer',
      protocol: 'range',
      assignments: Object.entries(assignments).map(([id, byte]) => ({
        memberId: id,
        assignment: Uint8Array.of(byte),
      })),
    });
  }

  heartbeat(memberId: string, generation: number) {
    return this.ask(
      { kind: 'heartbeat', group: 'g', memberId, instanceId: undefined, generation },
      'plain',
    ).outcome;
  }

  leave(memberId: string) {
    return this.ask(
      { kind: 'leave', group: 'g', members: [{ memberId, instanceId: undefined }] },
      'plain',
    ).each;
  }

  commit(memberId: string, generation: number, offset: number, logId = 100) {
    const cursor = {
      destination: 'orders',
      partition: 2,
      logId,
      offset,
      leaderEpoch: 5,
      metadata: 'm',
    };
    return this.ask(
      {
        kind: 'commit',
        group: 'g',
        memberId,
        instanceId: undefined,
        generation,
        cursors: [cursor],
      },
      'plain',
    );
  }

  read(logId = 100) {
    const key = { destination: 'orders', partition: 2, logId };
    return this.ask({ kind: 'read', group: 'g', cursors: [key] }, 'read').cursors[0]!;
  }

  /** Two members 'a' (leader) and 'b' in generation 1 with assignments 1 and 2. */
  stablePair(): void {
    this.join('a');
    this.join('b');
    this.advance(250);
    this.sync('b', 1);
    this.sync('a', 1, { a: 1, b: 2 });
  }
}
