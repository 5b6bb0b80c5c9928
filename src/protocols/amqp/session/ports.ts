// What a session is given, and what it asks for. Everything it calls here returns at once; answers to questions come
// later, in turns of the connection, and each exactly once.
import type {
  BindingView,
  CreateDestination,
  DeclareQueue,
  ExchangeView,
  LogResult,
  MetadataResult,
  MetadataView,
  QueueAccess,
  QueueOwner,
  QueueStats,
} from '../../../broker/ports.ts';
import type { ByteWriter } from '../../../std/bytes.ts';
import type { WrongProtocol } from '../codec/index.ts';

/** Questions that are rare, as data. */
export type Question =
  | { readonly kind: 'declare-exchange'; readonly exchange: ExchangeView }
  | { readonly kind: 'delete-exchange'; readonly name: string; readonly ifUnused: boolean }
  | { readonly kind: 'bind'; readonly binding: BindingView }
  | { readonly kind: 'unbind'; readonly binding: BindingView }
  | { readonly kind: 'declare-queue'; readonly queue: DeclareQueue }
  | { readonly kind: 'declare-stream'; readonly stream: CreateDestination }
  | { readonly kind: 'delete-stream'; readonly name: string }
  /** How many messages are in all logs of a stream. */
  | { readonly kind: 'messages'; readonly logIds: readonly number[] }
  | { readonly kind: 'delete-queue'; readonly name: string; readonly logId: number }
  /** Deletes the queue unless somebody consumes. */
  | { readonly kind: 'delete-unused'; readonly name: string; readonly logId: number }
  | { readonly kind: 'release-owner'; readonly owner: QueueOwner }
  | { readonly kind: 'stats'; readonly logId: number }
  | { readonly kind: 'purge'; readonly logId: number }
  | {
      readonly kind: 'check';
      readonly logId: number;
      readonly isUnused: boolean;
      readonly isEmpty: boolean;
    };

export interface Answers {
  readonly 'declare-exchange': MetadataResult;
  readonly 'delete-exchange': MetadataResult;
  readonly bind: MetadataResult;
  readonly unbind: MetadataResult;
  readonly 'declare-queue': MetadataResult;
  readonly 'declare-stream': MetadataResult;
  readonly 'delete-stream': MetadataResult;
  readonly messages: number | LogResult;
  readonly 'delete-queue': MetadataResult;
  readonly 'delete-unused': 'done';
  readonly 'release-owner': 'done';
  readonly stats: QueueStats | LogResult;
  readonly purge: number | LogResult;
  readonly check: 'ok' | 'in-use' | 'not-empty' | LogResult;
}

export type QuestionKind = keyof Answers;
export type QuestionOf<K extends QuestionKind> = Extract<Question, { readonly kind: K }>;

/** Why nothing is read for a while; each reason counts on its own. */
export type PauseReason = 'publishes' | 'deferred' | 'blocked';

export interface SessionPorts {
  readonly view: MetadataView;
  readonly queues: Pick<QueueAccess, 'in' | 'reader'>;
  /** The client has opened this vhost, which is there: questions are about names in it from now on. */
  enter(vhost: string): void;
  /** Whether this thread knows all that was decided before this life of the node began. */
  readonly isMember: boolean;
  /** Is a login from where the client dials looked at now? */
  mayLogIn(): boolean;
  /** It was looked at, and was wrong. */
  loginFailed(): void;
  /** Unique among the connections of this node in this life. */
  readonly connection: number;
  /** Who owns the exclusive queues of this connection; undefined while the node is not registered. */
  owner(): QueueOwner | undefined;
  /** Is it a loopback address that the client dials from? */
  readonly isLoopback: boolean;
  /** Uniform in [0, 2^32). */
  random(): number;
  /** Where frames go: what is appended is written at the end of the turn. */
  writer(): ByteWriter;
  /** Asks for a `flush` at the end of this turn, though nothing was appended. */
  wake(): void;
  ask<K extends QuestionKind>(question: QuestionOf<K>, then: (answer: Answers[K]) => void): void;
  /** Calls `waitedLong` of the session unless `doneWaiting` comes first: one wait for each channel. */
  awaitQueue(channel: number): void;
  doneWaiting(channel: number): void;
  pause(reason: PauseReason): void;
  resume(reason: PauseReason): void;
  /** The handshake is done, in this way. */
  opened(facts: OpenedFacts): void;
  /** Sends what was appended, then closes: at once, or after so long without waiting for anything. */
  end(afterMs: number): void;
  /** Nothing of this connection is left in the broker. */
  released(): void;
  /** Another protocol came to this port. */
  foreign(seen: WrongProtocol['seen']): void;
  /** One line about why this connection ended early. */
  note(reason: string): void;
}

export interface OpenedFacts {
  readonly user: string;
  /** `connection_name` of the client's properties, if it gave one. */
  readonly name: string | undefined;
  /** Seconds; 0: none. */
  readonly heartbeatSeconds: number;
}
