// What an idle log costs a node: no open file, no timer, no promise that waits. The same node is counted with 10
// logs and with 10,000, when everything that creating them began has come to rest.
import { queryObjects } from 'node:v8';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { WireClient } from '../../bench/lib/kafka-wire.ts';
import type { Disk, DiskFile } from '../../src/env/environment.ts';
import { NodeTimers } from '../../src/env/node/timers.ts';
import { runs } from '../setup/runs.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const FEW = 10;
const MANY = runs(10_000, 2000);
/** Of what happens now and then in any node: heartbeats, a look at the disk, a checkpoint. */
const SLACK = 20;
/** A log begins with a frame that settles after ten seconds. */
const REST_MS = 60_000;

interface Costs {
  readonly openFiles: number;
  readonly timers: number;
  readonly timeouts: number;
  /** That are not garbage, settled or not. */
  readonly promises: number;
}

let openFiles = 0;

/** The same disk; whoever opens a file is counted until it is closed. */
function counted(disk: Disk): Disk {
  const open = disk.open.bind(disk);
  disk.open = (path, options): DiskFile => {
    const file = open(path, options);
    openFiles += 1;
    let isOpen = true;
    const close = file.close.bind(file);
    file.close = () => {
      if (isOpen) openFiles -= 1;
      isOpen = false;
      close();
    };
    return file;
  };
  return disk;
}

let cluster: TestCluster;
let timers: NodeTimers;
let client: WireClient;

beforeAll(async () => {
  cluster = await testCluster({
    nodes: 1,
    envOf: (env) => {
      if (!(env.timers instanceof NodeTimers)) throw new Error('timers of another kind');
      ({ timers } = env);
      return { ...env, disk: counted(env.disk) };
    },
  });
  await cluster.ready();
  client = await WireClient.connect(`127.0.0.1:${cluster.addresses[0]!.kafkaPort}`);
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

/** One topic: the quickest way there is. Answers Kafka's error code. */
function createLogs(topic: string, count: number): Promise<number> {
  return client.createTopic(topic, count, 1, 60_000);
}

function costs(): Costs {
  const timeouts = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  return {
    openFiles,
    timers: timers.pendingCount,
    timeouts,
    promises: queryObjects(Promise, { format: 'count' }),
  };
}

/** The least of each within the time that everything has to come to rest, or as soon as it is within `enough`. */
async function atRest(enough: Costs): Promise<Costs> {
  const untilMs = performance.now() + REST_MS;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 4000));
    const now = costs();
    const isEnough =
      now.openFiles <= enough.openFiles &&
      now.timers <= enough.timers &&
      now.timeouts <= enough.timeouts &&
      now.promises <= enough.promises;
    if (isEnough || performance.now() > untilMs) return now;
  }
}

it(`${MANY} idle logs cost no more files, timers and promises than ${FEW}`, async () => {
  expect(await createLogs('few', FEW)).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const few = costs();
  expect(await createLogs('many', MANY)).toBe(0);
  // Each of them is counted at all.
  for (const count of Object.values(few)) expect(count).toBeGreaterThan(0);
  const { openFiles: files, timers: armed, timeouts, promises } = few;
  const enough = {
    openFiles: files + SLACK,
    timers: armed + SLACK,
    timeouts: timeouts + SLACK,
    promises: promises + SLACK,
  };
  // The last one is led, and answers.
  const answer = async () => expect(await client.endOffset('many', MANY - 1, 60_000)).toBe(0);
  await vi.waitFor(answer, 60_000);
  const many = await atRest(enough);
  for (const [name, limit] of Object.entries(enough)) {
    expect(many[name as keyof Costs], name).toBeLessThanOrEqual(limit);
  }
}, 240_000);
