// The way from a group to its coordinator: finding it for a client, and asking it on behalf of one. A
// group is a name on one of a few group logs; whoever leads that log coordinates the group.
import {
  type AnsweredInput,
  decodeGroupAnswer,
  encodeGroupCommand,
  type GroupAnswer,
  type GroupCommand,
  type HostRef,
  type LogView,
} from '../../../broker/ports.ts';
import { brokerAddress } from '../addresses.ts';
import type { Api, FindCoordinator, ResponseInput } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange, Flow } from '../exchange.ts';
import { coordinatorCode } from '../outcomes.ts';

const GROUP_KEY = 0;
const CREATE_TIMEOUT_MS = 5_000;
/** The host keeps the time of a command; this much later the host itself is taken for lost. */
const GRACE_MS = 2_000;

/** What one question to a coordinator came to: its answer, or an error number. */
export type GroupReply =
  | { readonly code: 0; readonly answer: GroupAnswer }
  | { readonly code: number; readonly answer: undefined };

export interface GroupQuestion {
  /** undefined: the group log is not known here. */
  readonly log: LogView | undefined;
  readonly command: GroupCommand;
}

class GroupFlow implements Flow {
  readonly #replies: GroupReply[] = [];
  /** Questions without an answer, and who was asked. */
  readonly #open = new Map<number, HostRef>();
  readonly #done: (replies: readonly GroupReply[]) => void;

  constructor(done: (replies: readonly GroupReply[]) => void) {
    this.#done = done;
  }

  start<A extends Api>(
    exchange: Exchange<A>,
    questions: readonly GroupQuestion[],
    timeoutMs: number,
  ): void {
    exchange.flow = this;
    const { ports, host } = exchange;
    for (const { log, command } of questions) {
      const index = this.#replies.length;
      const isHere = log !== undefined && log.leader === ports.view.nodeId;
      const logHost = isHere ? ports.logHost(log.logId) : undefined;
      this.#replies.push({ code: E.NOT_COORDINATOR, answer: undefined });
      if (log === undefined || logHost === undefined) continue;
      this.#open.set(index, logHost);
      host.ask(logHost, 'command', {
        logId: log.logId,
        body: encodeGroupCommand(command),
        timeoutMs,
        token: exchange.token(index),
        replyTo: host.replyTo,
      });
    }
    if (this.#open.size === 0) this.#done(this.#replies);
    else exchange.setDeadline(timeoutMs + GRACE_MS);
  }

  answered(index: number, input: AnsweredInput): void {
    if (!this.#open.delete(index)) return;
    this.#replies[index] =
      input.result === 'ok'
        ? { code: 0, answer: decodeGroupAnswer(input.body) }
        : { code: coordinatorCode(input.result), answer: undefined };
    if (this.#open.size === 0) this.#done(this.#replies);
  }

  refused(index: number): void {
    this.#fail([index]);
  }

  hostLost(host: HostRef): void {
    this.#fail([...this.#open.keys()].filter((index) => this.#open.get(index) === host));
  }

  expired(): void {
    this.#fail([...this.#open.keys()]);
  }

  #fail(indexes: readonly number[]): void {
    const wereOpen = indexes.filter((index) => this.#open.delete(index));
    for (const index of wereOpen) {
      this.#replies[index] = { code: E.COORDINATOR_NOT_AVAILABLE, answer: undefined };
    }
    if (wereOpen.length > 0 && this.#open.size === 0) this.#done(this.#replies);
  }
}

/** Asks coordinators and hands over all replies, in the order of the questions. */
export function askCoordinators<A extends Api>(
  exchange: Exchange<A>,
  questions: readonly GroupQuestion[],
  timeoutMs: number,
  done: (replies: readonly GroupReply[]) => void,
): void {
  new GroupFlow(done).start(exchange, questions, timeoutMs);
}

/** Asks the coordinator of one group. */
export function askGroup<A extends Api>(
  exchange: Exchange<A>,
  group: string,
  command: GroupCommand,
  timeoutMs: number,
  done: (reply: GroupReply) => void,
): void {
  const log = exchange.ports.coordinatorLog(group);
  askCoordinators(exchange, [{ log, command }], timeoutMs, (replies) => done(replies[0]!));
}

// ---- FindCoordinator ---------------------------------------------------------------------------

type Coordinator = NonNullable<ResponseInput<typeof FindCoordinator>['coordinators']>[number];

export function findCoordinator(exchange: Exchange<typeof FindCoordinator>): void {
  const { ports, body } = exchange;
  if (body.keyType === GROUP_KEY && ports.groupLogs().length === 0) {
    // The first group of a cluster makes the group logs.
    exchange.after(ports.createGroupLogs(CREATE_TIMEOUT_MS), () => answerFind(exchange));
  } else {
    answerFind(exchange);
  }
}

function answerFind(exchange: Exchange<typeof FindCoordinator>): void {
  const { body, version } = exchange;
  if (version >= 4) {
    exchange.respond({ coordinators: body.coordinatorKeys.map((key) => locate(exchange, key)) });
    return;
  }
  const { errorCode, errorMessage, nodeId, host, port } = locate(exchange, body.key);
  exchange.respond({ errorCode, errorMessage, nodeId, host, port });
}

function locate(exchange: Exchange<typeof FindCoordinator>, key: string): Coordinator {
  const { ports, body } = exchange;
  const nowhere = { key, nodeId: -1, host: '', port: -1 };
  if (body.keyType !== GROUP_KEY) {
    const errorMessage = `coordinators of type ${body.keyType} are not part of this version`;
    return { ...nowhere, errorCode: E.INVALID_REQUEST, errorMessage };
  }
  const leader = ports.coordinatorLog(key)?.leader ?? -1;
  const address = leader < 0 ? undefined : brokerAddress(ports.view, leader, exchange.host);
  if (address === undefined) {
    const errorMessage = 'the group has no coordinator now';
    return { ...nowhere, errorCode: E.COORDINATOR_NOT_AVAILABLE, errorMessage };
  }
  const { nodeId, host, port } = address;
  return { key, nodeId, host, port, errorCode: E.NONE, errorMessage: null };
}
