// SendMessage: all messages of a request are of one topic. A message with a group goes where its group always
// goes, by the hash that Kafka's producers use for keys; the others of a request go together to one log, in
// turn. (A request names no broker, so the queue that the client has picked cannot be meant.)
import { assert } from '../../../../std/assert.ts';
import { murmur2 } from '../../../../std/hash.ts';
import type { Exchange, Handled } from '../exchange.ts';
import { type Sendable, sendable } from '../messages-in.ts';
import { topicName } from '../names.ts';
import type { AppendAnswer, TopicLog, TopicView } from '../ports.ts';
import type { DecodedOf } from '../proto/index.ts';
import { joined, OK, Refusal, refusalOf, type Status, statusOf } from '../refusal.ts';
import { Code } from '../schema/enums.ts';
import type { SendMessageRequest } from '../schema/service.ts';
import { withTopic } from './routes.ts';

type Request = DecodedOf<typeof SendMessageRequest>;

export function sendMessage(exchange: Exchange, request: Request): Handled {
  const name = topicOf(request);
  if (name instanceof Refusal) return name;
  const messages = sendables(exchange, request);
  if (messages instanceof Refusal) return messages;
  return withTopic(exchange, name, (topic) => {
    const refusal = refuseKinds(topic, messages);
    if (refusal === undefined) new Sending(exchange, messages).start(topic);
    return refusal;
  });
}

function topicOf({ messages }: Request): string | Refusal {
  const first = messages[0];
  if (first === undefined) return new Refusal(Code.MESSAGE_CORRUPTED, 'there is no message');
  for (const { topic } of messages) {
    const isSame =
      topic?.name === first.topic?.name &&
      topic?.resourceNamespace === first.topic?.resourceNamespace;
    if (!isSame) return new Refusal(Code.MESSAGE_CORRUPTED, 'the messages have several topics');
  }
  return topicName(first.topic);
}

function sendables({ home, now }: Exchange, { messages }: Request): Sendable[] | Refusal {
  const { limits } = home;
  if (messages.length > limits.messagesPerSendMax) {
    const text = `a request has at most ${limits.messagesPerSendMax} messages`;
    return new Refusal(Code.PAYLOAD_TOO_LARGE, text);
  }
  const { unpack, md5Hex } = home;
  const rules = { limits, wallMs: now.wallMs, unpack, md5Hex };
  const found: Sendable[] = [];
  for (const message of messages) {
    const checked = sendable(message, rules);
    if (checked instanceof Refusal) return checked;
    found.push(checked);
  }
  return found;
}

function refuseKinds({ name, kinds }: TopicView, messages: readonly Sendable[]) {
  const other = messages.find(({ kind }) => !kinds.includes(kind));
  if (other === undefined) return undefined;
  const text = `the topic ${name} takes messages of type ${kinds.join(', ')}, not ${other.kind}`;
  return new Refusal(Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, text);
}

interface Part {
  readonly log: TopicLog;
  /** Indexes into the request. */
  readonly indexes: number[];
}

/** The messages of one request on their way to their logs. */
class Sending {
  readonly #exchange: Exchange;
  readonly #messages: readonly Sendable[];
  readonly #statuses: Status[] = [];
  readonly #offsets: number[] = [];
  #waiting = 0;

  constructor(exchange: Exchange, messages: readonly Sendable[]) {
    this.#exchange = exchange;
    this.#messages = messages;
  }

  start(topic: TopicView): void {
    const parts = this.#parts(topic);
    this.#waiting = parts.size;
    const { timeoutMs } = this.#exchange;
    for (const { log, indexes } of parts.values()) {
      const records = indexes.map((index) => this.#messages[index]!.record);
      this.#exchange.ask({ kind: 'append', logId: log.logId, records, timeoutMs }, (answer) => {
        this.#appended(indexes, answer);
        return undefined;
      });
    }
  }

  #parts({ logs }: TopicView): Map<number, Part> {
    const parts = new Map<number, Part>();
    let together: TopicLog | undefined;
    this.#messages.forEach(({ group, record }, index) => {
      let log: TopicLog;
      if (group === '') log = together ??= inTurn(logs, this.#exchange.home.nextTurn());
      else log = logs[(murmur2(record.key!) & 0x7fff_ffff) % logs.length]!;
      const part = parts.get(log.logId);
      if (part === undefined) parts.set(log.logId, { log, indexes: [index] });
      else part.indexes.push(index);
    });
    return parts;
  }

  #appended(indexes: readonly number[], answer: AppendAnswer): void {
    const status = statusOfAppend(answer);
    indexes.forEach((index, place) => {
      this.#statuses[index] = status;
      this.#offsets[index] = answer.baseOffset + place;
    });
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#reply();
  }

  #reply(): void {
    const entries = this.#messages.map(({ messageId }, index) => {
      const status = this.#statuses[index]!;
      if (status !== OK) return { status };
      // Clients take the id for that of the transaction, too, as the official proxy has it.
      return { status, messageId, transactionId: messageId, offset: this.#offsets[index]! };
    });
    this.#exchange.reply({ status: joined(this.#statuses), entries });
  }
}

/** The log whose turn it is; one that nobody leads is passed over while another is led. */
function inTurn(logs: readonly TopicLog[], turn: number): TopicLog {
  assert(logs.length > 0, 'a topic has logs');
  for (let i = 0; i < logs.length; i += 1) {
    const log = logs[(turn + i) % logs.length]!;
    if (log.leaderNodeId >= 0) return log;
  }
  return logs[turn % logs.length]!;
}

function statusOfAppend({ result, reason }: AppendAnswer): Status {
  switch (result) {
    case 'ok':
      return OK;
    case 'too-large':
      return { code: Code.MESSAGE_BODY_TOO_LARGE, message: reason };
    case 'unknown-log':
      return { code: Code.TOPIC_NOT_FOUND, message: reason };
    default:
      return statusOf(refusalOf(result, reason));
  }
}
