// Topics over HTTP, over changes that a test makes fail.
import { expect, test } from 'vitest';
import type { AdminPorts } from '../../src/admin/ports.ts';
import { adminHandler } from '../../src/admin/routes.ts';
import type { MetadataResult } from '../../src/cluster/ports.ts';

const VIEWS = new Map(
  [
    { name: 't', isInternal: false, policy: 'p', config: new Map([['segment.ms', '1']]) },
    { name: '__own', isInternal: true, config: new Map() },
  ].map((view) => [view.name, { ...view, logs: [{ replicas: [1, 2], durability: 'async' }] }]),
);

function node(result: MetadataResult = { kind: 'ok', version: 1 }) {
  const asked: unknown[] = [];
  const note = (...words: readonly unknown[]) => {
    asked.push(words);
    return Promise.resolve(result);
  };
  const view = { destination: (name: string) => VIEWS.get(name) };
  const ports = { view, changes: { create: note, configure: note } } as unknown as AdminPorts;
  const handle = adminHandler(ports);
  return async (method: string, name: string, body: unknown = {}, query = {}) => {
    const answer = await handle({
      method,
      path: `/api/topics/${name}`,
      parts: ['api', 'topics', name],
      query: new Map(Object.entries(query)),
      body: new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body)),
      remote: '127.0.0.1',
    });
    return { status: answer.status, body: JSON.parse(answer.body as string), asked };
  };
}

const SHOWN = {
  name: 't',
  partitions: 1,
  replicationFactor: 2,
  durability: 'async',
  policy: 'p',
  config: { 'segment.ms': '1' },
};

test('a topic is made as it is asked for, or as the cluster has it, and answered as it is', async () => {
  const config = { 'callboard.durability': 'async' };
  const made = await node()('PUT', 't', { partitions: 2, replicationFactor: 3, config });
  expect([made.status, made.body]).toEqual([201, SHOWN]);
  const what = {
    name: 't',
    partitions: 2,
    replicationFactor: 3,
    assignments: [],
    config: [['callboard.durability', 'async']],
    isInternal: false,
    kind: 'partition',
    validateOnly: false,
  };
  expect(made.asked).toEqual([[what, 8_000]]);
  const { asked } = await node()('PUT', 't', '');
  expect(asked).toMatchObject([[{ partitions: -1, replicationFactor: -1, config: [] }, 8_000]]);
});

test('settings are changed and taken back, the others stay', async () => {
  const config = { 'retention.ms': '5', 'segment.ms': null };
  const { status, body, asked } = await node()('PATCH', 't', { config });
  expect([status, body]).toEqual([200, SHOWN]);
  const entries = [
    ['retention.ms', '5'],
    ['segment.ms', undefined],
  ];
  expect(asked).toEqual([[{ name: 't', replace: false, entries, validateOnly: false }, 8_000]]);
  expect((await node()('GET', 't')).body).toEqual(SHOWN);
});

const refused = (code: string): MetadataResult => ({ kind: 'refused', code, message: code });

test.each<[string, Parameters<ReturnType<typeof node>>, number, string, MetadataResult?]>([
  ['a name that is none', ['PUT', 'a b'], 400, 'REQUEST_INVALID'],
  ['an unknown setting', ['PUT', 't', { config: { a: 'b' } }], 400, 'REQUEST_INVALID'],
  [
    'a value that is none',
    ['PUT', 't', { config: { 'callboard.durability': 'x' } }],
    400,
    'REQUEST_INVALID',
  ],
  ['no value', ['PUT', 't', { config: { 'segment.ms': null } }], 400, 'REQUEST_INVALID'],
  ['a number as a value', ['PUT', 't', { config: { 'segment.ms': 1 } }], 400, 'REQUEST_INVALID'],
  ['no partitions', ['PUT', 't', { partitions: 0 }], 400, 'REQUEST_INVALID'],
  ['an unknown field', ['PUT', 't', { durability: 'sync' }], 400, 'REQUEST_INVALID'],
  ['a parameter', ['PUT', 't', {}, { a: '1' }], 400, 'REQUEST_INVALID'],
  ['no JSON', ['PUT', 't', 'x'], 400, 'REQUEST_INVALID'],
  ['a topic that is there', ['PUT', 't'], 409, 'DESTINATION_EXISTS', refused('exists')],
  ['what metadata refuses', ['PUT', 't'], 400, 'REQUEST_INVALID', refused('invalid-config')],
  ['no leader', ['PUT', 't'], 503, 'METADATA_UNAVAILABLE', { kind: 'unavailable', message: '' }],
  ['what is not there', ['PATCH', 'x', { config: {} }], 404, 'DESTINATION_UNKNOWN'],
  ["the cluster's own", ['PATCH', '__own', { config: {} }], 404, 'DESTINATION_UNKNOWN'],
  [
    'what was decided',
    ['PATCH', 't', { config: { 'callboard.broker.names': '2' } }],
    400,
    'REQUEST_INVALID',
  ],
  ['to take back nothing', ['PATCH', 't', { config: { a: null } }], 400, 'REQUEST_INVALID'],
  ['no config', ['PATCH', 't', {}], 400, 'REQUEST_INVALID'],
  ['a deletion', ['DELETE', 't'], 405, 'METHOD_NOT_ALLOWED'],
])('%s is refused', async (_what, words, status, code, result = undefined) => {
  const answer = await node(result)(...words);
  expect([answer.status, answer.body.error.code]).toEqual([status, code]);
});
