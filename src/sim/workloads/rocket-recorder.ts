// Writes down what RocketMQ clients of the workload see, and knows what their messages look like: everything that
// a message must bring back is in one digest. Reads a lease out of its handle, which clients take as it is.
import type { DecodedOf, EncodableOf } from '../../protocols/rocketmq/grpc/proto/index.ts';
import type { Message } from '../../protocols/rocketmq/grpc/schema/definition.ts';
import { fnv1a32 } from '../../std/hash.ts';
import {
  emptyGroupHistory,
  type GroupEvent,
  type GroupHistory,
  type Lease,
  type Send,
} from '../checkers/group-history.ts';
import type { World } from '../world.ts';

export type MessageIn = EncodableOf<typeof Message>;
type MessageOut = DecodedOf<typeof Message>;

type WithoutTime<E> = E extends GroupEvent ? Omit<E, 'at' | 'atMs'> : never;

export class RocketRecorder {
  readonly history: GroupHistory = emptyGroupHistory();
  readonly #world: World;
  #at = 0;
  #number = 0;
  readonly #routes = new Map<string, string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** A number that grows with everything that is written down. */
  nextAt(): number {
    this.#at += 1;
    return this.#at;
  }

  /** A number that nothing else has. */
  nextNumber(): number {
    this.#number += 1;
    return this.#number;
  }

  add(event: WithoutTime<GroupEvent>): void {
    this.history.events.push({
      ...event,
      at: this.nextAt(),
      atMs: this.#world.nowMs,
    } as GroupEvent);
  }

  /** Name and number of each queue of a topic: for ever the same, whoever is asked, whoever leads. */
  routed(topic: string, queues: readonly string[]): void {
    const text = queues.join(' ');
    const known = this.#routes.get(topic) ?? text;
    this.#routes.set(topic, known);
    if (known !== text) throw new Error(`${topic} was ${known}, and is ${text}`);
  }

  /** The send of a message that is about to leave for the first time. */
  sends(message: MessageIn, lane: string, order: number): Send {
    const { topic, systemProperties: system } = message;
    const send: Send = {
      id: system!.messageId!,
      topic: topic!.name!,
      lane,
      order,
      messageGroup: system!.messageGroup ?? '',
      tag: system!.tag ?? '',
      digest: digestOf(message),
      at: this.nextAt(),
      attempts: 0,
      outcome: 'unknown',
      storedAt: -1,
      offset: -1,
    };
    this.history.sends.push(send);
    return send;
  }

  /** A message of an answer that was whole. Answers the number of the delivery. */
  delivered(receive: number, message: MessageOut, partition: number): number {
    const system = message.systemProperties!;
    const delivery = this.nextNumber();
    this.add({
      kind: 'delivered',
      receive,
      delivery,
      lease: leaseOf(system.receiptHandle!, partition, system.queueOffset!),
      id: system.messageId,
      tag: system.tag ?? '',
      messageGroup: system.messageGroup ?? '',
      digest: digestOf(message),
      attempt: system.deliveryAttempt ?? 0,
    });
    return delivery;
  }
}

/** Of everything that comes out of a message as it went in. */
function digestOf({ body, userProperties, systemProperties }: MessageIn | MessageOut): number {
  const { messageId, tag, keys, messageGroup, messageType, bornTimestamp, bornHost, traceContext } =
    systemProperties ?? {};
  const { seconds, nanos } = bornTimestamp ?? {};
  const words = [
    messageId,
    tag ?? '',
    [...(keys ?? [])],
    messageGroup ?? '',
    messageType,
    [seconds, nanos],
    bornHost ?? '',
    traceContext ?? '',
    [...(userProperties ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)),
    fnv1a32(body ?? new Uint8Array(0)),
  ];
  return fnv1a32(JSON.stringify(words));
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** Places of the fields, in bytes, and the first that is none of the lease. */
const EPOCH_AT = 17;
const NUMBER_AT = 21;
const LEASE_END = 29;

/** The epoch and the number are big-endian at these places of what base64url stands for. */
function leaseOf(handle: string, partition: number, offset: number): Lease {
  const valueAt = (from: number, to: number): number => {
    let value = 0;
    for (let bit = from * 8; bit < to * 8; bit += 1) {
      const digit = ALPHABET.indexOf(handle[Math.floor(bit / 6)]!);
      value = value * 2 + ((digit >>> (5 - (bit % 6))) & 1);
    }
    return value;
  };
  const epoch = valueAt(EPOCH_AT, NUMBER_AT);
  return { partition, offset, epoch, number: valueAt(NUMBER_AT, LEASE_END) };
}
