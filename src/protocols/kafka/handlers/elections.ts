// ElectLeaders (KIP-183, KIP-460): the first replica of a partition takes it back where it is in sync, or, of type
// unclean, whoever reaches furthest leads a partition that has no leader, whatever is lost. Each partition stands for
// itself.
import type { LogView } from '../../../broker/ports.ts';
import type { ElectLeaders, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange, Flow } from '../exchange.ts';
import { type MetadataOutcome, metadataOutcome } from '../outcomes.ts';
import { listedTopics, topicNamed } from '../visible-topics.ts';

type Electing = Exchange<typeof ElectLeaders>;
type Result = ResponseInput<typeof ElectLeaders>['replicaElectionResults'][number];

const PREFERRED = 0;
const UNCLEAN = 1;
const TIMEOUT_MAX_MS = 600_000;
const PARTITIONS_PER_REQUEST_MAX = 1_000;
const DONE: MetadataOutcome = { code: E.NONE, message: null };

export function electLeaders(exchange: Electing): void {
  const { electionType, topicPartitions } = exchange.body;
  if (electionType !== PREFERRED && electionType !== UNCLEAN) {
    exchange.respond({ errorCode: E.INVALID_REQUEST, replicaElectionResults: [] });
    return;
  }
  const wanted = topicPartitions ?? everything(exchange);
  const waits = new Waits(exchange);
  let count = 0;
  const results = wanted.map(async ({ topic, partitions }): Promise<Result> => {
    const elections = partitions.map((partition) => {
      count += 1;
      return count > PARTITIONS_PER_REQUEST_MAX ? tooMany() : electOne(waits, topic, partition);
    });
    const outcomes = await Promise.all(elections);
    return {
      topic,
      partitionResult: outcomes.map(({ code, message }, at) => ({
        partitionId: partitions[at]!,
        errorCode: code,
        errorMessage: message,
      })),
    };
  });
  exchange.after(Promise.all(results), (all) => {
    waits.abandoned();
    exchange.respond({
      errorCode: E.NONE,
      // Of all partitions only those are named of which something is to be said, as by Kafka.
      replicaElectionResults: topicPartitions === null ? all.flatMap(worthTelling) : all,
    });
  });
}

function everything({ ports }: Electing) {
  return listedTopics(ports.view, ports.groupDestination).map(({ name, logs }) => {
    return { topic: name, partitions: logs.map(({ partition }) => partition) };
  });
}

function worthTelling({ topic, partitionResult }: Result): Result[] {
  const told = partitionResult.filter(({ errorCode }) => errorCode !== E.ELECTION_NOT_NEEDED);
  return told.length === 0 ? [] : [{ topic, partitionResult: told }];
}

function tooMany(): Promise<MetadataOutcome> {
  const message = `one request elects leaders of at most ${PARTITIONS_PER_REQUEST_MAX} partitions`;
  return Promise.resolve({ code: E.POLICY_VIOLATION, message });
}

/** Elections that have begun: they are over when their logs have a leader, or with the time of the request. */
class Waits implements Flow {
  readonly exchange: Electing;
  readonly timeoutMs: number;
  readonly #open = new Map<number, (isLed: boolean) => void>();
  readonly #stop: () => void;

  constructor(exchange: Electing) {
    this.exchange = exchange;
    this.timeoutMs = Math.min(Math.max(exchange.body.timeoutMs, 1), TIMEOUT_MAX_MS);
    this.#stop = exchange.ports.view.onLogs(() => this.#look());
    exchange.flow = this;
    exchange.setDeadline(this.timeoutMs);
  }

  led(logId: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#open.set(logId, resolve);
      this.#look();
    });
  }

  #look(): void {
    const { view } = this.exchange.ports;
    for (const [logId, resolve] of [...this.#open]) {
      if ((view.log(logId)?.leader ?? -1) < 0) continue;
      this.#open.delete(logId);
      resolve(true);
    }
  }

  expired(): void {
    for (const resolve of this.#open.values()) resolve(false);
    this.#open.clear();
  }

  abandoned(): void {
    this.#stop();
    this.expired();
  }
}

async function electOne(waits: Waits, topic: string, partition: number): Promise<MetadataOutcome> {
  const { exchange } = waits;
  const found = topicNamed(exchange.ports.view, topic);
  if (typeof found === 'number') return { code: found, message: `there is no topic "${topic}"` };
  const log = found.logs[partition];
  if (log === undefined) {
    return { code: E.UNKNOWN_TOPIC_OR_PARTITION, message: `${topic} has no ${partition}` };
  }
  return exchange.body.electionType === UNCLEAN ? unclean(waits, log) : preferred(waits, log);
}

async function preferred({ exchange, timeoutMs }: Waits, log: LogView): Promise<MetadataOutcome> {
  const { ports } = exchange;
  const [first] = log.replicas;
  if (log.leader === first) return { code: E.ELECTION_NOT_NEEDED, message: 'it leads already' };
  const message = `node ${first}, the first replica, is not in sync`;
  const unavailable = { code: E.PREFERRED_LEADER_NOT_AVAILABLE, message };
  if (first === undefined || !log.isr.includes(first) || log.offline.includes(first)) {
    return unavailable;
  }
  const result = await ports.metadata.preferLeaders([log.logId], timeoutMs);
  if (result.kind !== 'ok') return metadataOutcome(result);
  return ports.view.log(log.logId)?.leader === first ? DONE : unavailable;
}

async function unclean(waits: Waits, log: LogView): Promise<MetadataOutcome> {
  if (log.leader >= 0) return { code: E.ELECTION_NOT_NEEDED, message: 'it has a leader' };
  if (log.offline.length === log.replicas.length) {
    const message = 'none of its replicas is live';
    return { code: E.ELIGIBLE_LEADERS_NOT_AVAILABLE, message };
  }
  const { metadata } = waits.exchange.ports;
  const result = await metadata.allowUnclean(log.logId, waits.timeoutMs);
  if (result.kind === 'unavailable') return metadataOutcome(result);
  // Refused: it has a leader by now.
  if (await waits.led(log.logId)) return DONE;
  const message = 'its replicas are still being asked how far they reach';
  return { code: E.REQUEST_TIMED_OUT, message };
}
