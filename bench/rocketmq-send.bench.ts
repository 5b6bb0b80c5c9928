// How many SendMessage calls a second, each with one message of 1 KB, does one node store durably for a client
// that has 16 of them in flight on one connection?
import { startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { GrpcWire } from './lib/grpc-wire.ts';
import { firstSend, mustBeGood, sendOf, storedCount } from './lib/rocketmq-bench.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const IN_FLIGHT = 16;
const ROUNDS = 5;
const ROUND_MS = 1_500;

const load = machineLoad();
const cluster = await startDev({ nodes: 1, shards: 1 });
try {
  const node = cluster.nodes[0]!;
  const wire = await GrpcWire.connect(node.rocketmq);
  await firstSend(wire);
  const call = sendOf(1);
  let sent = 1;
  let isStopped = false;
  let running = IN_FLIGHT;
  const next = (): void => {
    wire.call(call, ([answer]) => {
      mustBeGood(answer);
      sent += 1;
      if (isStopped) running -= 1;
      else next();
    });
  };
  for (let i = 0; i < IN_FLIGHT; i += 1) next();
  const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  await delay(ROUND_MS);
  const [cpuBefore, sentBefore] = [cpuSeconds([node.pid]), sent];
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const [before, startedMs] = [sent, performance.now()];
    await delay(ROUND_MS);
    samples.push(((sent - before) * 1000) / (performance.now() - startedMs));
  }
  const cpuUs = ((cpuSeconds([node.pid]) - cpuBefore) * 1e6) / (sent - sentBefore);
  isStopped = true;
  await until('all are answered', async () => running === 0);
  await until('all are stored', async () => (await storedCount(node)) === sent);
  wire.close();
  const note = `server cpu ${cpuUs.toFixed(1)} us a message`;
  tellFigure({
    name: 'rocketmq-send',
    unit: 'msg/s',
    samples,
    floor: 5_000,
    rule: 'least',
    load,
    note,
  });
} finally {
  await cluster.stop();
}
