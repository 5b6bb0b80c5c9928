// How many messages a second of 100 B go through one stream on one node, published with confirms (192 may wait for
// theirs) 64 to a write, and read at its end with acknowledgements?
import { runAmqpBench } from './lib/amqp-bench.ts';

await runAmqpBench({
  name: 'amqp-stream',
  isDurable: true,
  isStream: true,
  perSegment: 64,
  window: 192,
  floor: 60_000,
});
