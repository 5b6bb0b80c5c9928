// One decision of a group coordinator while it is being made: the replies and records it will consist
// of. All records of a decision go into one batch, so a decision is stored whole or not at all.
import type { Decision, DurableReply, ReplyLevel } from '../../actors/durable/behavior.ts';
import { encodeBatch, type RecordInput } from '../../records/records.ts';
import { encodeGroupAnswer, type GroupAnswer } from './answers.ts';
import type { GroupConfig } from './config.ts';
import { encodeLogIds, type GroupState } from './group-state.ts';
import { type GroupLocal, type LiveGroup, metadataOf } from './live-group.ts';
import {
  encodeCursorKey,
  encodeCursorValue,
  encodeGroupKey,
  encodeMembership,
  type StoredCursor,
} from './stored-records.ts';

export class GroupTurn {
  readonly config: GroupConfig;
  readonly state: GroupState;
  readonly local: GroupLocal;
  readonly nowMs: number;
  readonly #replies: DurableReply[] = [];
  readonly #records: RecordInput[] = [];
  readonly #logIds: number[] = [];

  constructor(config: GroupConfig, state: GroupState, local: GroupLocal, nowMs: number) {
    this.config = config;
    this.state = state;
    this.local = local;
    this.nowMs = nowMs;
  }

  reply(token: number, answer: GroupAnswer, level: ReplyLevel = 'none'): void {
    this.#replies.push({ token, level, body: encodeGroupAnswer(answer) });
  }

  storeCursor(group: string, cursor: StoredCursor): void {
    this.#record(
      encodeCursorKey(group, cursor.destination, cursor.partition),
      encodeCursorValue(cursor),
    );
    this.#logIds.push(cursor.logId);
  }

  dropCursor(group: string, cursor: StoredCursor): void {
    this.#record(encodeCursorKey(group, cursor.destination, cursor.partition), null);
    this.#logIds.push(cursor.logId);
  }

  /** Stores the group as it is now. */
  storeGroup(group: LiveGroup): void {
    const value = encodeMembership({
      protocolType: group.protocolType ?? '',
      generation: group.generation,
      protocol: group.protocol,
      leader: group.leader,
      sinceMs: group.sinceMs,
      members: [...group.members.values()].map((member) => ({
        ...member,
        subscription: metadataOf(member, group.protocol),
      })),
    });
    this.#record(encodeGroupKey(group.name), value);
  }

  dropGroup(name: string): void {
    this.#record(encodeGroupKey(name), null);
  }

  finish(): Decision {
    const replies = this.#replies;
    if (this.#records.length === 0) return { replies };
    const batch = encodeBatch(this.#records, this.config.crc32c);
    return { events: encodeLogIds(this.#logIds), batch, replies };
  }

  #record(key: Uint8Array, value: Uint8Array | null): void {
    this.#records.push({ timestampMs: this.nowMs, key, value });
  }
}
