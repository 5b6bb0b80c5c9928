// A newcomer asks a member who the cluster is: proofs on both sides first, one request, one answer; and links learn from
// greetings where who dials is dialled.
import { expect, test } from 'vitest';
import { actor, createSystem, protocol, tell } from '../../../src/actors/index.ts';
import { GREETING_BYTES, PROOF_BYTES } from '../../../src/actors/links/handshake.ts';
import { introduce } from '../../../src/actors/links/introduction.ts';
import { Links } from '../../../src/actors/links/links.ts';
import type { AnyProtocol } from '../../../src/actors/protocol.ts';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import { MemoryNet } from '../../../src/actors/testkit/memory-net.ts';
import { u32 } from '../../../src/codec/index.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/std/utf8.ts';
import { rawDialer } from './raw-dialer.ts';

const Sink = protocol('sink', 1, { note: tell(u32) });
const Other = protocol('sink', 2, { note: tell(u32), more: tell(u32) });
const to = { host: '127.0.0.1', port: 1002 };

async function world(answers = true) {
  const base = manualEnvironment(1);
  const net = new MemoryNet(base.runQueue, base.random);
  const env = Object.assign(base, { net });
  const make = (node: number, clusterId = 'test-cluster', token = 'secret') => {
    const system = createSystem(env, {
      name: `n${node}`,
      node,
      incarnation: node * 11,
      thread: 0,
      threadCount: 1,
      protocols: [Sink],
    });
    const notes: number[] = [];
    const SinkActor = actor(Sink, () => ({ note: (n) => void notes.push(n) }));
    system.spawnWellKnown(20, 'sink', SinkActor, undefined);
    return { system, notes, links: new Links(system, { clusterId, token }) };
  };
  const b = make(2);
  const heard: string[] = [];
  if (answers) {
    b.links.onIntroduction = (request, { fromNode }) => {
      heard.push(`${fromNode}: ${decodeUtf8(request)}`);
      return encodeUtf8('we are test-cluster');
    };
  }
  await net.listen(to, (connection) => b.links.accept(connection));
  const knock = async (
    token = 'secret',
    protocols: readonly AnyProtocol[] = [Sink],
    request = encodeUtf8('who are you?'),
  ) => {
    const done = introduce({ env, to, token, node: 9, protocols, request });
    let outcome: Awaited<typeof done> | undefined;
    void done.then((value) => {
      outcome = value;
    });
    for (let i = 0; i < 40 && outcome === undefined; i += 1) await env.advanceAsync(250);
    return outcome;
  };
  return { env, net, b, make, heard, knock };
}

test('who knows the token asks and is answered, and becomes no link', async () => {
  const { b, heard, knock } = await world();
  const outcome = await knock();
  expect(outcome).toMatchObject({ kind: 'answered' });
  expect(decodeUtf8((outcome as { answer: Uint8Array }).answer)).toBe('we are test-cluster');
  expect(heard).toEqual(['9: who are you?']);
  expect(b.links.nodes()).toEqual([]);
});

test('a wrong token, other protocols and members without answers refuse each in their way, unheard', async () => {
  const { heard, knock } = await world();
  expect(await knock('another')).toMatchObject({ kind: 'refused', why: 'token' });
  const other = await knock('secret', [Other]);
  expect(other).toMatchObject({ kind: 'refused', why: 'protocols' });
  expect((other as { reason: string }).reason).toContain('sink');
  expect(heard).toEqual([]);
  const without = await world(false);
  const refused = await without.knock();
  expect(refused).toMatchObject({ kind: 'refused', why: 'other' });
  expect((refused as { reason: string }).reason).toContain('test-cluster');
});

test('a request that is too long is cut off, and nobody there is a failure in time', async () => {
  const { heard, knock, net, env } = await world();
  const long = await knock('secret', [Sink], new Uint8Array(5_000));
  expect(long).toMatchObject({ kind: 'failed' });
  expect(heard).toEqual([]);
  const port = 1009;
  // It accepts and says nothing.
  await net.listen({ host: '127.0.0.1', port }, (connection) =>
    connection.start({ onBytes: () => undefined, onClose: () => undefined }),
  );
  const request = encodeUtf8('?');
  let outcome: unknown;
  void introduce({
    env,
    to: { ...to, port },
    token: 's',
    node: 9,
    protocols: [Sink],
    request,
  }).then((value) => {
    outcome = value;
  });
  await env.advanceAsync(8_100);
  expect(outcome).toEqual({ kind: 'failed', reason: 'no answer in time' });
});

test('who does not know the token is not believed as a member', async () => {
  const { env, net, make } = await world();
  const liar = make(3, 'test-cluster', 'guessed');
  liar.links.onIntroduction = () => encodeUtf8('come in');
  await net.listen({ host: '127.0.0.1', port: 1003 }, (c) => liar.links.accept(c));
  let outcome: unknown;
  const request = encodeUtf8('?');
  const at = { host: '127.0.0.1', port: 1003 };
  void introduce({ env, to: at, token: 'secret', node: 9, protocols: [Sink], request }).then(
    (value) => {
      outcome = value;
    },
  );
  await env.advanceAsync(1_000);
  expect(outcome).toMatchObject({ kind: 'refused', why: 'token' });
});

test('a newcomer that says nothing behind its proof is sent away', async () => {
  const { env, net, b } = await world();
  const dialer = rawDialer(net, 1002, b.system, { clusterId: '', toNode: 0 });
  await env.settle();
  expect(dialer.sent.map(({ length }) => length)).toEqual([GREETING_BYTES, PROOF_BYTES]);
  // It is no link: the dialer of one does not take the question for a welcome.
  expect(dialer.outcome()).toContain('another kind of greeting');
  expect(dialer.isClosed).toBe(false);
  await env.advanceAsync(5_100);
  expect(dialer.isClosed).toBe(true);
});

test('who dials says where it is dialled: the way back needs no configuration', async () => {
  const { env, net, b, make } = await world();
  const a = make(1);
  const at = { host: '127.0.0.1', port: 1001 };
  await net.listen(at, (connection) => a.links.accept(connection));
  a.links.listensAt = at;
  a.links.setAddress(2, to);
  // What is learned elsewhere may be old; what the node says of itself is not.
  b.links.learnAddress(1, { host: '127.0.0.1', port: 9999 });
  a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 20 }).tell('note', 1);
  await env.advanceAsync(200);
  expect(b.notes).toEqual([1]);
  b.links.learnAddress(1, { host: '127.0.0.1', port: 9998 });
  b.system.wellKnown(Sink, { node: 1, thread: 0, slot: 20 }).tell('note', 2);
  await env.advanceAsync(200);
  expect(a.notes).toEqual([2]);
  expect(b.links.addressOf(1)).toMatchObject(at);
  b.links.forgetAddress(1);
  expect(b.links.addressOf(1)).toBeUndefined();
});

test('an address that was set is never exchanged', async () => {
  const { env, b, make } = await world();
  const a = make(1);
  a.links.listensAt = { host: '127.0.0.1', port: 1001 };
  a.links.setAddress(2, to);
  const proxy = { host: '127.0.0.1', port: 1500 };
  b.links.setAddress(1, proxy);
  a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 20 }).tell('note', 1);
  await env.advanceAsync(200);
  b.links.learnAddress(1, { host: '127.0.0.1', port: 1501 });
  b.links.forgetAddress(1);
  expect(b.notes).toEqual([1]);
  expect(b.links.addressOf(1)).toMatchObject(proxy);
});
