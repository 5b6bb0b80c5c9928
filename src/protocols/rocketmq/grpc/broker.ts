// The session's port over the broker's own words: topics are streams, groups have views of their logs, and
// asks go to whoever leads. Nothing is kept here but what is under way.
import {
  type DestinationView,
  type LogResult,
  type MetadataResult,
  type MetadataService,
  type MetadataView,
  nameSpread,
  PARTITION_KIND,
  type QueueAccess,
  type StreamAccess,
  type StreamMessage,
} from '../../../broker/ports.ts';
import { decodeUtf8, encodeUtf8 } from '../../../std/bytes.ts';
import { md5 } from './md5.ts';
import type {
  AcknowledgeAsk,
  AppendAsk,
  BrokerAnswer,
  BrokerAsk,
  BrokerNotice,
  CreateAsk,
  ExtendAsk,
  GroupView,
  Lease,
  LeaseResult,
  NodeAddress,
  ReceiveAsk,
  RocketBroker,
  TagFilter,
  TopicView,
  Trouble,
} from './ports.ts';
import { Header } from './properties.ts';

type Answer = (answer: BrokerAnswer) => void;
type Refused = Extract<MetadataResult, { readonly kind: 'refused' }>;

export interface RocketBrokerParts {
  readonly view: MetadataView;
  readonly metadata: Pick<MetadataService, 'create'>;
  readonly settings: { readonly autoCreate: boolean; readonly defaultPartitions: number };
  readonly streams: StreamAccess;
  /** The shard's: what is sent goes with all else that the shard publishes. */
  readonly queues: Pick<QueueAccess, 'append'>;
}

/** Under this name nodes register where they serve RocketMQ over gRPC. */
const ROCKET_GRPC_ENDPOINT = 'rocketmq-grpc';
const GIVE_BACK_MS = 10_000;
/** No attempt is the last: a message comes until it is acknowledged. The largest number that a client can hear. */
const ATTEMPTS_MAX = 2 ** 31 - 1;
/** What clients are told of a group, and what is done: what comes back is to be had at once, in any order. */
const GROUP: GroupView = { isFifo: false, deliveriesMax: ATTEMPTS_MAX, backoffMs: [0] };

/**
 * The key that receipt handles are checked with: every node derives the same. It keeps handles from being
 * mixed up, not from being forged: whoever may consume from a group may settle its messages anyway.
 */
export function handleKeyOf(clusterId: string): Uint8Array {
  return md5(encodeUtf8(`callboard receipt handles ${clusterId}`));
}

/**
 * @example
 * const broker = createRocketBroker({ view, metadata, settings, streams, queues });
 * createRocketGrpcService({ env, log, broker, handleKey: handleKeyOf(clusterId) });
 */
export function createRocketBroker(parts: RocketBrokerParts): RocketBroker {
  return new StreamBroker(parts);
}

class StreamBroker implements RocketBroker {
  readonly #parts: RocketBrokerParts;
  /** Receives under way, by token: how to end their wait. */
  readonly #receives = new Map<number, () => void>();

  constructor(parts: RocketBrokerParts) {
    this.#parts = parts;
  }

  get nodeId(): number {
    return this.#parts.view.nodeId;
  }

  get autoCreate(): boolean {
    return this.#parts.settings.autoCreate;
  }

  topic(name: string): TopicView | undefined {
    const found = this.#parts.view.destination(name);
    return found === undefined || !isTopic(found) ? undefined : topicOf(name, found);
  }

  nodes(): readonly NodeAddress[] {
    return this.#parts.view.nodes().flatMap(({ id: nodeId, isLive, endpoints }) => {
      const at = endpoints.get(ROCKET_GRPC_ENDPOINT);
      return !isLive || at === undefined ? [] : [{ nodeId, host: at.host, port: at.port }];
    });
  }

  group(): GroupView {
    return GROUP;
  }

  // ---- Asks -----------------------------------------------------------------------------------

  ask(ask: BrokerAsk, answer: Answer): void {
    switch (ask.kind) {
      case 'create':
        this.#create(ask, answer);
        break;
      case 'append':
        this.#append(ask, answer);
        break;
      case 'receive':
        this.#receive(ask, answer);
        break;
      case 'acknowledge':
        this.#acknowledge(ask, answer);
        break;
      case 'extend':
        this.#extend(ask, answer);
        break;
    }
  }

  #create({ topic, timeoutMs }: CreateAsk, answer: Answer): void {
    const { metadata, settings } = this.#parts;
    const what = {
      name: topic,
      partitions: settings.defaultPartitions,
      replicationFactor: -1,
      assignments: [],
      config: [],
      isInternal: false,
      kind: PARTITION_KIND,
      validateOnly: false,
    };
    const told = (result: 'ok' | Trouble, reason: string) =>
      answer({ kind: 'create', result, reason });
    metadata.create(what, timeoutMs).then(
      (result: MetadataResult) => {
        if (result.kind === 'ok' || this.topic(topic) !== undefined) told('ok', '');
        else if (result.kind === 'unavailable' || this.#passes(topic, result)) {
          told('unavailable', result.message);
        } else told('refused', refusalText(topic, result));
      },
      () => told('unavailable', 'the change was not made'),
    );
  }

  #append({ logId, records, timeoutMs }: AppendAsk, answer: Answer): void {
    this.#parts.queues.append(logId, records, timeoutMs, (result, baseOffset) => {
      const reason = result === 'ok' ? '' : `the log answers ${result}`;
      answer({ kind: 'append', result: appendResult(result), baseOffset, reason });
    });
  }

  /** Refused as things are now: this node has yet to hear of the topic, or too few nodes are live. */
  #passes(topic: string, { code }: Refused): boolean {
    if (code === 'invalid-replication-factor') return true;
    return code === 'exists' && this.#parts.view.destination(topic) === undefined;
  }

  #receive(ask: ReceiveAsk, answer: Answer): void {
    const { token, group, logIds, messagesMax, bytesMax, leaseMs, waitMs, tags } = ask;
    const wish = { group, logIds, messagesMax, bytesMax, leaseMs, waitMs, accepts: accepts(tags) };
    const stop = this.#parts.streams.receive(wish, (result, messages) => {
      this.#receives.delete(token);
      const records = messages.map(leasedRecord);
      if (result === 'ok') answer({ kind: 'receive', result, records, reason: '' });
      else {
        const reason = `the log answers ${result}`;
        answer({ kind: 'receive', result: troubleOf(result), records, reason });
      }
    });
    this.#receives.set(token, stop);
  }

  #acknowledge({ group, leases, timeoutMs }: AcknowledgeAsk, answer: Answer): void {
    const logId = leases[0]?.logId ?? -1;
    const verdict = { kind: 'acknowledge' } as const;
    this.#parts.streams.settle(group, logId, verdict, leases, timeoutMs, (result, held) => {
      const results = leases.map((_, at) => leaseResult(result, held[at] === true));
      answer({ kind: 'acknowledge', results });
    });
  }

  #extend({ group, lease, leaseMs, timeoutMs }: ExtendAsk, answer: Answer): void {
    const verdict = { kind: 'extend', leaseMs } as const;
    const { streams } = this.#parts;
    streams.settle(group, lease.logId, verdict, [lease], timeoutMs, (result, held) => {
      // The lease keeps its number: nobody else can have it meanwhile.
      answer({ kind: 'extend', result: leaseResult(result, held[0] === true), lease });
    });
  }

  // ---- Notices --------------------------------------------------------------------------------

  tell(notice: BrokerNotice): void {
    if (notice.kind === 'abandon') this.#receives.get(notice.token)?.();
    if (notice.kind === 'give-back') this.#giveBack(notice.group, notice.leases);
    // Nothing is bound to a client: what it holds comes back when its leases end.
  }

  #giveBack(group: string, leases: readonly Lease[]): void {
    const verdict = { kind: 'give-back' } as const;
    for (const logId of new Set(leases.map((lease) => lease.logId))) {
      const own = leases.filter((lease) => lease.logId === logId);
      this.#parts.streams.settle(group, logId, verdict, own, GIVE_BACK_MS, () => undefined);
    }
  }
}

/** Streams, and queues but for the exclusive ones: only the connection that declared one may use it. */
function isTopic({ isInternal, queue }: DestinationView): boolean {
  return !isInternal && queue?.owner === undefined;
}

function refusalText(topic: string, { code, message }: Refused): string {
  return code === 'exists' ? `${topic} is there, and is not for everybody` : message;
}

function topicOf(name: string, { logs, config, queue }: DestinationView): TopicView {
  return {
    name,
    logs: logs.map(({ logId, leader }) => ({ logId, leaderNodeId: leader })),
    brokerNames: nameSpread(config),
    kinds: ['normal', 'fifo'],
    isQueue: queue !== undefined,
  };
}

function accepts(tags: TagFilter) {
  if (tags === undefined) return undefined;
  return (headers: StreamMessage['headers']): boolean => {
    const tag = headers.find(({ name }) => name === Header.tag)?.value;
    return tag !== undefined && tag !== null && tags.has(decodeUtf8(tag));
  };
}

function leasedRecord(message: StreamMessage) {
  const { logId, offset, epoch, number, returns, timestampMs, key, value, headers } = message;
  const lease = { logId, offset, epoch, number };
  return { lease, timestampMs, key, value, headers, deliveryCount: returns + 1 };
}

function troubleOf(result: Exclude<LogResult, 'ok'>): Trouble {
  if (result === 'throttled' || result === 'no-space') return 'busy';
  if (result === 'timed-out' || result === 'leader-lost') return 'timed-out';
  return result === 'invalid' || result === 'unsupported' ? 'refused' : 'unavailable';
}

function appendResult(result: LogResult): 'ok' | 'too-large' | 'unknown-log' | Trouble {
  if (result === 'ok' || result === 'too-large' || result === 'unknown-log') return result;
  return troubleOf(result);
}

function leaseResult(result: LogResult, isHeld: boolean): LeaseResult {
  if (result !== 'ok') return troubleOf(result);
  return isHeld ? 'ok' : 'expired';
}
