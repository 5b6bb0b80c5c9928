// How many messages a second does one shard take through an exchange into a durable queue, confirm, deliver
// and acknowledge, over the real host, store and disk, without any protocol? A session publishes 64 of 12
// bytes in a turn and has 192 that are not confirmed; another consumes and acknowledges 64 at a time.
// This is what a protocol's session adds its own work to.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSystem } from '../dist/actors/system.js';
import { startShard } from '../dist/assembly/shard.js';
import type { DeliveredMessage, RecordParts } from '../dist/broker/ports.js';
import { RouteInput } from '../dist/broker/ports.js';
import { encodeCommand, type MetadataCommand } from '../dist/cluster/metadata/index.js';
import { MetadataReplica } from '../dist/cluster/metadata-shell/metadata-replica.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { EMPTY_BYTES, encodeUtf8 } from '../dist/std/bytes.js';
import { run, timed } from './lib/harness.ts';

const MESSAGES = 192_000;
const TURN = 64;
const OUTSTANDING = 192;

const root = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'callboard-queue-'));
const env = createNodeEnvironment({ dataRoot: root, logLevel: 'warn' });
const place = { node: 1, incarnation: 1, thread: 0, threadCount: 1 };
const system = createSystem(env, { name: 'bench', ...place });
const replica = new MetadataReplica(1);
let index = 0;
function change(command: MetadataCommand): void {
  index += 1;
  const refused = replica.apply(encodeCommand(command), index);
  if (refused !== undefined) throw new Error(refused.message);
  replica.publish();
}

const life = { node: 1, incarnation: 1 } as const;
change({
  kind: 'register-node',
  ...life,
  previousIncarnation: 0,
  bootCounter: 1,
  hasFailedSync: false,
  osBootId: 'bench',
  pid: 1,
  rack: undefined,
  endpoints: [],
  firstShardThread: 0,
  shardIncarnations: [1],
});
change({ kind: 'unfence-node', ...life });
const shard = await startShard(
  system,
  replica,
  {
    clusterId: 'bench',
    node: 1,
    shard: 0,
    shardIncarnation: 1,
    ports: { HTTP: 1, Kafka: 2, AMQP: 3, gRPC: 0 },
    autoCreate: false,
    defaultPartitions: 1,
  },
  {
    send: () => Promise.reject(new Error('no metadata changes here')),
    propose: () => undefined,
    resignLog: () => undefined,
    moveLeader: () => undefined,
    kinds: [],
    onStoreFailure: (error) => {
      throw error;
    },
  },
);
change({
  kind: 'declare-queue',
  vhost: '/',
  name: 'q',
  topicId: new Uint8Array(16),
  node: 1,
  durable: true,
  autoDelete: false,
  owner: undefined,
  arguments: EMPTY_BYTES,
  compared: [],
  replicationFactor: 1,
});

const { queues, view } = shard.ports;
const key = encodeUtf8('q');
const route = new RouteInput();
route.setKey(key, 0, key.length);
const value = new Uint8Array(12);
const message: RecordParts = {
  key: EMPTY_BYTES,
  keyStart: -1,
  keyEnd: 0,
  value,
  valueStart: 0,
  valueEnd: value.length,
  headers: EMPTY_BYTES,
  headerCount: 0,
  headersStart: 0,
  headersEnd: 0,
  timestampMs: -1,
};
const exchange = queues.routes.exchangeAt(EMPTY_BYTES, 0, 0);

let left = 0;
let open = 0;
let got = 0;
let isDone: () => void = () => undefined;
let isDue = false;

const publisher = queues.publisher({
  resolved: (_ticket, outcome) => {
    if (outcome !== 'stored') throw new Error(outcome);
    open -= 1;
    if (isDue) return;
    isDue = true;
    env.runQueue.soon(publish);
  },
  unroutable: () => {
    throw new Error('unroutable');
  },
  full: () => undefined,
  room: () => undefined,
  blocked: () => undefined,
  unblocked: () => undefined,
});

function publish(): void {
  isDue = false;
  while (left > 0 && open + TURN <= OUTSTANDING) {
    for (let i = 0; i < TURN; i += 1) {
      publisher.publish(exchange, route, message, 'stored', open, false);
      open += 1;
    }
    left -= TURN;
  }
}

const held: { epoch: number; offset: number; lease: number; logId: number }[] = [];
const reader = queues.reader(
  {
    deliver: (_consumer, { logId, epoch, offset, lease }: DeliveredMessage) => {
      held.push({ logId, epoch, offset, lease });
      got += 1;
    },
    delivered: () => {
      if (held.length < TURN && got < MESSAGES) return;
      for (const { logId, epoch, offset, lease } of held) {
        reader.acknowledge(1, logId, epoch, offset, lease);
      }
      held.length = 0;
      if (got >= MESSAGES) isDone();
    },
    attached: () => undefined,
    ended: (_consumer, why) => {
      throw new Error(why);
    },
    empty: () => undefined,
  },
  1,
);
reader.attach(1, view.destination('q')!, { autoAcknowledge: false, exclusive: false, priority: 0 });
reader.credit(1, 1_000);

await run({
  name: 'queue-shard',
  unit: 'msg',
  floor: 150_000,
  async round() {
    const ms = await timed(
      () =>
        new Promise<void>((resolve) => {
          got = 0;
          left = MESSAGES;
          isDone = resolve;
          publish();
        }),
    );
    return { count: MESSAGES, ms };
  },
  async close() {
    await shard.stop();
    rmSync(root, { recursive: true });
  },
});
process.exit();
