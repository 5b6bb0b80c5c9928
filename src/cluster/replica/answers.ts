// Answers to whoever asked the log host. Refs to askers on this thread are kept by slot, so that a
// stream of answers to the same connection makes no ref per message; file ranges that would leave the
// thread (or pass a strict runtime) are read into memory first.
import type { Ref, RefId } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { DiskError } from '../../env/environment.ts';
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

export class Answers implements ReplySink {
  readonly #system: System;
  readonly #refs = new Map<
    number,
    { readonly generation: number; readonly ref: Ref<LogRepliesOps> }
  >();

  constructor(system: System) {
    this.#system = system;
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

  appended(to: RefId, input: AppendedInput): void {
    this.#ref(to).tell('appended', input);
  }

  answered(to: RefId, input: AnsweredInput): void {
    this.#ref(to).tell('answered', input);
  }

  advanced(to: RefId, token: number): void {
    this.#ref(to).tell('advanced', { token });
  }

  located(to: RefId, input: LocatedInput): void {
    this.#ref(to).tell('located', input);
  }

  fetched(to: RefId, input: FetchedInput): void {
    if (this.#system.isHere(to) && !this.#system.isStrict) {
      this.#ref(to).tell('fetched', input);
      return;
    }
    const slice = input.slices[0];
    if (slice === undefined || slice.kind === 'memory') {
      this.#ref(to).tell('fetched', input);
      input.release();
      return;
    }
    this.#readThenTell(to, input, slice);
  }

  #readThenTell(
    to: RefId,
    input: FetchedInput,
    range: Extract<FetchSlice, { kind: 'file' }>,
  ): void {
    const bytes = new Uint8Array(range.length);
    range.file.read(bytes, range.position, (error: DiskError | undefined, count: number) => {
      input.release();
      const isWhole = error === undefined && count === bytes.length;
      this.#ref(to).tell('fetched', {
        ...input,
        result: isWhole ? input.result : 'storage-error',
        slices: isWhole ? [{ kind: 'memory', bytes }] : [],
        release: () => undefined,
      });
    });
  }

  refuseFetch(input: FetchInput, result: LogResult): void {
    this.#ref(input.replyTo).tell('fetched', {
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

  refuseLocate(input: OffsetInput, result: LogResult): void {
    const nowhere = { offset: -1, timestampMs: -1, epoch: -1 };
    this.#ref(input.replyTo).tell('located', { token: input.token, result, ...nowhere });
  }
}
