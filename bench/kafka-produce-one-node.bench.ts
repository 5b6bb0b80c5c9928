// How many megabytes a second does one node take and make durable (acks=1, O_DSYNC), as 1 KB records in
// batches of 64 KB, on eight connections to eight partitions?
import { runProduceBench } from './lib/produce-bench.ts';

await runProduceBench({
  name: 'kafka-produce-one-node',
  nodes: 1,
  shards: 1,
  partitions: 8,
  acks: 1,
  recordBytes: 1_024,
  recordsPerBatch: 62,
  window: 4,
  floor: 150,
});
