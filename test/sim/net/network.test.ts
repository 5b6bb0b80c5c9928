import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Connection, Environment } from '../../../src/env/environment.ts';
import { inWorld } from '../../../src/sim/runner.ts';
import type { World } from '../../../src/sim/world.ts';

interface End {
  readonly connection: Connection;
  readonly bytes: number[];
  readonly events: string[];
  readonly views: Uint8Array[];
}

function listenTo(connection: Connection): End {
  const end: End = { connection, bytes: [], events: [], views: [] };
  connection.start({
    onOpen: () => end.events.push('open'),
    onBytes: (view) => {
      end.bytes.push(...view);
      end.views.push(view);
    },
    onDrain: () => end.events.push('drain'),
    onClose: (error) => end.events.push(`close ${(error as { code?: string })?.code ?? 'orderly'}`),
  });
  return end;
}

/** A server on n1, a client on c1, and both ends of one open connection. */
async function pair(world: World) {
  const server = world.node('n1').start();
  const client = world.node('c1', 'client').start();
  const accepted: End[] = [];
  await server.environment.net.listen({ host: 'n1', port: 9000 }, (connection) =>
    accepted.push(listenTo(connection)),
  );
  const near = connect(client.environment);
  await world.advance(50);
  return { server, client, near, far: accepted[0]! };
}

function connect(env: Environment, timeoutMs = 1_000): End {
  return listenTo(env.net.connect({ host: 'n1', port: 9000 }, { timeoutMs }));
}

test('bytes arrive whole, in order and once, however they are cut and delayed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), { maxLength: 30 }),
      async (seed, writes) => {
        await inWorld(seed, {}, async (world) => {
          const { near, far, client, server } = await pair(world);
          let done = 0;
          for (const bytes of writes) {
            near.connection.write(bytes, () => {
              done += 1;
            });
          }
          const release = world.network.block(client.host, server.host);
          await world.advance(500);
          release();
          await world.advance(2_000);
          expect(far.bytes).toEqual(writes.flatMap((bytes) => [...bytes]));
          expect(done).toBe(writes.length);
          expect(near.connection.queuedBytes).toBe(0);
        });
      },
    ),
    { numRuns: 40 },
  );
});

test('some seed cuts a small write into several deliveries', async () => {
  let most = 0;
  for (let seed = 0; seed < 12; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const { near, far } = await pair(world);
      for (let i = 0; i < 20; i += 1) near.connection.write(new Uint8Array(100).fill(i));
      await world.advance(1_000);
      most = Math.max(most, far.views.length);
    });
  }
  expect(most).toBeGreaterThan(20);
});

test('a kept view is overwritten after onBytes returns', async () => {
  await inWorld(1, {}, async (world) => {
    const { near, far } = await pair(world);
    near.connection.write(new Uint8Array([1, 2, 3]));
    await world.advance(50);
    expect(far.bytes).toEqual([1, 2, 3]);
    expect([...far.views[0]!].every((byte) => byte === 0xdd)).toBe(true);
  });
});

test('nobody listening is refused, an unknown name not found, a dead host times out', async () => {
  await inWorld(2, {}, async (world) => {
    const node = world.node('n1');
    node.start();
    const env = world.node('c1', 'client').start().environment;
    const refused = connect(env);
    const unknown = listenTo(env.net.connect({ host: 'nowhere', port: 1 }, { timeoutMs: 10 }));
    await world.advance(100);
    expect(refused.events).toEqual(['close ECONNREFUSED']);
    expect(unknown.events).toEqual(['close ENOTFOUND']);
    node.powerCut();
    const silent = connect(env, 700);
    await world.advance(600);
    expect(silent.events).toEqual([]);
    await world.advance(200);
    expect(silent.events).toEqual(['close ETIMEDOUT']);
  });
});

test('a reset ends both sides with ECONNRESET, and done is still called', async () => {
  await inWorld(3, {}, async (world) => {
    const { near, far } = await pair(world);
    let done = 0;
    near.connection.write(new Uint8Array(10), () => {
      done += 1;
    });
    world.network.resetOne(world.faults, () => true);
    await world.advance(50);
    near.connection.write(new Uint8Array(10), () => {
      done += 1;
    });
    await world.advance(50);
    expect(near.events.at(-1)).toBe('close ECONNRESET');
    expect(far.events.at(-1)).toBe('close ECONNRESET');
    expect(done).toBe(2);
  });
});

test('end sends what is queued, then both sides close in order', async () => {
  await inWorld(4, {}, async (world) => {
    const { near, far } = await pair(world);
    near.connection.write(new Uint8Array(200_000).fill(1));
    near.connection.end();
    await world.advance(2_000);
    expect(far.bytes.length).toBe(200_000);
    expect(far.events.at(-1)).toBe('close orderly');
    expect(near.events.at(-1)).toBe('close orderly');
  });
});

test('a reader that pauses stops the sender at the window, and lets it go on', async () => {
  await inWorld(5, {}, async (world) => {
    const { near, far } = await pair(world);
    far.connection.pauseReading();
    near.connection.write(new Uint8Array(2_000_000));
    await world.advance(2_000);
    expect(near.connection.queuedBytes).toBeGreaterThan(1_000_000);
    expect(near.events).not.toContain('drain');
    far.connection.resumeReading();
    await world.advance(5_000);
    expect(far.bytes.length).toBe(2_000_000);
    expect(near.events).toContain('drain');
  });
});

test('a one-way cut leaves the other side half-open until the sender gives up', async () => {
  await inWorld(6, {}, async (world) => {
    const { near, far, client, server } = await pair(world);
    world.network.block(client.host, server.host);
    near.connection.write(new Uint8Array([1]));
    await world.advance(3_000);
    expect(near.events).toEqual(expect.not.arrayContaining(['close ETIMEDOUT']));
    await world.advance(20_000);
    expect(near.events.at(-1)).toBe('close ETIMEDOUT');
    // The other side heard nothing; it learns of it when it speaks.
    expect(far.events).toEqual([]);
    world.network.heal();
    far.connection.write(new Uint8Array([2]));
    await world.advance(2_000);
    expect(far.events).toContain('close ECONNRESET');
    expect(far.bytes).toEqual([]);
  });
});

test('faults that overlap end one by one: a link passes when the last is over, or at heal', async () => {
  await inWorld(14, {}, async (world) => {
    const { near, far, client, server } = await pair(world);
    const first = world.network.block(client.host, server.host);
    const second = world.network.block(client.host, server.host);
    near.connection.write(new Uint8Array([1]));
    first();
    first();
    await world.advance(500);
    expect(far.bytes).toEqual([]);
    second();
    await world.advance(500);
    expect(far.bytes).toEqual([1]);
    const old = world.network.block(client.host, server.host);
    near.connection.write(new Uint8Array([2]));
    world.network.heal();
    await world.advance(500);
    expect(far.bytes).toEqual([1, 2]);
    world.network.block(client.host, server.host);
    old();
    near.connection.write(new Uint8Array([3]));
    await world.advance(500);
    expect(far.bytes).toEqual([1, 2]);
    const link = world.network.link(server.host, client.host);
    const slow = link.slow(10);
    const slower = link.slow(50);
    slow();
    expect(link.slowdown).toBe(50);
    slower();
    expect(link.slowdown).toBe(1);
  });
});

test('bytes that are acknowledged over a cut link count as unanswered', async () => {
  await inWorld(7, {}, async (world) => {
    const { near, far, client, server } = await pair(world);
    world.network.block(server.host, client.host);
    near.connection.write(new Uint8Array([1]));
    await world.advance(30_000);
    expect(far.bytes).toEqual([1]);
    expect(near.events.at(-1)).toBe('close ETIMEDOUT');
  });
});

test('the death of a process closes its connections; a power cut says nothing', async () => {
  for (const seed of [8, 9, 10, 11]) {
    await inWorld(seed, {}, async (world) => {
      const { near, server } = await pair(world);
      world.node('n1').kill();
      await world.advance(100);
      expect(near.events.at(-1)).toMatch(/^close (orderly|ECONNRESET)$/);
      expect(world.network.openEndpoints(server)).toBe(0);
    });
    await inWorld(seed, {}, async (world) => {
      const { near } = await pair(world);
      world.node('n1').powerCut();
      await world.advance(60_000);
      expect(near.events.filter((event) => event.startsWith('close'))).toEqual([]);
      world.node('n1').start();
      near.connection.write(new Uint8Array([1]));
      await world.advance(2_000);
      expect(near.events.at(-1)).toBe('close ECONNRESET');
    });
  }
});

test('a paused process is connected to by its system and answers when it goes on', async () => {
  await inWorld(12, {}, async (world) => {
    const { client, far } = await pair(world);
    const node = world.node('n1');
    node.pause();
    const second = connect(client.environment);
    await world.advance(100);
    expect(second.events).toEqual(['open']);
    second.connection.write(new Uint8Array([4]));
    await world.advance(100);
    expect(far.events).toEqual([]);
    node.resume();
    await world.advance(100);
    second.connection.end();
    await world.advance(500);
    expect(second.events.at(-1)).toBe('close orderly');
  });
});

test('sendFile sends the range behind what is queued; a shortfall destroys the connection', async () => {
  await inWorld(13, {}, async (world) => {
    const { near, far, client } = await pair(world);
    const file = client.environment.disk.open('f', { mode: 'create' });
    file.writeSync(new Uint8Array([1, 2, 3, 4, 5]), 0);
    near.connection.write(new Uint8Array([0]));
    let done = 0;
    near.connection.sendFile(file, 1, 3, () => {
      done += 1;
    });
    await world.advance(100);
    expect(far.bytes).toEqual([0, 2, 3, 4]);
    expect(done).toBe(1);
    near.connection.sendFile(file, 3, 10, () => {
      done += 1;
    });
    await world.advance(100);
    expect(near.events.at(-1)).toBe('close EIO');
    expect(done).toBe(2);
  });
});
