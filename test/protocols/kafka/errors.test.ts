import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { KafkaErrorCode } from '../../../src/protocols/kafka/errors.ts';

const require = createRequire(import.meta.url);
const root = require.resolve('kafkajs').replace(/index\.js$/, 'src/');
const { errorCodes } = require(`${root}protocol/error.js`) as {
  errorCodes: { type: string; code: number; retriable: boolean }[];
};

describe('Kafka error codes', () => {
  it('have a name for every number from -1 to 133, each once', () => {
    const numbers = Object.values(KafkaErrorCode).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 135 }, (_, i) => i - 1));
  });

  it('have the numbers that kafkajs knows by the same name', () => {
    const table = KafkaErrorCode as Readonly<Record<string, number>>;
    const shared = errorCodes.filter(({ type }) => table[type] !== undefined);
    expect(shared.length).toBeGreaterThan(70);
    for (const { type, code } of shared) expect([type, table[type]]).toEqual([type, code]);
  });
});
