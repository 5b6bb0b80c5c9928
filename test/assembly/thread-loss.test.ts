// Requests between real threads, one of which dies with them. Nothing else can end them within the time of a
// test: the deadlines are far beyond it.
import { afterEach, expect, test } from 'vitest';
import { createSystem } from '../../src/actors/index.ts';
import { ThreadGroup } from '../../src/actors/threads/thread-group.ts';
import { PROTOCOLS } from '../../src/assembly/protocols.ts';
import { LogClient } from '../../src/broker/access/log-client.ts';
import { LogHostProtocol } from '../../src/cluster/ports.ts';
import { SLOT_LOG_HOST } from '../../src/cluster/slots.ts';
import type { Log } from '../../src/env/environment.ts';
import { createNodeEnvironment } from '../../src/env/node/environment.ts';

const entry = new URL('./workers/mute-host.mjs', import.meta.url);
const LOG = 1;
const FAR_MS = 600_000;
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const backoff = { minMs: 1, maxMs: 5, jitter: 0 };
const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function shardThread(hasHost: boolean, maxRestarts: number) {
  const system = createSystem(createNodeEnvironment({ log: quiet }), {
    name: 'losing',
    node: 1,
    incarnation: 1,
    thread: 0,
    threadCount: 2,
    protocols: PROTOCOLS,
  });
  let taken = 0;
  let wanted = Number.POSITIVE_INFINITY;
  let done = ignore as () => void;
  let up = ignore as () => void;
  const group = new ThreadGroup(system, {
    entry,
    workers: 1,
    slabBytes: 1024 * 1024,
    appData: () => ({ hasHost }),
    restart: { maxRestarts, windowMs: 60_000, backoff },
    onThreadReady: () => up(),
    onMessage: () => {
      taken += 1;
      if (taken >= wanted) done();
    },
  });
  ends.push(async () => {
    await group.stop({ timeoutMs: 2_000 });
    await system.shutdown({ timeoutMs: 2_000 });
  });
  await group.start();
  const host = system.wellKnown(LogHostProtocol, { thread: 1, slot: SLOT_LOG_HOST });
  const client = new LogClient(system, () => host);
  // The actor behind the client has had its first turn.
  await new Promise((resolve) => setImmediate(resolve));
  return {
    group,
    client,
    nextReady: () => new Promise<void>((resolve) => (up = resolve)),
    takenBy: (count: number) =>
      new Promise<void>((resolve) => {
        wanted = count;
        done = resolve;
        if (taken >= count) resolve();
      }),
  };
}

test('what is under way to a thread that dies is over when it dies, in each of its lives', async () => {
  const { group, client, nextReady, takenBy } = await shardThread(true, 5);
  for (let life = 1; life <= 3; life += 1) {
    const asked = [
      client.append(LOG, new Uint8Array(100), 'committed', FAR_MS),
      client.fetch(LOG, 0, 100, FAR_MS),
      client.awaitBeyond(LOG, 0, FAR_MS),
      client.locate(LOG, { kind: 'latest' }, FAR_MS),
    ];
    await takenBy(life * asked.length);
    const ready = nextReady();
    group.kill(1);
    expect(await Promise.all(asked)).toEqual(asked.map(() => undefined));
    await ready;
  }
});

test('an append to a thread that stays dead is refused: it was not taken', async () => {
  const { group, client, takenBy } = await shardThread(true, 0);
  const lost = client.append(LOG, new Uint8Array(100), 'committed', FAR_MS);
  await takenBy(1);
  group.kill(1);
  expect(await lost).toBeUndefined();
  const refused = await client.append(LOG, new Uint8Array(100), 'committed', FAR_MS);
  expect(refused).toMatchObject({ result: 'not-available', baseOffset: -1 });
  expect(await client.fetch(LOG, 0, 100, FAR_MS)).toBeUndefined();
});

test('a thread whose log host has not come yet answers for it', async () => {
  const { client } = await shardThread(false, 0);
  expect(await client.append(LOG, new Uint8Array(100), 'committed', FAR_MS)).toBeUndefined();
  expect(await client.locate(LOG, { kind: 'latest' }, FAR_MS)).toBeUndefined();
});
