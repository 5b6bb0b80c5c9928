// ElectLeaders (KIP-183, KIP-460): the first replica of a partition takes it back where it is in sync, or, of type
// unclean, whoever reaches furthest leads a partition that has no leader, whatever is lost. Each partition stands for
// itself. A first replica is handed the partition by whoever leads it, which may take a moment and may fail: it is asked
// for again until it has happened or the time of the request is over (REQUEST_TIMED_OUT, as by Kafka's DelayedElectLeader).
import type { LogView, MetadataResult } from '../../../broker/ports.ts';
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
/** A leader that could not hand over in that time has gone on. */
const AGAIN_MS = 2_500;
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

type Ending = 'led' | 'unfit' | 'late';

interface Wait {
  readonly logId: number;
  /** Undefined: anybody. */
  readonly wanted: number | undefined;
  readonly resolve: (ending: Ending) => void;
}

/** Elections that have begun: they are over when their logs are led, or cannot be, or with the time of the request. */
class Waits implements Flow {
  readonly exchange: Electing;
  readonly timeoutMs: number;
  /** A request may name a partition twice. */
  readonly #open = new Set<Wait>();
  readonly #stop: () => void;
  #leftMs: number;
  #isLate = false;
  /** Those of the same turn, and what became of asking for them. */
  #asking: { readonly logIds: number[]; readonly result: Promise<MetadataResult> } | undefined;

  constructor(exchange: Electing) {
    this.exchange = exchange;
    this.timeoutMs = Math.min(Math.max(exchange.body.timeoutMs, 1), TIMEOUT_MAX_MS);
    this.#leftMs = this.timeoutMs;
    this.#stop = exchange.ports.view.onLogs(() => this.#look());
    exchange.flow = this;
    this.#rest();
  }

  /** All partitions of a request are one change. */
  prefer(logId: number): Promise<MetadataResult> {
    this.#asking ??= this.#ask([]);
    this.#asking.logIds.push(logId);
    return this.#asking.result;
  }

  #ask(logIds: number[]) {
    const { metadata } = this.exchange.ports;
    const result = Promise.resolve().then(() => {
      this.#asking = undefined;
      return metadata.preferLeaders(logIds, this.timeoutMs);
    });
    return { logIds, result };
  }

  /** Until `wanted` leads it, or anybody. */
  led(logId: number, wanted?: number): Promise<Ending> {
    if (this.#isLate) return Promise.resolve('late');
    return new Promise((resolve) => {
      this.#open.add({ logId, wanted, resolve });
      this.#look();
    });
  }

  #look(): void {
    const { view } = this.exchange.ports;
    for (const wait of [...this.#open]) {
      const ending = endingOf(view.log(wait.logId), wait.wanted);
      if (ending === undefined) continue;
      this.#open.delete(wait);
      wait.resolve(ending);
    }
  }

  #rest(): void {
    const stepMs = Math.min(this.#leftMs, AGAIN_MS);
    this.#leftMs -= stepMs;
    this.exchange.setDeadline(stepMs);
  }

  expired(): void {
    if (this.#leftMs <= 0) {
      this.#endAll();
      return;
    }
    this.#rest();
    const logIds = [...this.#open].flatMap(({ logId, wanted }) =>
      wanted === undefined ? [] : [logId],
    );
    if (logIds.length === 0) return;
    const { metadata } = this.exchange.ports;
    this.exchange.after(metadata.preferLeaders(logIds, AGAIN_MS), () => this.#look());
  }

  #endAll(): void {
    this.#isLate = true;
    for (const { resolve } of this.#open) resolve('late');
    this.#open.clear();
  }

  abandoned(): void {
    this.#stop();
    this.#endAll();
  }
}

/** Undefined: it goes on. */
function endingOf(log: LogView | undefined, wanted: number | undefined): Ending | undefined {
  if (log === undefined) return 'unfit';
  if (wanted === undefined) return log.leader >= 0 ? 'led' : undefined;
  if (log.leader === wanted) return 'led';
  return log.replicas[0] === wanted && isFit(log, wanted) ? undefined : 'unfit';
}

function isFit({ isr, offline }: LogView, node: number): boolean {
  return isr.includes(node) && !offline.includes(node);
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

async function preferred(waits: Waits, log: LogView): Promise<MetadataOutcome> {
  const { logId, leader, replicas } = log;
  const [first] = replicas;
  if (leader === first) return { code: E.ELECTION_NOT_NEEDED, message: 'it leads already' };
  const message = `node ${first}, the first replica, is not in sync`;
  const unavailable = { code: E.PREFERRED_LEADER_NOT_AVAILABLE, message };
  if (first === undefined || !isFit(log, first)) return unavailable;
  const result = await waits.prefer(logId);
  if (result.kind !== 'ok') return metadataOutcome(result);
  switch (await waits.led(logId, first)) {
    case 'led':
      return DONE;
    case 'unfit':
      return unavailable;
    case 'late':
      return { code: E.REQUEST_TIMED_OUT, message: `node ${leader} has not handed over yet` };
  }
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
  if ((await waits.led(log.logId)) === 'led') return DONE;
  const message = 'its replicas are still being asked how far they reach';
  return { code: E.REQUEST_TIMED_OUT, message };
}
