// How many megabytes a second do three nodes on this machine take, each record durable on the in-sync
// quorum before it is answered (acks=all, O_DSYNC), as 1 KB records in batches of 64 KB?
import { runProduceBench } from './lib/produce-bench.ts';

await runProduceBench({
  name: 'kafka-produce-three-nodes',
  nodes: 3,
  shards: 1,
  partitions: 6,
  acks: -1,
  recordBytes: 1_024,
  recordsPerBatch: 62,
  window: 4,
  floor: 40,
  p99Most: 25,
});
