// Records as messages for those who receive them: the other way round of messages-in.ts, and for records that
// another protocol has stored, as much as RocketMQ has words for.

import { storedMessageId } from '../../../records/stored-id.ts';
import { BytesError, decodeUtf8, EMPTY_BYTES } from '../../../std/bytes.ts';
import type { LeasedRecord } from './ports.ts';
import { Header, isReserved } from './properties.ts';
import type { EncodableOf } from './proto/index.ts';
import type { Message } from './schema/definition.ts';
import { DigestType, Encoding, MessageType } from './schema/enums.ts';
import { partsOfMs } from './times.ts';

export interface Delivery {
  readonly md5Hex: (bytes: Uint8Array) => string;
  readonly record: LeasedRecord;
  readonly topic: { readonly resourceNamespace: string; readonly name: string };
  readonly queueId: number;
  readonly receiptHandle: string;
  readonly leaseMs: number;
}

/** Undefined where the bytes are no text: then RocketMQ has no words for them. */
function textOf(bytes: Uint8Array | null): string | undefined {
  if (bytes === null) return undefined;
  try {
    return decodeUtf8(bytes);
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}

interface Words {
  readonly system: Map<string, string>;
  readonly keys: string[];
  readonly user: Map<string, string>;
}

function wordsOf({ headers }: LeasedRecord): Words {
  const words: Words = { system: new Map(), keys: [], user: new Map() };
  for (const { name, value } of headers) {
    const text = textOf(value);
    if (text === undefined) continue;
    if (name === Header.key) words.keys.push(text);
    else if (isReserved(name)) words.system.set(name, text);
    else words.user.set(name, text);
  }
  return words;
}

function dueMsOf(words: Words): number | undefined {
  const text = words.system.get(Header.deliverAtMs);
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export function messageOf(delivery: Delivery): EncodableOf<typeof Message> {
  const { md5Hex, record, topic, queueId, receiptHandle, leaseMs } = delivery;
  const { lease, timestampMs } = record;
  const body = record.value ?? EMPTY_BYTES;
  const words = wordsOf(record);
  const dueMs = dueMsOf(words);
  const group = textOf(record.key);
  let messageType: number = MessageType.NORMAL;
  if (dueMs !== undefined) messageType = MessageType.DELAY;
  else if (group !== undefined) messageType = MessageType.FIFO;
  return {
    topic,
    userProperties: words.user,
    systemProperties: {
      tag: words.system.get(Header.tag),
      keys: words.keys,
      messageId: words.system.get(Header.messageId) ?? storedMessageId(lease.logId, lease.offset),
      bodyDigest: { type: DigestType.MD5, checksum: md5Hex(body) },
      bodyEncoding: Encoding.IDENTITY,
      messageType,
      bornTimestamp: partsOfMs(Math.max(0, timestampMs)),
      bornHost: words.system.get(Header.bornHost) ?? '',
      deliveryTimestamp: dueMs === undefined ? undefined : partsOfMs(dueMs),
      receiptHandle,
      queueId,
      queueOffset: lease.offset,
      invisibleDuration: partsOfMs(leaseMs),
      deliveryAttempt: record.deliveryCount,
      messageGroup: group,
      traceContext: words.system.get(Header.traceContext),
    },
    body,
  };
}
