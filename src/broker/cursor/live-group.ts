// The leader's soft side of the groups of one log: who is a member now, who waits for what, and until
// when. Starts from the stored memberships at every promotion, with every session at full length, so
// that a move of the coordinator never expires a member early.
//
//   empty ──join──▶ preparing ──all joined or time──▶ completing ──leader's sync──▶ stable
//     ▲                 ▲ │ (nobody left)                  │ join, leave, expiry       │
//     └─────────────────┼─┘ ◀──────────────────────────────┴───────────────────────────┘
import { Heap } from '../../std/heap.ts';
import type { GroupPhase } from './answers.ts';
import type { MemberProtocol } from './commands.ts';
import type { GroupState, StoredGroup } from './group-state.ts';

export interface LiveMember {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly MemberProtocol[];
  assignment: Uint8Array;
  /** Log time at which the member is gone unless heard of. */
  deadlineMs: number;
  /** It has joined and was not yet in a generation. */
  isNew: boolean;
  joinToken: number | undefined;
  syncToken: number | undefined;
}

export interface LiveGroup {
  readonly name: string;
  phase: GroupPhase;
  sinceMs: number;
  generation: number;
  protocolType: string | undefined;
  protocol: string | undefined;
  leader: string | undefined;
  /** In order of joining. */
  readonly members: Map<string, LiveMember>;
  /** Member id by instance id. */
  readonly instances: Map<string, string>;
  /** Ids given out to members that must come back with them, and until when. */
  readonly pending: Map<string, number>;
  /** preparing: when the round closes. */
  joinDueMs: number;
  /** preparing: the first round of an empty group waits for company; what is left of that patience. */
  graceLeftMs: number;
  isInGrace: boolean;
  hasNewcomer: boolean;
  /** completing and stable: members that have not fetched their assignment, and until when they may. */
  readonly unsynced: Set<string>;
  syncDueMs: number;
  /** The earliest entry in the schedule that counts; Infinity when there is none. */
  scheduledMs: number;
}

interface Due {
  readonly dueMs: number;
  readonly group: LiveGroup;
}

export class GroupLocal {
  readonly groups = new Map<string, LiveGroup>();
  readonly #due = new Heap<Due>((a, b) => a.dueMs - b.dueMs);

  /** The group by name, made if missing. */
  group(name: string, nowMs: number): LiveGroup {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = emptyLiveGroup(name, nowMs);
      this.groups.set(name, group);
    }
    return group;
  }

  /** Makes sure that the group is looked at by `dueMs`. Entries that became too early are harmless. */
  schedule(group: LiveGroup, dueMs: number): void {
    if (dueMs >= group.scheduledMs) return;
    group.scheduledMs = dueMs;
    this.#due.push({ dueMs, group });
  }

  nextDueMs(): number | undefined {
    this.#dropStale();
    return this.#due.peek()?.dueMs;
  }

  /** Takes the next group whose time has come. */
  takeDue(nowMs: number): LiveGroup | undefined {
    this.#dropStale();
    const first = this.#due.peek();
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.#due.pop();
    first.group.scheduledMs = Number.POSITIVE_INFINITY;
    return first.group;
  }

  #dropStale(): void {
    for (;;) {
      const first = this.#due.peek();
      if (first === undefined) return;
      const isCurrent =
        first.dueMs === first.group.scheduledMs &&
        this.groups.get(first.group.name) === first.group;
      if (isCurrent) return;
      this.#due.pop();
    }
  }
}

function emptyLiveGroup(name: string, nowMs: number): LiveGroup {
  return {
    name,
    phase: 'empty',
    sinceMs: nowMs,
    generation: 0,
    protocolType: undefined,
    protocol: undefined,
    leader: undefined,
    members: new Map(),
    instances: new Map(),
    pending: new Map(),
    joinDueMs: Number.POSITIVE_INFINITY,
    graceLeftMs: 0,
    isInGrace: false,
    hasNewcomer: false,
    unsynced: new Set(),
    syncDueMs: Number.POSITIVE_INFINITY,
    scheduledMs: Number.POSITIVE_INFINITY,
  };
}

/** Soft state of a new leader. */
export function promoteGroups(state: GroupState, nowMs: number): GroupLocal {
  const local = new GroupLocal();
  for (const stored of state.groups.values()) {
    const group = local.group(stored.name, nowMs);
    restoreMembers(group, stored, nowMs);
    // The first look decides what is due when; it must not come before anything could be.
    local.schedule(group, firstLookMs(group, nowMs));
  }
  return local;
}

function firstLookMs(group: LiveGroup, nowMs: number): number {
  let dueMs = Number.POSITIVE_INFINITY;
  for (const member of group.members.values()) dueMs = Math.min(dueMs, member.deadlineMs);
  return group.members.size === 0 ? nowMs : dueMs;
}

function restoreMembers(group: LiveGroup, stored: StoredGroup, nowMs: number): void {
  const membership = stored.membership;
  if (membership === undefined) return;
  group.generation = membership.generation;
  group.protocolType = membership.protocolType;
  group.protocol = membership.protocol;
  group.leader = membership.leader;
  group.sinceMs = membership.sinceMs;
  group.phase = membership.members.length === 0 ? 'empty' : 'stable';
  for (const member of membership.members) {
    group.members.set(member.memberId, {
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      sessionTimeoutMs: member.sessionTimeoutMs,
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      protocols: [{ name: membership.protocol ?? '', metadata: member.subscription }],
      assignment: member.assignment,
      deadlineMs: nowMs + member.sessionTimeoutMs,
      isNew: false,
      joinToken: undefined,
      syncToken: undefined,
    });
    if (member.instanceId !== undefined) group.instances.set(member.instanceId, member.memberId);
  }
}

/** The subscription of a member under the chosen protocol. */
export function metadataOf(member: LiveMember, protocol: string | undefined): Uint8Array {
  for (const candidate of member.protocols) {
    if (candidate.name === protocol) return candidate.metadata;
  }
  return new Uint8Array(0);
}

/** The protocol that all members speak and most prefer; the first named wins a tie. */
export function selectProtocol(members: ReadonlyMap<string, LiveMember>): string | undefined {
  const votes = new Map<string, number>();
  for (const name of commonProtocols(members)) votes.set(name, 0);
  for (const member of members.values()) {
    const vote = member.protocols.find((protocol) => votes.has(protocol.name));
    if (vote !== undefined) votes.set(vote.name, votes.get(vote.name)! + 1);
  }
  let chosen: string | undefined;
  for (const [name, count] of votes) {
    if (chosen === undefined || count > votes.get(chosen)!) chosen = name;
  }
  return chosen;
}

/** Names that every member speaks, in the order of the first member. */
export function commonProtocols(members: ReadonlyMap<string, LiveMember>): string[] {
  let common: string[] | undefined;
  for (const member of members.values()) {
    const names = member.protocols.map((protocol) => protocol.name);
    common = common === undefined ? names : common.filter((name) => names.includes(name));
  }
  return common ?? [];
}
