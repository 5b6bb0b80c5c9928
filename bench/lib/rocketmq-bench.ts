// The frame of the RocketMQ benches: one node, one topic, requests by our own tables, and what the answers say.
import { encodeMessage } from '../../dist/protocols/rocketmq/grpc/proto/index.js';
import { METHODS } from '../../dist/protocols/rocketmq/grpc/schema/methods.js';
import type { DevNode } from '../../tools/lib/dev-cluster.mjs';
import { type GrpcWire, type Prepared, prepareCall } from './grpc-wire.ts';

export const TOPIC = 'bench';
export const BODY_BYTES = 1_024;
const CLIENT = 'bench';
const GROUP = { name: 'bench' };
/** `status { code: OK message: "OK" }`, the beginning of every good answer. */
const GOOD = Buffer.from('0a0808a09c0112024f4b', 'hex');

export function sendOf(count: number): Prepared {
  const body = Buffer.alloc(BODY_BYTES, 'x');
  const messages = Array.from({ length: count }, (_, i) => ({
    topic: { name: TOPIC },
    body,
    systemProperties: { messageId: `01BENCH${i}`, messageType: 1 },
  }));
  const { path, request } = METHODS.sendMessage;
  return prepareCall(path, CLIENT, encodeMessage(request, { messages }));
}

export function receiveOf(count: number): Prepared {
  const { path, request } = METHODS.receiveMessage;
  const wish = {
    group: GROUP,
    messageQueue: { topic: { name: TOPIC }, broker: { name: '' } },
    batchSize: count,
    invisibleDuration: { seconds: 600 },
    longPollingTimeout: { seconds: 1 },
  };
  return prepareCall(path, CLIENT, encodeMessage(request, wish));
}

export function acknowledgeOf(handles: readonly string[]): Prepared {
  const { path, request } = METHODS.ackMessage;
  const entries = handles.map((receiptHandle) => ({ messageId: 'm', receiptHandle }));
  const body = encodeMessage(request, { group: GROUP, topic: { name: TOPIC }, entries });
  return prepareCall(path, CLIENT, body);
}

/** Throws unless the answer begins with OK. */
export function mustBeGood(answer: Buffer | undefined): void {
  if (answer === undefined || GOOD.compare(answer, 0, GOOD.length) !== 0) {
    throw new Error(`an answer is not OK: ${answer?.toString('latin1')}`);
  }
}

/** Makes the topic: the first send waits for its leaders. */
export function firstSend(wire: GrpcWire): Promise<void> {
  return new Promise((resolve) => {
    wire.call(sendOf(1), ([answer]) => {
      mustBeGood(answer);
      resolve();
    });
  });
}

/** The number of records that the topic holds, as the node says. */
export async function storedCount(node: DevNode): Promise<number> {
  const answer = await fetch(`${node.http}/api/destinations`);
  const { destinations } = (await answer.json()) as {
    readonly destinations: readonly {
      readonly name: string;
      readonly partitions: readonly { readonly highWatermark: number }[];
    }[];
  };
  const found = destinations.find(({ name }) => name === TOPIC);
  return (found?.partitions ?? []).reduce((sum, { highWatermark }) => sum + highWatermark, 0);
}
