// One follower of a queue that commits on a majority stands still (SIGSTOP), from before it counts as dead until after:
// what is the slowest confirm of 99 % then, against the same with all three? One message in flight, so that a confirm is
// one commit; pairs of a time with and one without the follower, and the ratio of each pair.
import { type DevCluster, delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { AmqpWire } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { Flow, leaderUrl, shownLog } from './lib/queue-flow.ts';

const QUEUE = 'follower-paused';
const ROUNDS = 5;
/** Longer than silence takes to count as death. */
const TIME_MS = 6_000;
const RATIO_MOST = 2;
const REPLICAS = 3;

/** One that leads neither the queue nor the metadata: what is asked is what a follower costs. */
async function bystander({ nodes }: DevCluster): Promise<number | undefined> {
  const shown = (await (await fetch(`${nodes[0]!.http}/api/cluster`)).json()) as {
    readonly controllerId: number;
  };
  const log = await shownLog(nodes[0]!.http, QUEUE);
  return nodes.find(({ id }) => id !== log?.leader && id !== shown.controllerId)?.id;
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}

const load = machineLoad();
const cluster = await startDev({ nodes: 3, shards: 1 });
const wires: AmqpWire[] = [];
const [ratios, whole, paused]: [number[], number[], number[]] = [[], [], []];
try {
  const declaring = await AmqpWire.connect(cluster.nodes[0]!.amqp);
  wires.push(declaring);
  await declaring.declareQueue(QUEUE, true, 'quorum');
  const url = await leaderUrl(cluster, QUEUE, REPLICAS);
  for (let i = 0; i < 2; i += 1) wires.push(await AmqpWire.connect(url));
  const flow = await Flow.open(wires[1]!, wires[2]!, { queue: QUEUE, window: 1, perSegment: 1 });
  await flow.pass(1_000);
  const p99 = async (): Promise<number> => {
    const times: number[] = [];
    for (const endMs = performance.now() + TIME_MS; performance.now() < endMs; ) {
      const startMs = performance.now();
      await flow.confirmOne();
      times.push(performance.now() - startMs);
    }
    return percentile(
      times.sort((a, b) => a - b),
      0.99,
    );
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    await leaderUrl(cluster, QUEUE, REPLICAS);
    const before = await p99();
    const follower = await until('somebody leads nothing', () => bystander(cluster));
    await cluster.kill(follower, 'SIGSTOP');
    const without = await p99();
    await cluster.kill(follower, 'SIGCONT');
    whole.push(before);
    paused.push(without);
    ratios.push(without / before);
    await delay(1_000);
  }
} finally {
  for (const wire of wires) wire.close();
  await cluster.stop();
}
const middle = (values: readonly number[]): string =>
  [...values].sort((a, b) => a - b)[values.length >> 1]!.toFixed(2);
const note = `p99 ${middle(whole)} ms with all three, ${middle(paused)} ms without one`;
const figure = { name: 'follower-paused p99 ratio', unit: 'x', samples: ratios };
tellFigure({ ...figure, floor: RATIO_MOST, rule: 'most', load, note });
