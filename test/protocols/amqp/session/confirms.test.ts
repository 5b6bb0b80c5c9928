import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Confirms } from '../../../../src/protocols/amqp/session/confirms.ts';
import { ByteWriter } from '../../../../src/std/bytes.ts';
import { TestReader } from '../codec/tape-reader.ts';

interface Told {
  readonly op: string;
  readonly tag: number;
  readonly isMultiple: boolean;
}

function flushed(confirms: Confirms): Told[] {
  const writer = new ByteWriter();
  confirms.flush(writer, 4);
  const { entries } = new TestReader({ peer: 'server' }).receive(writer.finish());
  return entries.map((entry) => {
    if (entry.op !== 'ack' && entry.op !== 'nack') throw new Error(`a ${entry.op}`);
    expect(entry.channel).toBe(4);
    return { op: entry.op, tag: Number(entry.tag), isMultiple: entry.bits === 1 };
  });
}

const shown = (told: readonly Told[]): string[] =>
  told.map(({ op, tag, isMultiple }) => `${op} ${isMultiple ? '..' : ''}${tag}`);

function published(count: number): Confirms {
  const confirms = new Confirms();
  for (let number = 1; number <= count; number += 1) expect(confirms.next()).toBe(number);
  return confirms;
}

describe('confirms', () => {
  it('are one acknowledgement for all up to the first that is open', () => {
    const confirms = published(5);
    for (const number of [3, 1, 2, 5]) confirms.resolve(number, true);
    expect(shown(flushed(confirms))).toEqual(['ack ..3', 'ack 5']);
    confirms.resolve(4, true);
    expect(shown(flushed(confirms))).toEqual(['ack 4']);
    expect(confirms.hasOpen).toBe(false);
    expect(flushed(confirms)).toEqual([]);
  });

  it('keep refusals apart', () => {
    const confirms = published(7);
    for (const number of [1, 2, 5, 7]) confirms.resolve(number, true);
    for (const number of [3, 4]) confirms.resolve(number, false);
    expect(shown(flushed(confirms))).toEqual(['ack ..2', 'nack ..4', 'ack 5', 'ack 7']);
    confirms.resolve(6, false);
    expect(shown(flushed(confirms))).toEqual(['nack 6']);
  });

  it('tell every publish once, and nothing that is not known, in whatever order it comes', () => {
    const outcome = fc.record({ place: fc.nat(), isStored: fc.boolean(), ends: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(outcome, { maxLength: 200 }),
        fc.integer({ min: 1, max: 9 }),
        (outcomes, ahead) => {
          const confirms = new Confirms();
          const open: number[] = [];
          /** What the client still waits for, and what it should hear. */
          const unheard = new Map<number, boolean | undefined>();
          const hear = (): void => {
            for (const { op, tag, isMultiple } of flushed(confirms)) {
              for (const [number, isStored] of [...unheard]) {
                if (number !== tag && !(isMultiple && number < tag)) continue;
                expect(isStored).toBe(op === 'ack');
                unheard.delete(number);
              }
            }
            // Nothing that is known stays untold.
            expect([...unheard.values()].every((isStored) => isStored === undefined)).toBe(true);
          };
          for (const { place, isStored, ends } of outcomes) {
            while (open.length < ahead) {
              const number = confirms.next();
              open.push(number);
              unheard.set(number, undefined);
            }
            const [number] = open.splice(place % open.length, 1);
            confirms.resolve(number, isStored);
            unheard.set(number, isStored);
            if (ends) hear();
          }
          hear();
        },
      ),
    );
  });

  it('give their memory back after a burst', () => {
    const confirms = published(100_000);
    for (let number = 1; number <= 100_000; number += 1) confirms.resolve(number, true);
    expect(shown(flushed(confirms))).toEqual(['ack ..100000']);
    expect(confirms.next()).toBe(100_001);
    confirms.resolve(100_001, true);
    expect(shown(flushed(confirms))).toEqual(['ack 100001']);
  });
});
