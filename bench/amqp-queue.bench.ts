// How many messages a second of 100 B go through one durable queue on one node, published with confirms
// (192 may wait for theirs) and consumed with acknowledgements: written 64 at a time, and one at a time?
// And how many through a transient queue without either?
import { AHEAD_MAX, runAmqpBench } from './lib/amqp-bench.ts';

const durable = { isDurable: true, window: 192 };

await runAmqpBench({ ...durable, name: 'amqp-queue durable 64', perSegment: 64, floor: 60_000 });
await runAmqpBench({ ...durable, name: 'amqp-queue durable 1', perSegment: 1, floor: 40_000 });
await runAmqpBench({
  isDurable: false,
  name: 'amqp-queue transient',
  perSegment: 64,
  window: AHEAD_MAX,
  floor: 200_000,
});
