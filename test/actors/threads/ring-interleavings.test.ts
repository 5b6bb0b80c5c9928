// The ring's two promises in every order of the atomic operations of both threads: a reader that sleeps is woken
// when something is shown, and a writer that waits for room hears of it. The reader and writer are the real ones.
import { expect, test } from 'vitest';
import { KIND_TELL, paddedSize } from '../../../src/actors/record.ts';
import {
  CONTROL_LINE_BYTES,
  createRing,
  RING_DATA_AT,
  RingReader,
  RingWriter,
} from '../../../src/actors/threads/ring.ts';
import { Interleavings } from './interleavings.ts';

const RING_BYTES = 4096;
/** Tail, head, sleeping, wants room. */
const CONTROL_LINES = [0, 1, 2, 3].map((line) => (line * CONTROL_LINE_BYTES) / 4);
/** Words of the bells: of the reader and of the writer. */
const READER = 0;
const WRITER = 1;

interface World {
  readonly ring: SharedArrayBuffer;
  readonly bells: Int32Array;
  /** What the reader's runs have seen; only the last run counts. */
  taken: number[];
}

function write(writer: RingWriter, number: number, size: number): boolean {
  const at = writer.reserve(size);
  if (at < 0) return false;
  writer.view.setUint32(at, size, true);
  writer.view.setUint8(at + 6, KIND_TELL);
  writer.view.setUint8(at + 7, number);
  writer.commit();
  return true;
}

/** Numbers of the records in a chunk. */
function numbers(bytes: Uint8Array, count: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: number[] = [];
  for (let i = 0, at = 0; i < count; i += 1) {
    found.push(view.getUint8(at + 7));
    at += paddedSize(view.getUint32(at, true));
  }
  return found;
}

interface Parts {
  readonly records: number;
  readonly recordBytes: number;
  readonly perPublish: number;
  readonly startIndex: number;
  /** How the reader goes to sleep: true if it may wait for its bell. */
  readonly sleep: (reader: RingReader) => boolean;
  /** How the writer begins to wait for room: true if it must wait for its bell. */
  readonly wait: (writer: RingWriter) => boolean;
}

const SOUND: Parts = {
  records: 3,
  recordBytes: 16,
  perPublish: 1,
  startIndex: 0,
  sleep: (reader) => reader.sleep(),
  wait(writer) {
    writer.wantRoom();
    return writer.usedBytes !== 0;
  },
};

function explore(changes: Partial<Parts> = {}): Interleavings<World> {
  const parts = { ...SOUND, ...changes };
  const { records, recordBytes, perPublish } = parts;
  const fresh = new Uint8Array(createRing(RING_BYTES, parts.startIndex));
  // Shared memory is dear to make: every run gets the same, as it was in the beginning.
  const ring = new SharedArrayBuffer(fresh.length);
  const control = new Int32Array(ring, 0, RING_DATA_AT / 4);
  const walk: Interleavings<World> = new Interleavings<World>({
    make() {
      new Uint8Array(ring).set(fresh);
      return { ring, bells: new Int32Array(2), taken: [] };
    },
    words: ({ bells }) => [...CONTROL_LINES.map((at) => control[at]!), ...bells],
    threads(world) {
      const bells = walk.bells(world.bells);
      return [
        () => {
          const writer = new RingWriter(world.ring);
          const publish = () => {
            if (writer.publish()) bells.ring(READER);
          };
          for (let number = 1; number <= records; number += 1) {
            while (!write(writer, number, recordBytes)) {
              publish();
              if (parts.wait(writer)) bells.waitFor(WRITER);
            }
            if (number % perPublish === 0) publish();
          }
          publish();
        },
        () => {
          const reader = new RingReader(world.ring);
          world.taken = [];
          while (world.taken.length < records) {
            const chunk = reader.take(2);
            if (chunk !== undefined) {
              world.taken.push(...numbers(chunk.bytes, chunk.count));
              if (reader.takeRoomWish()) bells.ring(WRITER);
            } else if (parts.sleep(reader)) {
              bells.waitFor(READER);
              reader.wake();
            }
          }
        },
      ];
    },
    atEnd({ taken }, isBlocked) {
      expect(isBlocked).toEqual([false, false]);
      expect(taken).toHaveLength(records);
    },
  });
  return walk.run();
}

test.each([
  { perPublish: 1, startIndex: 0 },
  { perPublish: 2, startIndex: 0 },
  { perPublish: 1, startIndex: 0xffff_fff0 },
  { perPublish: 3, startIndex: RING_BYTES - 24 },
])('whatever is shown is taken, and no bell is missed: %o', (changes) => {
  const walk = explore(changes);
  expect(walk.states).toBeGreaterThan(50);
  expect(walk.ends).toBeGreaterThan(1);
});

test('a reader that sleeps without looking again is found', () => {
  const sleep = (reader: RingReader): boolean => {
    reader.sleep();
    return true;
  };
  // As it is, sleep takes the flag back when it finds something: waiting all the same is the mistake.
  expect(() => explore({ sleep })).toThrow(/after [01]+:/);
});

test('a writer that waits for room hears of it', () => {
  const walk = explore({ recordBytes: 2000, perPublish: 2 });
  expect(walk.states).toBeGreaterThan(50);
});

test('a writer that waits without looking again is found', () => {
  const wait = (writer: RingWriter): boolean => {
    writer.wantRoom();
    return true;
  };
  expect(() => explore({ recordBytes: 2000, perPublish: 2, wait })).toThrow(/after [01]+:/);
});
