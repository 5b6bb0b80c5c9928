// A thread as inspection shows it, for tests of what is made of it: everything at rest but what is named.
import type { ActorInfo, ClassInfo, ThreadInfo } from '../../src/actors/inspect/snapshot.ts';

export function actorInfo(path: string, more: Partial<ActorInfo> = {}): ActorInfo {
  return {
    path,
    class: 'work',
    state: 'running',
    slot: 300,
    depth: 0,
    depthMax: 0,
    capacity: 1_024,
    handled: 0,
    failed: 0,
    restarts: 0,
    dropped: 0,
    stash: 0,
    timers: 0,
    asksOpen: 0,
    counts: {},
    facts: {},
    children: [],
    ...more,
  };
}

const NEVER = { samples: 0, meanMs: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 };

export function classInfo(name: string, more: Partial<ClassInfo> = {}): ClassInfo {
  return {
    name,
    spawned: 1,
    stopped: 0,
    failed: 0,
    restarted: 0,
    handled: 0,
    dropped: 0,
    depthMax: 0,
    wait: NEVER,
    handler: NEVER,
    actors: 1,
    depth: 0,
    stash: 0,
    timers: 0,
    asksOpen: 0,
    ...more,
  };
}

export function threadInfo(more: Partial<ThreadInfo> = {}): ThreadInfo {
  return {
    node: 1,
    thread: 0,
    threadCount: 1,
    incarnation: 1,
    atMs: 0,
    turns: 0,
    messages: 0,
    busyMs: 0,
    asksOpen: 0,
    asks: { asked: 0, answered: 0, failed: 0, timedOut: 0, late: 0, refused: 0 },
    timers: 0,
    classes: [],
    actors: [],
    omitted: {},
    busiest: [],
    slowMs: 50,
    slowHandlers: [],
    slowDrains: { count: 0, longestMs: 0, unattributed: 0 },
    failures: [],
    deadLetters: {
      total: 0,
      byReason: {
        full: 0,
        gone: 0,
        stopped: 0,
        failed: 0,
        dropped: 0,
        unreachable: 0,
        'thread-lost': 0,
        malformed: 0,
        'unknown-op': 0,
      },
      recent: [],
    },
    ...more,
  };
}
