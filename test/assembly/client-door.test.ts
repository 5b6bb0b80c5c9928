import { expect, it } from 'vitest';
import { ClientDoor, type LoadListener } from '../../src/assembly/client-door.ts';
import type { Connection, Log } from '../../src/env/environment.ts';

interface Counts {
  accepted: number;
}

class Fake {
  isDestroyed = false;
  destroy(): void {
    this.isDestroyed = true;
  }
}

function door(load: LoadListener<string, Counts> | undefined) {
  const said: string[] = [];
  const log = { error: (text: string) => said.push(text) } as unknown as Log;
  const noCounts = { accepted: 0 };
  const made = new ClientDoor({ name: 'Semaphore', load, options: 'options', log, noCounts });
  const knock = () => {
    const connection = new Fake();
    made.accept(connection as unknown as Connection);
    return connection;
  };
  return { made, said, knock };
}

function listener() {
  const taken: unknown[] = [];
  const counters = { accepted: 0 };
  const ends: [number, number][] = [];
  let isClosed = false;
  const start = (options: string) => {
    expect(options).toBe('options');
    return {
      counters,
      accept(connection: Connection) {
        taken.push(connection);
        counters.accepted += 1;
      },
      linkEnded: (node: number, thread: number) => void ends.push([node, thread]),
      close() {
        isClosed = true;
      },
    };
  };
  return { start, taken, ends, isClosed: () => isClosed };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

it('loads once, with the first client, and serves all that waited in their order', async () => {
  const { start, taken } = listener();
  let loads = 0;
  const { made, knock } = door(async () => {
    loads += 1;
    return start;
  });
  expect(made.counters).toEqual({ accepted: 0 });
  expect(loads).toBe(0);
  const waited = [knock(), knock()];
  await settled();
  waited.push(knock());
  expect(taken).toEqual(waited);
  expect(loads).toBe(1);
  expect(made.counters).toEqual({ accepted: 3 });
});

it('serves at once where the listener is loaded anyway, and passes ends of links on', async () => {
  const { start, taken, ends, isClosed } = listener();
  const { made, knock } = door(() => start);
  made.linkEnded(2, 1);
  const first = knock();
  expect(taken).toEqual([first]);
  made.linkEnded(3, 1);
  expect(ends).toEqual([[3, 1]]);
  await made.close();
  expect(isClosed()).toBe(true);
});

it('destroys who waits when the load fails, says why, and tries again for the next', async () => {
  const { start, taken } = listener();
  let loads = 0;
  const { said, knock } = door(() => {
    loads += 1;
    return loads === 1 ? Promise.reject(new Error('no such file')) : start;
  });
  const first = knock();
  await settled();
  expect(first.isDestroyed).toBe(true);
  expect(said).toEqual(['Semaphore cannot be served']);
  const second = knock();
  expect(taken).toEqual([second]);
});

it('refuses loudly what the program has no listener for', () => {
  const { said, knock } = door(undefined);
  expect(knock().isDestroyed).toBe(true);
  expect(said).toEqual(['Semaphore cannot be served']);
});

it('lets nobody wait behind its close, nor more than it has room for', async () => {
  const { start, taken } = listener();
  const { made, knock } = door(() => Promise.resolve(start));
  const waiting = Array.from({ length: 1_024 }, knock);
  expect(knock().isDestroyed).toBe(true);
  await made.close();
  expect(waiting.every(({ isDestroyed }) => isDestroyed)).toBe(true);
  expect(knock().isDestroyed).toBe(true);
  await settled();
  expect(taken).toEqual([]);
});
