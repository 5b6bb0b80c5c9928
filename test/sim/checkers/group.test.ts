// The checker of the metadata group: a good history passes, and each rule is broken once.
import { describe, expect, test } from 'vitest';
import { GroupChecker, type PeerProbe } from '../../../src/sim/checkers/group.ts';

/** Terms by index, from 1. */
function peer(node: number, terms: readonly number[], more: Partial<PeerProbe> = {}): PeerProbe {
  return {
    node: `n${node}`,
    life: 1,
    peer: node,
    role: 'follower',
    term: terms.at(-1) ?? 0,
    commit: 0,
    lastIndex: terms.length,
    durableIndex: terms.length,
    durableTerm: terms.at(-1) ?? 0,
    durableVote: 0,
    configuration: { voters: [1, 2, 3], outgoing: [] },
    progress: new Map(),
    termAt: (index) => terms[index - 1],
    ...more,
  };
}

const leader = { role: 'leader' } as const;

function after(...moments: (readonly PeerProbe[])[]): string | undefined {
  const checker = new GroupChecker();
  for (const probes of moments) {
    const found = checker.observe(probes);
    if (found !== undefined) return found.check;
  }
  return undefined;
}

describe('a group that keeps the rules', () => {
  test('passes: a leader, its death, another one that goes on', () => {
    const progress = new Map([[2, { match: 2 }]]);
    const first = [
      peer(1, [1, 1], { ...leader, commit: 2, progress, durableVote: 1 }),
      peer(2, [1, 1], { commit: 1, durableVote: 1 }),
      peer(3, [1]),
    ];
    const second = [
      peer(2, [1, 1, 2], { ...leader, commit: 3, durableVote: 2 }),
      peer(3, [1, 1, 2], { commit: 2, durableVote: 2 }),
    ];
    const checker = new GroupChecker();
    expect(checker.observe(first)).toBeUndefined();
    expect(checker.observe(second)).toBeUndefined();
    expect(checker.entriesChecked).toBe(3);
  });

  test('a new name of a node owes nothing of what the old one voted', () => {
    const before = [peer(3, [1], { durableVote: 1 })];
    expect(after(before, [peer(3, [1], { peer: 33, durableVote: 2 })])).toBeUndefined();
  });

  test('what is compacted is taken for held', () => {
    const before = [peer(1, [1, 1], { ...leader, commit: 2 }), peer(2, [1, 1])];
    const compacted = (index: number) => (index === 3 ? 2 : undefined);
    const next = peer(2, [1, 1, 2], { ...leader, commit: 2, termAt: compacted });
    expect(after(before, [next])).toBeUndefined();
  });
});

describe('a rule that is broken is found', () => {
  test('two-leaders', () => {
    expect(after([peer(1, [1], leader)], [peer(2, [1], leader)])).toBe('group/two-leaders');
    const again = peer(1, [1], { ...leader, life: 2 });
    expect(after([peer(1, [1], leader)], [again])).toBe('group/two-leaders');
  });

  test('vote', () => {
    const before = [peer(3, [1], { durableVote: 1 })];
    expect(after(before, [peer(3, [1], { life: 2, durableVote: 2 })])).toBe('group/vote');
    expect(after(before, [peer(3, [1], { life: 2 })])).toBe('group/vote');
    // In a later term it has not voted yet.
    expect(after(before, [peer(3, [1], { life: 2, durableTerm: 2 })])).toBeUndefined();
  });

  test('committed', () => {
    const before = [peer(1, [1, 1], { commit: 2 })];
    expect(after(before, [peer(2, [1, 2], { commit: 2 })])).toBe('group/committed');
  });

  test('lacks-committed', () => {
    const before = [peer(1, [1, 1], { ...leader, commit: 2 }), peer(2, [1, 1])];
    const short = peer(3, [1], { ...leader, term: 2, commit: 1 });
    expect(after(before, [short])).toBe('group/lacks-committed');
    const other = peer(3, [1, 2], { ...leader, commit: 1 });
    expect(after(before, [other])).toBe('group/lacks-committed');
  });

  test('acknowledged', () => {
    const progress = new Map([[2, { match: 2 }]]);
    const first = peer(1, [1, 1], { ...leader, progress });
    expect(after([first, peer(2, [1, 1], { durableIndex: 1 })])).toBe('group/acknowledged');
    expect(after([first, peer(2, [1, 1], { durableIndex: 1, term: 2 })])).toBeUndefined();
  });

  test('few-disks', () => {
    const first = peer(1, [1, 1], { ...leader, commit: 2, durableIndex: 1 });
    expect(after([first, peer(2, [1, 1]), peer(3, [1])])).toBe('group/few-disks');
    // Who is down may hold it.
    expect(after([first, peer(2, [1, 1])])).toBeUndefined();
  });

  test('old-term', () => {
    const before = [peer(1, [1, 1, 2], { ...leader, commit: 1 }), peer(2, [1, 1])];
    const next = [peer(1, [1, 1, 2], { ...leader, commit: 2 }), peer(2, [1, 1])];
    expect(after(before, next)).toBe('group/old-term');
  });
});
