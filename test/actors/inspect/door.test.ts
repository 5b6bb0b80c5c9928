// The door of inspection under the manual clock and over a net that cuts writes apart: who may come in, what
// is answered, and how little a visitor can cost.
import { describe, expect, test } from 'vitest';
import {
  actor,
  createSystem,
  protocol,
  type SystemOptions,
  tell,
} from '../../../src/actors/index.ts';
import type { Inspection } from '../../../src/actors/inspect/looks.ts';
import type { Route } from '../../../src/actors/route.ts';
import { MemoryNet, manualEnvironment } from '../../../src/actors/testkit/index.ts';
import { u32 } from '../../../src/codec/index.ts';
import type { Connection, ConnectionEvents, Net } from '../../../src/env/environment.ts';

const Work = protocol('work', 1, { block: tell(u32) });

function world(options: Partial<SystemOptions> = {}) {
  let net: Net | undefined;
  const env = manualEnvironment(1, {
    net: { listen: (...args) => net!.listen(...args), connect: (...args) => net!.connect(...args) },
  });
  const memory = new MemoryNet(env.runQueue, env.random);
  net = memory;
  const system = createSystem(env, {
    ...{ name: 'app', node: 1, incarnation: 1, thread: 0 },
    ...options,
  });
  const Worker = actor(Work, () => ({
    block: (ms) => {
      env.nowMs += ms;
    },
  }));
  const worker = system.spawn('worker', Worker, undefined);
  env.run();
  /** A visitor of the door: what it has received, and whether it is still there. */
  const visit = (port: number, ...pieces: readonly string[]) => {
    const connection = memory.connect({ host: '127.0.0.1', port });
    const seen = { text: '', isClosed: false, connection };
    connection.start({
      onOpen: () => {
        for (const each of pieces) connection.write(new TextEncoder().encode(each));
      },
      onBytes: (view) => {
        seen.text += new TextDecoder().decode(view);
      },
      onClose: () => {
        seen.isClosed = true;
      },
    });
    return seen;
  };
  const get = (port: number, path: string, ...fields: readonly string[]) =>
    visit(port, [`GET ${path} HTTP/1.1`, 'host: 127.0.0.1', ...fields, '\r\n'].join('\r\n'));
  return { env, memory, system, worker, visit, get };
}

/** The way to a thread that takes everything and never answers. */
const silentRoute = (): Route => ({
  threadIncarnation: 1,
  send: () => 'accepted',
  ready: () => Promise.resolve(),
});

const statusOf = ({ text }: { readonly text: string }): number => Number(text.split(' ')[1]);
const bodyOf = ({ text }: { readonly text: string }): unknown =>
  JSON.parse(text.slice(text.indexOf('\r\n\r\n')));

describe('opening', () => {
  test('nothing is open until it is asked for, and nothing is left when it is closed', async () => {
    const { env, memory, system, get } = world();
    const refused = get(40_000, '/inspection');
    await env.settle();
    expect(refused.isClosed).toBe(true);
    const door = await system.inspect();
    expect(door.address.host).toBe('127.0.0.1');
    expect(door.url).toBe(`http://127.0.0.1:${door.address.port}`);
    const asked = get(door.address.port, '/stream');
    await env.settle();
    expect(asked.isClosed).toBe(false);
    door.close();
    await env.settle();
    expect(asked.isClosed).toBe(true);
    expect(memory.live.size).toBe(0);
    expect(system.deadlines.count).toBe(0);
  });

  test.each(['0.0.0.0', '::', '192.168.1.2', 'example.com', '127.0.0.1.example.com'])(
    '%s is refused without a token',
    async (host) => {
      const { system } = world();
      await expect(system.inspect({ host })).rejects.toThrow('set a token');
    },
  );

  test.each(['localhost', '::1', '127.9.8.7', '::ffff:127.0.0.1'])(
    '%s needs none',
    async (host) => {
      const { system } = world();
      const door = await system.inspect({ host });
      expect(door.address.host).toBe(host);
    },
  );

  test('a token that is short or no token is refused', async () => {
    const { system } = world();
    await expect(system.inspect({ token: 'short' })).rejects.toThrow('16 to 256');
    await expect(system.inspect({ token: 'a token with blanks in it' })).rejects.toThrow('letters');
  });

  test('it is closed with its system', async () => {
    const { env, memory, system, get } = world();
    const { address } = await system.inspect();
    const asked = get(address.port, '/stream');
    await env.settle();
    const down = system.shutdown({ timeoutMs: 1_000 });
    await env.settle();
    await down;
    await env.settle();
    expect(asked.isClosed).toBe(true);
    expect(memory.live.size).toBe(0);
    await expect(system.inspect()).rejects.toThrow('shut down');
  });
});

describe('answers', () => {
  test('one look, and rates over the time that was asked for', async () => {
    const { env, system, worker, get } = world();
    const { address } = await system.inspect();
    const now = get(address.port, '/inspection');
    await env.settle();
    expect(statusOf(now)).toBe(200);
    expect(bodyOf(now)).toMatchObject({
      version: 1,
      name: 'app',
      node: 1,
      threads: [{ node: 1, thread: 0, state: 'answering' }],
    });
    const later = get(address.port, '/inspection?sampleMs=2000');
    await env.settle();
    for (let i = 0; i < 10; i += 1) worker.tell('block', 10);
    await env.advanceAsync(2_000);
    const { threads } = bodyOf(later) as Inspection;
    const { rates } = threads[0]!;
    // 100 ms of the 2,000 were spent handling.
    expect(rates).toMatchObject({ overMs: 2_000, busy: 0.05, deadLetters: 0 });
    expect(rates!.classes['work']).toMatchObject({ handled: 5, failed: 0 });
    expect(rates!.actors).toMatchObject({ '/worker': 5 });
    expect(later.isClosed).toBe(true);
  });

  test('a stream of updates, each with the rates since the one before', async () => {
    const { env, system, worker, get } = world();
    const { address } = await system.inspect();
    const stream = get(address.port, '/stream?everyMs=500');
    await env.settle();
    for (let i = 0; i < 4; i += 1) {
      worker.tell('block', 0);
      await env.advanceAsync(500);
    }
    const events = stream.text.split('\r\n\r\n')[1]!.split('\n\n').filter(Boolean);
    expect(events.length).toBe(5);
    const looks = events.map((each) => JSON.parse(each.slice('data: '.length)) as Inspection);
    expect(looks.map(({ threads }) => threads[0]!.rates?.classes['work']?.handled)).toEqual([
      undefined,
      2,
      2,
      2,
      2,
    ]);
    expect(stream.text).toContain('content-type: text/event-stream');
  });

  test.each([
    ['/', 404],
    ['/inspection?sampleMs=10001', 400],
    ['/inspection?sampleMs=99', 400],
    ['/inspection?sampleMs=x', 400],
    ['/inspection?everyMs=5', 400],
    ['/stream?everyMs=1', 400],
    ['/stream?everyMs=-5', 400],
  ])('%s is answered with %i', async (path, status) => {
    const { env, system, get } = world();
    const { address } = await system.inspect();
    const asked = get(address.port, path);
    await env.settle();
    expect(statusOf(asked)).toBe(status);
    expect(bodyOf(asked)).toMatchObject({ error: { code: expect.any(String) } });
    expect(asked.isClosed).toBe(true);
  });

  test('with a token only who sends it sees anything', async () => {
    const { env, system, get } = world();
    const token = 'correct-horse-battery';
    const { address } = await system.inspect({ token });
    const asked = [
      get(address.port, '/inspection'),
      get(address.port, '/inspection', 'authorization: Bearer correct-horse-batterz'),
      get(address.port, '/inspection', 'authorization: Bearer correct-horse-battery-'),
      get(address.port, '/inspection', `authorization: Basic ${token}`),
      get(address.port, '/inspection', `authorization: Bearer ${token}`),
    ];
    await env.settle();
    expect(asked.map(statusOf)).toEqual([401, 401, 401, 401, 200]);
  });

  test('without a token whatever a client sends is let in', async () => {
    const { env, system, get } = world();
    const { address } = await system.inspect();
    const asked = get(address.port, '/inspection', 'authorization: Bearer correct-horse-battery');
    await env.settle();
    expect(statusOf(asked)).toBe(200);
  });

  test('a sample is as long as it was asked for, and looked at once if it is none', async () => {
    const { env, system, get } = world();
    const { address } = await system.inspect();
    const short = get(address.port, '/inspection?sampleMs=100');
    const none = get(address.port, '/inspection?sampleMs=0');
    await env.settle();
    await env.advanceAsync(100);
    const looks = [short, none].map((each) => bodyOf(each) as Inspection);
    expect(looks.map(({ threads }) => threads[0]!.rates?.overMs)).toEqual([100, undefined]);
  });

  test('a thread that does not answer makes no look younger than it is', async () => {
    // Two threads, of which nobody has started the second.
    const { env, system, get } = world({ threadCount: 2 });
    system.setRoute(1, 1, silentRoute());
    const { address } = await system.inspect({ timeoutMs: 1_000 });
    const asked = get(address.port, '/inspection');
    await env.settle();
    await env.advanceAsync(1_000);
    const before = bodyOf(asked) as Inspection;
    const again = get(address.port, '/inspection');
    await env.settle();
    await env.advanceAsync(1_000);
    const after = bodyOf(again) as Inspection;
    expect(before.threads.map(({ state }) => state)).toEqual(['answering', 'silent']);
    expect(after.threads[0]!.info!.atMs - before.threads[0]!.info!.atMs).toBe(1_000);
  });

  test('a look that fails in a stream ends it, and says no second head', async () => {
    const { env, memory, system, get } = world();
    const { address } = await system.inspect();
    const stream = get(address.port, '/stream?everyMs=100');
    await env.settle();
    system.inspection = () => {
      throw new Error('this look fails');
    };
    await env.advanceAsync(100);
    expect(stream.isClosed).toBe(true);
    expect(stream.text.match(/HTTP\/1\.1/g)).toEqual(['HTTP/1.1']);
    expect(stream.text).not.toContain('this look fails');
    expect([memory.live.size, system.deadlines.count]).toEqual([0, 0]);
  });

  test('an actor that cannot be looked into does not hide the others', async () => {
    const { env, system, get } = world();
    const Odd = actor(Work, (ctx) => {
      ctx.onInspect(() => {
        throw new Error('nothing to see here');
      });
      return { block: () => undefined };
    });
    system.spawn('odd', Odd, undefined);
    env.run();
    const { address } = await system.inspect();
    const asked = get(address.port, '/inspection');
    await env.settle();
    const { threads } = bodyOf(asked) as Inspection;
    expect(threads[0]!.info!.actors.map(({ path }) => path)).toEqual([
      '/runtime',
      '/worker',
      '/odd',
    ]);
    expect(threads[0]!.info!.actors.map(({ facts }) => facts)).toEqual([
      {},
      {},
      { fault: 'nothing to see here' },
    ]);
  });
});

describe('attacks', () => {
  test('a page under another name, and one of another origin, see nothing', async () => {
    const { env, system, visit } = world();
    const { address } = await system.inspect();
    const rebound = visit(address.port, 'GET /inspection HTTP/1.1\r\nhost: evil.example\r\n\r\n');
    const foreign = visit(
      address.port,
      'GET /inspection HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example\r\n\r\n',
    );
    await env.settle();
    expect([statusOf(rebound), statusOf(foreign)]).toEqual([421, 403]);
    expect([rebound, foreign].every(({ isClosed }) => isClosed)).toBe(true);
  });

  test('a request that never ends is cut at 8 KiB', async () => {
    const { env, memory, system, visit } = world();
    const { address } = await system.inspect();
    const huge = visit(address.port, 'GET / HTTP/1.1\r\n', `x: ${'y'.repeat(100_000)}`);
    await env.settle();
    expect(statusOf(huge)).toBe(431);
    expect(memory.live.size).toBe(0);
  });

  test('who says a byte a second is gone after five', async () => {
    const { env, memory, system, visit } = world();
    const { address } = await system.inspect();
    const slow = visit(address.port);
    await env.settle();
    const say = (connection: Connection) => connection.write(new TextEncoder().encode('G'));
    for (let second = 0; second < 4; second += 1) {
      say(slow.connection);
      await env.advanceAsync(1_000);
      expect(slow.isClosed).toBe(false);
    }
    await env.advanceAsync(1_001);
    expect(statusOf(slow)).toBe(408);
    expect(slow.isClosed).toBe(true);
    expect(memory.live.size).toBe(0);
    expect(system.deadlines.count).toBe(0);
  });

  test('of 1,000 connections 32 are kept, and 8 streams', async () => {
    const { env, memory, system, get, visit } = world();
    const { address } = await system.inspect();
    const idle = Array.from({ length: 1_000 }, () => visit(address.port));
    await env.settle();
    expect(idle.filter(({ isClosed }) => !isClosed).length).toBe(32);
    await env.advanceAsync(5_001);
    expect(memory.live.size).toBe(0);
    const streams = Array.from({ length: 12 }, () => get(address.port, '/stream'));
    await env.settle();
    expect(streams.map(statusOf).filter((status) => status === 503).length).toBe(4);
    for (const { connection } of streams) connection.destroy();
    await env.settle();
    const again = get(address.port, '/stream');
    await env.advanceAsync(1_000);
    expect(statusOf(again)).toBe(200);
  });

  test('many visitors at once cost one look', async () => {
    const { env, system, get } = world();
    const { address } = await system.inspect();
    let looks = 0;
    const inspection = system.inspection.bind(system);
    system.inspection = () => {
      looks += 1;
      return inspection();
    };
    const asked = Array.from({ length: 30 }, () => get(address.port, '/inspection'));
    await env.settle();
    expect(asked.map(statusOf)).toEqual(Array(30).fill(200));
    expect(looks).toBe(1);
    await env.advanceAsync(100);
    get(address.port, '/inspection');
    await env.settle();
    expect(looks).toBe(2);
  });

  test('bytes behind a request, and garbage, change nothing', async () => {
    const { env, memory, system, visit } = world();
    const { address } = await system.inspect();
    const request = 'GET /inspection HTTP/1.1\r\nhost: localhost\r\n\r\n';
    const piped = visit(address.port, request.repeat(50));
    const garbage = visit(address.port, '\u0000\u0001\u0002\r\n\r\n');
    await env.settle();
    expect(piped.text.split('HTTP/1.1 200 OK').length).toBe(2);
    expect(statusOf(garbage)).toBe(400);
    expect(memory.live.size).toBe(0);
  });

  /** A visitor of a stream whose queue the test fills and empties. */
  async function visitorOfStream(everyMs: number) {
    let accept: ((connection: Connection) => void) | undefined;
    const env = manualEnvironment(1, {
      net: {
        listen: (address, take) => {
          accept = take;
          return Promise.resolve({ address, close: () => undefined });
        },
        connect: () => {
          throw new Error('nobody connects here');
        },
      },
    });
    const system = createSystem(env, { name: 'app', node: 1, incarnation: 1, thread: 0 });
    await system.inspect();
    let events: ConnectionEvents | undefined;
    const reader = {
      queuedBytes: 0,
      writes: 0,
      isGone: false,
      start: (given: ConnectionEvents) => {
        events = given;
      },
      write: () => {
        reader.writes += 1;
      },
      end: () => undefined,
      destroy: () => {
        reader.isGone = true;
      },
    };
    accept!(reader as unknown as Connection);
    const request = `GET /stream?everyMs=${everyMs} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
    events!.onBytes(new TextEncoder().encode(request));
    await env.settle();
    return { env, system, reader, drained: () => events!.onDrain!() };
  }

  test('who does not read a stream gets no more of it, and is gone after 30 seconds', async () => {
    const { env, system, reader } = await visitorOfStream(1_000);
    await env.advanceAsync(60_000);
    expect(reader.isGone).toBe(false);
    const { writes } = reader;
    expect(writes).toBeGreaterThan(60);
    reader.queuedBytes = 2 * 1024 * 1024;
    await env.advanceAsync(29_000);
    expect([reader.writes, reader.isGone]).toEqual([writes, false]);
    await env.advanceAsync(2_000);
    expect([reader.writes, reader.isGone]).toEqual([writes, true]);
    expect(system.deadlines.count).toBe(0);
  });

  test('who reads a stream of one update a minute keeps it, until it reads no more', async () => {
    const { env, system, reader, drained } = await visitorOfStream(60_000);
    // The head and the first update, then one a minute.
    await env.advanceAsync(59_000);
    expect([reader.writes, reader.isGone]).toEqual([2, false]);
    await env.advanceAsync(1_000);
    reader.queuedBytes = 100;
    await env.advanceAsync(20_000);
    reader.queuedBytes = 0;
    drained();
    await env.advanceAsync(99_000);
    expect([reader.writes, reader.isGone]).toEqual([4, false]);
    await env.advanceAsync(1_000);
    reader.queuedBytes = 100;
    await env.advanceAsync(29_000);
    expect([reader.writes, reader.isGone]).toEqual([5, false]);
    await env.advanceAsync(1_000);
    expect(reader.isGone).toBe(true);
    expect(system.deadlines.count).toBe(0);
  });
});
