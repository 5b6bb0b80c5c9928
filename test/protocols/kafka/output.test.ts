import { describe, expect, it } from 'vitest';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import type { WireWriter } from '../../../src/protocols/kafka/codec/index.ts';
import { Output, SlabPool } from '../../../src/protocols/kafka/output.ts';
import { FakeConnection } from './harness.ts';

function setUp() {
  const env = manualEnvironment(1);
  const connection = new FakeConnection(env, 1);
  const pool = new SlabPool();
  let taken = 0;
  const output = new Output(connection, pool, () => {
    taken += 1;
  });
  let released = 0;
  const records = (...bytes: number[]) => {
    const slices = [{ kind: 'memory' as const, bytes: Uint8Array.from(bytes) }];
    return {
      length: bytes.length,
      ref: {
        slices,
        release: () => {
          released += 1;
        },
      },
    };
  };
  return { env, connection, pool, output, records, counts: () => ({ taken, released }) };
}

const sent = (connection: FakeConnection) => connection.parts.flatMap((part) => [...part]);

describe('Output', () => {
  it('sends slab bytes and records in the order in which they were appended', () => {
    const { env, connection, output, records, counts } = setUp();
    output.append((writer) => {
      writer.u8(1);
      writer.cut(records(2, 3));
      writer.u8(4);
    });
    output.append((writer) => writer.u8(5));
    output.flush();
    expect(sent(connection)).toEqual([1, 2, 3, 4, 5]);
    expect(counts()).toEqual({ taken: 0, released: 0 });
    env.run();
    expect(counts()).toEqual({ taken: 1, released: 1 });
  });

  it('gives back records that were appended and never flushed, once', () => {
    const { output, records, counts } = setUp();
    output.append((writer) => writer.cut(records(1)));
    output.close();
    output.close();
    output.flush();
    expect(counts().released).toBe(1);
  });

  it('takes back a frame whose encoding fails and keeps what was there before', () => {
    const { connection, output, records, counts } = setUp();
    output.append((writer) => writer.u8(1));
    const half = (writer: WireWriter) => {
      writer.u8(2);
      writer.cut(records(3));
      throw new Error('does not fit');
    };
    expect(() => output.append(half)).toThrow('does not fit');
    expect(counts().released).toBe(1);
    output.flush();
    expect(sent(connection)).toEqual([1]);
  });

  it('does not reuse a slab before the socket is done with it', () => {
    const { env, connection, pool, output } = setUp();
    output.append((writer) => writer.u8(1));
    connection.isStuck = true;
    output.flush();
    const other = pool.take();
    output.append((writer) => expect(writer).not.toBe(other));
    expect(output.slabsInFlight).toBe(1);
    connection.drain();
    env.run();
    expect(output.slabsInFlight).toBe(0);
  });
});
