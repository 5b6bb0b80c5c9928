// The shell without HTTP/2, as a simulation uses it: calls are objects, time is virtual.
import { describe, expect, it } from 'vitest';
import { ManualEnvironment } from '../../../../src/actors/testkit/manual-environment.ts';
import type { GrpcCall, GrpcCallEvents } from '../../../../src/env/grpc.ts';
import { createRocketGrpcService } from '../../../../src/protocols/rocketmq/grpc/listener.ts';
import {
  decodeMessage,
  type EncodableOf,
  encodeMessage,
} from '../../../../src/protocols/rocketmq/grpc/proto/index.ts';
import { ClientType, Code } from '../../../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS, type Method } from '../../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import { FakeBroker } from './fake-broker.ts';

class FakeCall implements GrpcCall {
  readonly path: string;
  readonly kind;
  readonly authority = '127.0.0.1:8081';
  readonly local = { host: '127.0.0.1', port: 8081 };
  readonly remote = { host: '127.0.0.1', port: 50_000 };
  readonly deadlineMs = Number.POSITIVE_INFINITY;
  readonly queuedBytes = 0;
  readonly sent: Uint8Array[] = [];
  status = -1;
  text = '';

  constructor(method: Method) {
    this.path = method.path;
    this.kind = method.kind;
  }

  metadata(name: string): string | undefined {
    return name === 'x-mq-client-id' ? 'client-1' : undefined;
  }

  send(message: Uint8Array): void {
    this.sent.push(message);
  }

  finish(status: number, text: string): void {
    this.status = status;
    this.text = text;
  }
}

function world() {
  const env = new ManualEnvironment(1);
  const broker = new FakeBroker();
  broker.makeTopic('orders', 1);
  const handleKey = new Uint8Array(16);
  const service = createRocketGrpcService({ env, log: env.log, broker, handleKey });
  const start = <M extends Method>(method: M, request: EncodableOf<M['request']>) => {
    const call = new FakeCall(method);
    const events: GrpcCallEvents = service.open(call);
    events.onMessage(encodeMessage(method.request, request as object));
    return { call, events };
  };
  return { env, broker, service, start };
}

describe('calls that are handed over directly', () => {
  it('are answered like those of a socket', async () => {
    const { service, start } = world();
    expect(service.kindOf(METHODS.receiveMessage.path)).toBe('server-stream');
    expect(service.kindOf(METHODS.telemetry.path)).toBe('bidi');
    expect(service.kindOf('/apache.rocketmq.v2.MessagingService/PullMessage')).toBe(undefined);
    const { call } = start(METHODS.sendMessage, {
      messages: [
        {
          topic: { name: 'orders' },
          body: Uint8Array.of(1),
          systemProperties: { messageId: 'id', messageType: 1 },
        },
      ],
    });
    await Promise.resolve();
    expect(call.status).toBe(0);
    const answer = decodeMessage(METHODS.sendMessage.response, call.sent[0]!);
    expect(answer.entries[0]).toMatchObject({ messageId: 'id', offset: 0 });
  });

  it('that meet a mistake of ours end with INTERNAL, and the others go on', () => {
    const { env, broker, start } = world();
    const topic = broker.topic.bind(broker);
    broker.topic = () => {
      throw new TypeError('a mistake');
    };
    const { call } = start(METHODS.queryRoute, { topic: { name: 'orders' } });
    expect(call).toMatchObject({ status: 13, text: 'internal error', sent: [] });
    expect(env.lines.at(-1)).toMatchObject({ level: 'error', fields: { reason: 'a mistake' } });
    broker.topic = topic;
    const next = start(METHODS.queryRoute, { topic: { name: 'orders' } });
    expect(next.call.status).toBe(0);
  });

  it('of clients that fall silent: the broker hears of it, until the service is closed', () => {
    const { env, broker, service, start } = world();
    const group = { name: 'group' };
    const beat = () => start(METHODS.heartbeat, { clientType: ClientType.SIMPLE_CONSUMER, group });
    const { call } = beat();
    const answer = decodeMessage(METHODS.heartbeat.response, call.sent[0]!);
    expect(answer.status?.code).toBe(Code.OK);
    env.advance(119_000);
    expect(broker.told).toEqual([]);
    env.advance(11_000);
    expect(broker.told).toEqual([{ kind: 'client-gone', clientId: 'client-1', group: 'group' }]);
    beat();
    service.close();
    env.advance(1_000_000);
    expect(broker.told).toHaveLength(1);
    expect(env.nextTimerMs).toBe(undefined);
  });

  it('of telemetry end when the client says so or is gone', () => {
    const { broker, start } = world();
    const settings = { clientType: ClientType.PRODUCER };
    const first = start(METHODS.telemetry, { settings });
    first.events.onHalfClose?.();
    expect(first.call).toMatchObject({ status: 0 });
    const second = start(METHODS.telemetry, { settings });
    second.events.onCancelled();
    expect(second.call.status).toBe(-1);
    expect(broker.told).toHaveLength(2);
  });
});
