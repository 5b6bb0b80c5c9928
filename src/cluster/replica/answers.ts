// Answers to whoever asked the log host. Refs to askers on this thread are kept by slot, so that a
// stream of answers to the same connection makes no ref per message; file ranges that would leave the
// thread (or pass a strict runtime) are read into memory first. An answer that finds no room on its way to
// another thread waits, and those behind it; answers to who is gone are dropped.
import type { Input, TellOp } from '../../actors/protocol.ts';
import type { Ref, RefId } from '../../actors/ref.ts';
import { threadKey } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { DiskError } from '../../env/environment.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import type { LogRepliesOps } from '../log-protocol.ts';
import { LogRepliesProtocol } from '../log-protocol.ts';
import type {
  AnsweredInput,
  AppendedInput,
  FetchedInput,
  FetchInput,
  FetchSlice,
  LocatedInput,
  LogResult,
  OffsetInput,
} from '../ports.ts';
import type { ReplySink } from './replies.ts';

const REFS_MAX = 4096;
/** Answers that wait for room to one thread; whoever asked for more finds out by the clock. */
const HELD_MAX = 65_536;

interface Held {
  readonly ref: Ref<LogRepliesOps>;
  readonly op: TellOp<LogRepliesOps>;
  readonly input: Input<LogRepliesOps[TellOp<LogRepliesOps>]>;
  /** Gives back what the input pins. */
  readonly release: (() => void) | undefined;
}

export class Answers implements ReplySink {
  readonly #system: System;
  /** Of ranges of files on their way to other threads. */
  readonly #memory: BufferPool;
  readonly #refs = new Map<
    number,
    { readonly generation: number; readonly ref: Ref<LogRepliesOps> }
  >();

  /** By {@link threadKey}: what found no room there, in order. Nothing overtakes it. */
  readonly #held = new Map<number, RingQueue<Held>>();

  constructor(system: System) {
    this.#system = system;
    this.#memory = new BufferPool(undefined, system.env.buggify('memory.poisoned'));
  }

  #ref(to: RefId): Ref<LogRepliesOps> {
    if (!this.#system.isHere(to)) return this.#system.ref(LogRepliesProtocol, to);
    const known = this.#refs.get(to.slot);
    if (known !== undefined && known.generation === to.generation) return known.ref;
    const ref = this.#system.ref(LogRepliesProtocol, to);
    if (this.#refs.size >= REFS_MAX) this.#refs.clear();
    this.#refs.set(to.slot, { generation: to.generation, ref });
    return ref;
  }

  #tell<K extends TellOp<LogRepliesOps>>(
    to: RefId,
    op: K,
    input: Input<LogRepliesOps[K]>,
    release?: () => void,
  ): void {
    const ref = this.#ref(to);
    if (this.#system.isHere(to)) {
      ref.tell(op, input);
      release?.();
      return;
    }
    const key = threadKey(to.node, to.thread);
    const held = this.#held.get(key);
    if (held === undefined && ref.offer(op, input) !== 'full') release?.();
    else this.#hold(key, held ?? new RingQueue<Held>(), { ref, op, input, release });
  }

  #hold(key: number, queue: RingQueue<Held>, answer: Held): void {
    if (queue.size >= HELD_MAX) {
      answer.ref.tell(answer.op, answer.input);
      answer.release?.();
      return;
    }
    queue.push(answer);
    if (queue.size > 1) return;
    this.#held.set(key, queue);
    this.#sendWhenRoom(key, queue, answer.ref);
  }

  #sendWhenRoom(key: number, queue: RingQueue<Held>, ref: Ref<LogRepliesOps>): void {
    // Never rejects without a signal; resolves as well when the thread there is gone.
    void ref.ready().then(() => {
      if (this.#held.get(key) !== queue) return;
      for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
        if (next.ref.offer(next.op, next.input) === 'full') {
          this.#sendWhenRoom(key, queue, next.ref);
          return;
        }
        queue.shift();
        next.release?.();
      }
      this.#held.delete(key);
    });
  }

  /** The way to a thread of another node was lost: whoever asked over it has been told. */
  linkEnded(node: number, thread: number): void {
    const key = threadKey(node, thread);
    const queue = this.#held.get(key);
    this.#held.delete(key);
    for (let next = queue?.shift(); next !== undefined; next = queue?.shift()) next.release?.();
  }

  appended(to: RefId, input: AppendedInput): void {
    this.#tell(to, 'appended', input);
  }

  answered(to: RefId, input: AnsweredInput): void {
    this.#tell(to, 'answered', input);
  }

  advanced(to: RefId, token: number): void {
    this.#tell(to, 'advanced', { token });
  }

  located(to: RefId, input: LocatedInput): void {
    this.#tell(to, 'located', input);
  }

  fetched(to: RefId, input: FetchedInput): void {
    if (this.#system.isHere(to) && !this.#system.isStrict) {
      this.#ref(to).tell('fetched', input);
      return;
    }
    const slice = input.slices[0];
    if (slice === undefined || slice.kind === 'memory') {
      this.#tell(to, 'fetched', input, input.release);
      return;
    }
    this.#readThenTell(to, input, slice);
  }

  #readThenTell(
    to: RefId,
    input: FetchedInput,
    range: Extract<FetchSlice, { kind: 'file' }>,
  ): void {
    const bytes = this.#memory.take(range.length).subarray(0, range.length);
    range.file.read(bytes, range.position, (error: DiskError | undefined, count: number) => {
      // Who gets these bytes may decode them, and knows not that they have been on a disk.
      const isSound = range.isSound(bytes, count, error);
      input.release();
      const answer = {
        ...input,
        result: isSound ? input.result : ('storage-error' as const),
        slices: isSound ? [{ kind: 'memory' as const, bytes }] : [],
        release: () => undefined,
      };
      this.#tell(to, 'fetched', answer, () => this.#memory.give(bytes));
    });
  }

  refuseFetch(input: FetchInput, result: LogResult): void {
    this.#tell(input.replyTo, 'fetched', {
      token: input.token,
      result,
      committedOffset: -1,
      startOffset: -1,
      endOffset: -1,
      leaderEpoch: -1,
      slices: [],
      release: () => undefined,
    });
  }

  refuseLocate(input: Pick<OffsetInput, 'token' | 'replyTo'>, result: LogResult): void {
    const nowhere = { offset: -1, timestampMs: -1, epoch: -1 };
    this.#tell(input.replyTo, 'located', { token: input.token, result, ...nowhere });
  }
}
