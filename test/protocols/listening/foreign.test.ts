// Who speaks what, by the first bytes, as the clients of each protocol say them.
import { expect, it } from 'vitest';
import { type Foreign, foreignOf } from '../../../src/protocols/listening/foreign.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

it.each<[Foreign, Uint8Array]>([
  ['HTTP', bytes('GET / HTTP/1.1\r\n')],
  ['HTTP', bytes('POST /api HTTP/1.1\r\n')],
  ['gRPC', bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['TLS', Uint8Array.of(0x16, 3, 1, 0, 0xf0, 1, 0, 0)],
  ['SSH', bytes('SSH-2.0-OpenSSH_9.6\r\n')],
  ['AMQP', bytes('AMQP\0\0\x09\x01')],
  // ApiVersions, version 3.
  ['Kafka', Uint8Array.of(0, 0, 0, 30, 0, 18, 0, 3, 0, 0, 0, 1)],
  [
    'RocketMQ Remoting',
    Buffer.concat([Uint8Array.of(0, 0, 1, 16, 0, 0, 0, 200), bytes('{"code"')]),
  ],
  ['unknown', bytes('hello, who is there?')],
  ['unknown', Uint8Array.of(0, 0, 0, 30, 0xff, 0xff, 0, 3)],
  ['unknown', Uint8Array.of(0, 0, 0, 30)],
  ['unknown', bytes('GE')],
  ['unknown', new Uint8Array(0)],
])('%s', (name, head) => {
  expect(foreignOf(head)).toBe(name);
});
