// How many messages of 1 KB a second does one node give to a group and take back acknowledged, 32 to a receive,
// with 16 receives in flight on one connection? Every message must come once.
import { startDev, until } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { GrpcWire } from './lib/grpc-wire.ts';
import {
  acknowledgeOf,
  firstSend,
  mustBeGood,
  receiveOf,
  sendOf,
  storedCount,
} from './lib/rocketmq-bench.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const IN_FLIGHT = 16;
const BATCH = 32;
const ROUNDS = 5;
const PER_ROUND = 20_000;
const SEND = 64;
const HANDLE_CHARS = 50;
const HANDLE = Buffer.of((12 << 3) | 2, HANDLE_CHARS);

const load = machineLoad();
const cluster = await startDev({ nodes: 1, shards: 1 });
try {
  const node = cluster.nodes[0]!;
  const wire = await GrpcWire.connect(node.rocketmq);
  await firstSend(wire);
  const total = await fill(wire);
  await until('all are stored', async () => (await storedCount(node)) === total);
  const handles = new Set<string>();
  let acknowledged = 0;
  const receive = receiveOf(BATCH);
  const next = (): void => wire.call(receive, (answers) => take(answers));
  const take = (answers: readonly Buffer[]): void => {
    const got = answers.flatMap((answer) => handleOf(answer));
    for (const handle of got) handles.add(handle);
    if (got.length === 0) {
      if (acknowledged < total) next();
      return;
    }
    wire.call(acknowledgeOf(got), ([answer]) => {
      mustBeGood(answer);
      acknowledged += got.length;
      next();
    });
  };
  for (let i = 0; i < IN_FLIGHT; i += 1) next();
  await reached(PER_ROUND / 2);
  const [cpuBefore, before] = [cpuSeconds([node.pid]), acknowledged];
  const samples: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const [from, startedMs] = [acknowledged, performance.now()];
    await reached(from + PER_ROUND - BATCH * IN_FLIGHT);
    samples.push(((acknowledged - from) * 1000) / (performance.now() - startedMs));
  }
  const cpuUs = ((cpuSeconds([node.pid]) - cpuBefore) * 1e6) / (acknowledged - before);
  await reached(total);
  if (handles.size !== total) throw new Error(`${total} were sent, and ${handles.size} came`);
  wire.close();
  const note = `server cpu ${cpuUs.toFixed(1)} us a message`;
  tellFigure({
    name: 'rocketmq-receive',
    unit: 'msg/s',
    samples,
    floor: 10_000,
    rule: 'least',
    load,
    note,
  });

  async function reached(count: number): Promise<void> {
    while (acknowledged < Math.min(count, total)) await new Promise((r) => setTimeout(r, 1));
  }
} finally {
  await cluster.stop();
}

/** Stores enough for all rounds and the warm-up; says how many there are. */
async function fill(wire: GrpcWire): Promise<number> {
  const call = sendOf(SEND);
  const count = Math.ceil((PER_ROUND * (ROUNDS + 0.5)) / SEND);
  let left = count;
  let isFull = false;
  await new Promise<void>((resolve) => {
    const next = (): void => {
      if (left === 0) {
        if (isFull) return;
        isFull = true;
        resolve();
        return;
      }
      left -= 1;
      wire.call(call, ([answer]) => {
        mustBeGood(answer);
        next();
      });
    };
    for (let i = 0; i < IN_FLIGHT; i += 1) next();
  });
  return 1 + count * SEND;
}

/** A handle is field 12 of the properties and has 50 characters; what is in front of it is never these bytes. */
function handleOf(answer: Buffer): string[] {
  const at = answer.indexOf(HANDLE);
  return at < 0
    ? []
    : [answer.toString('latin1', at + HANDLE.length, at + HANDLE.length + HANDLE_CHARS)];
}
