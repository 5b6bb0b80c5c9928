// The player of scripts over bare nodes: deeds happen to whom the cast says, are undone, and each expectation can fail.
import { describe, expect, test } from 'vitest';
import type { FaultScript } from '../../../src/sim/faults/script.ts';
import { ScriptPlayer } from '../../../src/sim/faults/script-player.ts';
import type { SimNode } from '../../../src/sim/node.ts';
import { inWorld } from '../../../src/sim/runner.ts';
import { scenarios } from '../../../src/sim/scenarios/index.ts';
import { stories } from '../../../src/sim/scenarios/stories/index.ts';
import type { World } from '../../../src/sim/world.ts';

interface Told {
  readonly player: ScriptPlayer;
  readonly world: World;
  readonly nodes: readonly SimNode[];
  readonly found: string | undefined;
}

interface Played {
  /** Nodes that lead, one after the other, from the times on. */
  readonly controllers?: readonly (readonly [number, number])[];
  readonly acknowledged?: (nowMs: number) => number;
  readonly isWhole?: () => boolean;
  readonly look?: (world: World, nodes: readonly SimNode[]) => void;
  readonly lookAtMs?: number;
}

function play(script: FaultScript, seed: number, played: Played = {}): Promise<Told> {
  return inWorld(seed, { buggify: false }, async (world) => {
    const nodes = [1, 2, 3].map((id) => world.node(`n${id}`));
    world.node('c1', 'client');
    const boot = (node: SimNode) => {
      node.start();
    };
    for (const node of nodes) boot(node);
    const { controllers = [[0, 1]], isWhole = () => true } = played;
    const player = new ScriptPlayer(world, script, {
      boot,
      isWhole,
      whois: () => nodes[controllers.filter(([atMs]) => atMs <= world.nowMs).at(-1)![1] - 1],
      acknowledged: () => played.acknowledged?.(world.nowMs) ?? world.nowMs,
    });
    player.start();
    if (played.look !== undefined) {
      world.afterMs(played.lookAtMs ?? 500, () => played.look!(world, nodes));
    }
    await world.runUntil(150_000, () => player.isDone);
    player.heal();
    return { player, world, nodes, found: world.failure?.check };
  });
}

const once = (deeds: FaultScript['deeds'], expects: FaultScript['expects'] = []): FaultScript => ({
  cast: 'controller',
  deeds,
  expects,
  rounds: 1,
});

describe('deeds', () => {
  test('a node that is killed is down for that long, and comes back', async () => {
    let wasUp = true;
    const script = once([{ deed: 'kill', whom: ['a'], atMs: 100, forMs: 2_000 }]);
    const look = (_: World, nodes: readonly SimNode[]) => {
      wasUp = nodes[0]!.isUp;
    };
    const { nodes, found, player } = await play(script, 1, { look });
    expect(found).toBeUndefined();
    expect(wasUp).toBe(false);
    expect(nodes.map(({ isUp, starts }) => [isUp, starts])).toEqual([
      [true, 2],
      [true, 1],
      [true, 1],
    ]);
    expect(player.deeds).toBe(1);
  });

  test('a way is cut in the one direction that is named, and mended', async () => {
    const cuts: boolean[] = [];
    const script = once([{ deed: 'cut', ways: ['a>b', 'a>c'], atMs: 0, forMs: 3_000 }]);
    const look = ({ network }: World, [a, b]: readonly SimNode[]) => {
      cuts.push(network.link(a!.host, b!.host).passes, network.link(b!.host, a!.host).passes);
    };
    const { world, nodes } = await play(script, 2, { look });
    expect(cuts).toEqual([false, true]);
    expect(world.network.link(nodes[0]!.host, nodes[1]!.host).passes).toBe(true);
  });

  test('a seed draws who is b, and how fast it goes', async () => {
    const script = once([{ deed: 'kill', whom: ['b'], atMs: 0, forMs: 100 }]);
    const lines = new Set<string>();
    for (let seed = 1; seed <= 6; seed += 1) {
      const { player } = await play(script, seed);
      lines.add(player.timeline()[0]!.split('round')[1]!);
    }
    expect(lines.size).toBe(2);
  });

  test('a cluster that is never whole fails the run', async () => {
    const { found } = await play(once([]), 3, { isWhole: () => false });
    expect(found).toBe('script/unplayed');
  });
});

describe('expectations', () => {
  const window = { fromMs: 100, toMs: 1_100 };

  test('serves: fails where nothing is acknowledged', async () => {
    const script = once([], [{ what: 'serves', ...window }]);
    expect((await play(script, 4)).found).toBeUndefined();
    expect((await play(script, 4, { acknowledged: () => 7 })).found).toBe('script/serves');
  });

  test('refuses: fails where something is', async () => {
    const script = once([], [{ what: 'refuses', ...window }]);
    expect((await play(script, 5, { acknowledged: () => 7 })).found).toBeUndefined();
    expect((await play(script, 5)).found).toBe('script/refuses');
  });

  test('same-controller: fails where another one leads', async () => {
    const script = once([], [{ what: 'same-controller', ...window }]);
    expect((await play(script, 6)).found).toBeUndefined();
    const controllers = [
      [0, 1],
      [600, 2],
    ] as const;
    expect((await play(script, 6, { controllers })).found).toBe('script/same-controller');
  });

  test('other-controller: fails where the same one leads', async () => {
    const script = once([], [{ what: 'other-controller', ...window }]);
    expect((await play(script, 7)).found).toBe('script/other-controller');
    const controllers = [
      [0, 1],
      [600, 2],
    ] as const;
    expect((await play(script, 7, { controllers })).found).toBeUndefined();
  });
});

describe('stories', () => {
  test('are scenarios with names and stories of their own, at least a dozen', () => {
    expect(stories.length).toBeGreaterThanOrEqual(12);
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    expect(new Set(stories.map(({ what }) => what)).size).toBe(stories.length);
    for (const { faults, script, what } of stories) {
      expect(faults.kinds).toEqual([]);
      expect(script).toBeDefined();
      expect(what).toMatch(/ \(.+\)$/);
    }
  });

  test('speak of nobody who is not there', () => {
    for (const { name, script, what } of stories) {
      const isOfFive = what!.includes('kafka-reassign');
      const parts = isOfFive ? 'abcde' : 'abc';
      for (const deed of script!.deeds) {
        const ends =
          'ways' in deed ? deed.ways.flatMap((way) => way.split(/[->]/)) : [...deed.whom];
        for (const end of ends) expect(`clients ${parts}`, name).toContain(end);
      }
    }
  });
});
