// The limits layer of listeners on its own: who is admitted, what is held, who is flushed.
import { describe, expect, it } from 'vitest';
import { ListenerBooks, plainHost, wrongPort } from '../../../src/protocols/listening/books.ts';

function makeBooks() {
  const phases: (() => void)[] = [];
  let requests = 0;
  const turn = {
    onPhase: (_phase: string, run: () => void) => {
      phases.push(run);
      return () => void phases.splice(phases.indexOf(run), 1);
    },
    request: () => {
      requests += 1;
    },
  };
  const books = new ListenerBooks({ turn } as never, {
    connectionsPerAddressMax: 2,
    heldBytesMax: 100,
  });
  const endTurn = () => {
    for (const run of phases) run();
  };
  return { books, endTurn, phases, requests: () => requests };
}

function connectionFrom(host: string) {
  const connection = {
    remote: { host, port: 1 },
    destroyed: 0,
    destroy: () => {
      connection.destroyed += 1;
    },
  };
  return connection;
}

describe('the books of a listener', () => {
  it('admit so many connections of an address, and others when some have left', () => {
    const { books } = makeBooks();
    const admit = (host: string) => {
      const connection = connectionFrom(host);
      return [books.admit(connection as never), connection.destroyed];
    };
    expect(admit('::ffff:10.0.0.1')).toEqual(['10.0.0.1', 0]);
    expect(admit('10.0.0.1')).toEqual(['10.0.0.1', 0]);
    expect(admit('10.0.0.1')).toEqual([undefined, 1]);
    expect(admit('10.0.0.2')).toEqual(['10.0.0.2', 0]);
    books.left('10.0.0.1');
    expect(admit('10.0.0.1')).toEqual(['10.0.0.1', 0]);
    expect(books.counters).toMatchObject({ accepted: 4, open: 3, refused: 1 });
    books.closing();
    expect(admit('10.0.0.9')).toEqual([undefined, 1]);
  });

  it('say when too much is held, and never refuse to let go', () => {
    const { books } = makeBooks();
    expect(books.hold(100)).toBe(true);
    expect(books.hold(1)).toBe(false);
    expect(books.hold(-1)).toBe(true);
    expect(books.counters.heldBytes).toBe(100);
  });

  it('flush whoever is dirty once, count its writes, and stop when closed', () => {
    const { books, endTurn, phases, requests } = makeBooks();
    const writing = {
      writes: 0,
      flush() {
        this.writes += 1;
      },
    };
    endTurn();
    books.markDirty(writing);
    books.markDirty(writing);
    endTurn();
    endTurn();
    expect(writing.writes).toBe(1);
    expect(requests()).toBe(2);
    expect(books.counters).toMatchObject({ flushes: 1, socketWrites: 1 });
    books.close();
    expect(phases).toEqual([]);
  });
});

it('names the right port to who dialled the wrong one', () => {
  expect(wrongPort('HTTP', 'AMQP', 80)).toBe(
    'HTTP was spoken to the AMQP port; HTTP is served on port 80',
  );
  expect(wrongPort('TLS', 'Kafka', undefined)).toBe(
    'TLS was spoken to the Kafka port; no listener for TLS is open',
  );
  expect(plainHost('::1')).toBe('::1');
});
