import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import {
  isRetriable,
  KafkaErrorCode,
  kafkaErrorName,
} from '../../../src/protocols/kafka/errors.ts';

const require = createRequire(import.meta.url);
const root = require.resolve('kafkajs').replace(/index\.js$/, 'src/');
const { errorCodes } = require(`${root}protocol/error.js`) as {
  errorCodes: { type: string; code: number; retriable: boolean }[];
};

describe('Kafka error codes', () => {
  it('have a name for every number from -1 to 133, each once', () => {
    const numbers = Object.values(KafkaErrorCode);
    expect(new Set(numbers).size).toBe(135);
    for (let code = -1; code <= 133; code += 1) expect(kafkaErrorName(code)).toBeDefined();
    expect(kafkaErrorName(134)).toBeUndefined();
    expect(kafkaErrorName(KafkaErrorCode.NOT_LEADER_OR_FOLLOWER)).toBe('NOT_LEADER_OR_FOLLOWER');
  });

  it('have the numbers that kafkajs knows by the same name', () => {
    const table = KafkaErrorCode as Readonly<Record<string, number>>;
    const shared = errorCodes.filter(({ type }) => table[type] !== undefined);
    expect(shared.length).toBeGreaterThan(70);
    for (const { type, code } of shared) expect([type, table[type]]).toEqual([type, code]);
  });

  it('tell a client to try again after a leader change, not after a bad request', () => {
    for (const name of [
      'NOT_LEADER_OR_FOLLOWER',
      'NOT_COORDINATOR',
      'NOT_ENOUGH_REPLICAS',
      'REQUEST_TIMED_OUT',
    ] as const) {
      expect(isRetriable(KafkaErrorCode[name])).toBe(true);
    }
    for (const name of [
      'NONE',
      'INVALID_REQUEST',
      'UNKNOWN_MEMBER_ID',
      'MESSAGE_TOO_LARGE',
      'UNSUPPORTED_VERSION',
    ] as const) {
      expect(isRetriable(KafkaErrorCode[name])).toBe(false);
    }
  });
});
