// What the door of inspection takes for a request, and what it refuses.
import { expect, test } from 'vitest';
import { answerHead, readRequest } from '../../../src/actors/inspect/http-request.ts';

const head = (line: string, ...fields: readonly string[]): string => [line, ...fields].join('\r\n');
const get = (...fields: readonly string[]) => head('GET /inspection HTTP/1.1', ...fields);

test('a request is its path, its query and its token', () => {
  const line = 'GET /inspection?sampleMs=1000&x HTTP/1.1';
  const text = head(line, 'Host: 127.0.0.1:4000', 'Authorization: Bearer secret-secret-secret');
  expect(readRequest(text, '127.0.0.1')).toEqual({
    path: '/inspection',
    query: new Map([
      ['sampleMs', '1000'],
      ['x', ''],
    ]),
    token: 'secret-secret-secret',
  });
});

test.each(['localhost', 'LOCALHOST.', 'localhost:1', '127.0.0.1', '10.1.2.3:99', '[::1]:8', 'box'])(
  'the host %s is ours',
  (host) => {
    expect(readRequest(get(`host: ${host}`), 'Box')).toMatchObject({ path: '/inspection' });
  },
);

test.each([
  ['a page under a name of its own', 421, get('host: evil.example')],
  ['a name that begins like ours', 421, get('host: localhost.evil.example')],
  ['an address as part of a name', 421, get('host: 127.0.0.1.evil.example')],
  ['no host', 400, get()],
  ['two hosts', 400, get('host: localhost', 'Host: evil.example')],
  ['a page of another origin', 403, get('host: localhost', 'origin: http://evil.example')],
  ['a page without an origin', 403, get('host: localhost', 'sec-fetch-site: cross-site')],
  ['a post', 405, head('POST /inspection HTTP/1.1', 'host: localhost')],
  ['a body', 413, get('host: localhost', 'content-length: 5')],
  ['a chunked body', 413, get('host: localhost', 'transfer-encoding: chunked')],
  ['a folded header', 400, get('host: localhost', ' folded')],
  ['a header without a colon', 400, get('host: localhost', 'nothing')],
  ['a proxy request', 400, head('GET http://evil.example/ HTTP/1.1', 'host: localhost')],
  ['HTTP/2', 400, 'PRI * HTTP/2.0'],
  ['nothing', 400, ''],
])('%s is refused', (_what, status, text) => {
  expect(readRequest(text, '127.0.0.1')).toMatchObject({ status });
});

test('an answer says how long it is, or ends with the connection', () => {
  expect(answerHead(200, 'application/json', 2)).toBe(
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n' +
      'cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n',
  );
  expect(answerHead(200, 'text/event-stream')).not.toContain('content-length');
});
