import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
} from '../../../../src/protocols/rocketmq/grpc/proto/index.ts';
import { METHODS } from '../../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import { arbitraryOf } from './arbitrary.ts';
import { definition, NEWER_THAN_CLIENT, officialClass, officialOf, tablesOf } from './official.ts';

const TABLES = tablesOf(Object.values(METHODS));

describe('the schema tables against the classes of rocketmq-client-nodejs', () => {
  it('are all compared below', () => {
    expect(TABLES.map(({ name }) => name)).toContain('SystemProperties');
    expect(TABLES.length).toBeGreaterThan(50);
  });

  it.each(TABLES.map((table) => [table.name, table] as const))(
    '%s: the same bytes from the same values, and the same values from the same bytes',
    (_name, table) => {
      const random = fc.property(arbitraryOf(table), (value) => {
        const official = officialOf(table, value);
        const theirs = official.serializeBinary();
        const ours = encodeMessage(table, value);
        expect(ours).toEqual(theirs);
        const decoded = decodeMessage(table, theirs);
        expect(encodeMessage(table, decoded)).toEqual(theirs);
        const again = officialClass(table.name).deserializeBinary(ours);
        expect(again.toObject()).toEqual(official.toObject());
      });
      fc.assert(random, { numRuns: 60 });
    },
  );

  it('go beyond the client only where that is known', () => {
    for (const name of NEWER_THAN_CLIENT) {
      const [message, field] = name.split('.') as [string, string];
      const official = new (officialClass(message))();
      expect(Object.keys(official.toObject()).join()).not.toContain(field);
    }
  });

  it('have the numbers of the official enumerations', () => {
    const compared = new Set<string>();
    for (const table of TABLES) {
      for (const [name, { type }] of Object.entries(table.rows)) {
        if (type.kind !== 'enum') continue;
        const theirs = Object.values(definition).find(
          (each) => typeof each === 'object' && Object.keys(type.values)[0]! in each,
        );
        expect(theirs, `${table.name}.${name}`).toBeDefined();
        expect(type.values, `${table.name}.${name}`).toMatchObject(theirs!);
        compared.add(Object.keys(type.values)[0]!);
      }
    }
    expect(compared.size).toBe(11);
  });
});
