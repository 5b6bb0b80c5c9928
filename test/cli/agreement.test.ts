import { expect, test } from 'vitest';
import { disagreement } from '../../src/cli/dev/agreement.ts';
import type { RunState } from '../../src/cli/dev/folder.ts';
import type { DevOptions } from '../../src/cli/dev.ts';

const running: RunState = {
  pid: 7,
  version: '0.0.0',
  readyMs: 1,
  isMemory: false,
  isInProcess: false,
  shards: 1,
  host: 'localhost',
  queueReplicas: null,
  profile: null,
  restartAfterMs: 3000,
  nodes: [9100, 9101].map((port, i) => ({
    role: 'disk' as const,
    id: i + 1,
    kafka: `[::1]:${port}`,
    amqp: `amqp://[::1]:${port + 300}`,
    rocketmq: `[::1]:${port + 400}`,
    http: `http://[::1]:${port + 100}`,
    pid: 100 + i,
  })),
};

function asked(
  options: Partial<DevOptions>,
  restartAfterMs?: number,
  state = running,
): string | undefined {
  return disagreement({ data: '.callboard', ...options }, restartAfterMs, state);
}

test('what was not asked for agrees with everything', () => {
  expect(asked({})).toBeUndefined();
  expect(asked({}, 3000, { ...running, restartAfterMs: null, isMemory: true })).toBeUndefined();
});

test.each<[Partial<DevOptions>, number?]>([
  [{ nodes: 2 }],
  [{ shards: 1 }],
  [{ host: 'localhost' }],
  [{ restart: '3s' }, 3000],
  [{ basePort: 0 }],
  [{ basePort: 9100 }],
  [{ kafkaPort: 9100, httpPort: 9200, amqpPort: 9400, rocketmqPort: 9500 }],
  [{ basePort: 9100, strictPorts: true }],
])('%j is what runs', (options, restartAfterMs) => {
  expect(asked(options, restartAfterMs)).toBeUndefined();
});

test.each<[Partial<DevOptions>, RegExp, number?]>([
  [{ nodes: 3 }, /it runs 2/],
  [{ memory: true }, /on disk/],
  [{ inProcess: true }, /are processes/],
  [{ shards: 0 }, /has 1/],
  [{ host: '0.0.0.0' }, /listens on localhost/],
  [{ profile: 'classic-kafka' }, /started without one/],
  [{ queueReplicas: 1 }, /queues have as many as topics/],
  [{ restart: '1s' }, /that is 3000 ms/, 1000],
  [{ restart: 'never' }, /that is 3000 ms/],
  [{ basePort: 9092 }, /on 9100/],
  [{ kafkaPort: 9101 }, /on 9100/],
  [{ httpPort: 9201 }, /on 9200/],
  [{ amqpPort: 5672 }, /--amqp-port 5672, but it is on 9400/],
  [{ rocketmqPort: 8081 }, /--rocketmq-port 8081, but it is on 9500/],
  [{ strictPorts: true }, /moved to 9100/],
])('%j is not what runs', (options, why, restartAfterMs) => {
  expect(asked(options, restartAfterMs)).toMatch(why);
});

test('a cluster that restarts nothing is not one that restarts', () => {
  const never = { ...running, restartAfterMs: null };
  expect(asked({ restart: '3s' }, 3000, never)).toMatch(/is never/);
  expect(asked({ restart: 'never' }, undefined, never)).toBeUndefined();
});
