// What one actor asks of log hosts, on its own thread or another. A message leaves at once, or waits
// here while there is no room for it; and a host is watched before the first message to it, so that its end
// is heard by whoever waits for an answer. Nothing here keeps time.
// Invariant: every message is taken by its host, refused, or was on its way to a host whose end is told.
import type { Context } from '../../actors/actor.ts';
import type { Input, TellOp } from '../../actors/protocol.ts';
import type { Admission, AnyRef, Ref } from '../../actors/ref.ts';
import type { LogHostOps, LogRepliesOps } from '../../cluster/ports.ts';

export type HostRef = Ref<LogHostOps>;
export type HostOp = TellOp<LogHostOps>;

interface Unsent {
  readonly token: number;
  readonly attempt: () => Admission;
}

interface Watched {
  /** What found no room, in order. While there is any, nothing overtakes it. */
  unsent: Unsent[];
  isWaiting: boolean;
}

export class HostCalls {
  readonly #ctx: Context<LogRepliesOps>;
  /** There is room again, or something was refused: `retry` must be called, in a turn of the actor. */
  readonly #wake: () => void;
  readonly #watched = new Map<HostRef, Watched>();
  #refused: number[] = [];

  constructor(ctx: Context<LogRepliesOps>, wake: () => void) {
    this.#ctx = ctx;
    this.#wake = wake;
  }

  send<K extends HostOp>(host: HostRef, op: K, input: Input<LogHostOps[K]>): void {
    const watched = this.#watched.get(host) ?? this.#watch(host);
    if (watched.unsent.length === 0 && host.offer(op, input) === 'accepted') return;
    watched.unsent.push({ token: input.token, attempt: () => host.offer(op, input) });
    this.#wait(host, watched);
  }

  /** On the same way as the messages: where nobody is there to take them, nobody is there to be watched. */
  #watch(host: HostRef): Watched {
    const watched = { unsent: [], isWaiting: false };
    this.#watched.set(host, watched);
    this.#ctx.watch(host);
    return watched;
  }

  #wait(host: HostRef, watched: Watched): void {
    if (watched.isWaiting) return;
    watched.isWaiting = true;
    // Never rejects without a signal.
    void host.ready().then(() => {
      watched.isWaiting = false;
      this.#wake();
    });
  }

  /**
   * Sends what waited and is still wanted. Answers the tokens of what was refused for good: it reached
   * nobody.
   */
  retry(isWanted: (token: number) => boolean): readonly number[] {
    for (const [host, watched] of this.#watched) {
      if (watched.unsent.length > 0 && !watched.isWaiting) this.#send(host, watched, isWanted);
    }
    const refused = this.#refused;
    this.#refused = [];
    return refused;
  }

  #send(host: HostRef, watched: Watched, isWanted: (token: number) => boolean): void {
    let sent = 0;
    for (const { token, attempt } of watched.unsent) {
      const admission = isWanted(token) ? attempt() : 'accepted';
      if (admission === 'full') break;
      if (admission === 'gone') this.#refused.push(token);
      sent += 1;
    }
    watched.unsent.splice(0, sent);
    if (watched.unsent.length > 0) this.#wait(host, watched);
  }

  /** Something that was watched has ended: what waited for it is refused. Answers the host it was. */
  ended(ref: AnyRef): HostRef | undefined {
    const host = ref as HostRef;
    const watched = this.#watched.get(host);
    if (watched === undefined) return undefined;
    this.#watched.delete(host);
    for (const { token } of watched.unsent) this.#refused.push(token);
    return host;
  }

  /** The way to or from a thread of another node was lost, and what waited for it is refused. */
  linkEnded(node: number, thread: number): void {
    for (const [{ id }, watched] of this.#watched) {
      if (id.node !== node || id.thread !== thread) continue;
      for (const { token } of watched.unsent) this.#refused.push(token);
      watched.unsent = [];
    }
  }

  close(): void {
    this.#watched.clear();
    this.#refused = [];
  }
}
