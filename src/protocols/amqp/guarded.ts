// The broker calls sinks in turns of its own actors. A mistake in a session must end that session, and not the actor
// that told it something.
import type {
  ConsumerEnd,
  DeliveredMessage,
  PublishOutcome,
  PublishSink,
  QueueAccess,
  ReaderSink,
  RecordParts,
} from '../../broker/ports.ts';

type OnError = (error: unknown) => void;

class GuardedReaderSink implements ReaderSink {
  readonly #sink: ReaderSink;
  readonly #onError: OnError;

  constructor(sink: ReaderSink, onError: OnError) {
    this.#sink = sink;
    this.#onError = onError;
  }

  deliver(consumer: number, message: DeliveredMessage): void {
    try {
      this.#sink.deliver(consumer, message);
    } catch (error) {
      this.#onError(error);
    }
  }

  delivered(): void {
    this.#sink.delivered();
  }

  ended(consumer: number, why: ConsumerEnd): void {
    try {
      this.#sink.ended(consumer, why);
    } catch (error) {
      this.#onError(error);
    }
  }

  attached(consumer: number): void {
    try {
      this.#sink.attached(consumer);
    } catch (error) {
      this.#onError(error);
    }
  }

  empty(consumer: number): void {
    try {
      this.#sink.empty(consumer);
    } catch (error) {
      this.#onError(error);
    }
  }
}

class GuardedPublishSink implements PublishSink {
  readonly #sink: PublishSink;
  readonly #onError: OnError;

  constructor(sink: PublishSink, onError: OnError) {
    this.#sink = sink;
    this.#onError = onError;
  }

  unroutable(ticket: number, message: RecordParts): void {
    try {
      this.#sink.unroutable(ticket, message);
    } catch (error) {
      this.#onError(error);
    }
  }

  resolved(ticket: number, outcome: PublishOutcome, offset: number): void {
    try {
      this.#sink.resolved(ticket, outcome, offset);
    } catch (error) {
      this.#onError(error);
    }
  }

  full(): void {
    this.#sink.full();
  }

  room(): void {
    this.#sink.room();
  }

  blocked(): void {
    this.#sink.blocked();
  }

  unblocked(): void {
    this.#sink.unblocked();
  }
}

/** The same, for a session whose errors go to `onError`. */
export function guarded(queues: QueueAccess, onError: OnError): Pick<QueueAccess, 'in' | 'reader'> {
  return {
    in: (vhost) => {
      const exchanges = queues.in(vhost);
      return {
        routes: exchanges.routes,
        publisher: (sink) => exchanges.publisher(new GuardedPublishSink(sink, onError)),
      };
    },
    reader: (sink, connection) => queues.reader(new GuardedReaderSink(sink, onError), connection),
  };
}
