// Who sent what to whom, and which asks wait for each other: for stepped tests and for the simulator, where
// nothing else runs between two messages. Not for production: it costs a little with every message.
// One tracer may serve all systems of a simulated world, so that it sees over threads and nodes.
//
// An ask waits for another one in two ways: its target is held by an async handler that has asked, or its
// own handler has, and has not answered. Asks that wait for each other in a circle end by their timeouts.
// Invariant: what is told of a handler's asks is true also behind its `await` of an ask; asks made behind an
// `await` of anything else belong to nobody.
import { fnv1a32 } from '../std/hash.ts';
import { ASKS_MAX } from './ask.ts';
import type { Cell } from './cell.ts';
import type { Origin } from './held-input.ts';
import { isPromise, LaterReply } from './later.ts';
import type { ReplyTo } from './mailbox.ts';
import { NO_REPLY } from './mailbox.ts';
import type { Place, RefId } from './ref.ts';

/** Asks that wait for each other. */
export interface AskCycle {
  /** Each asks the next one, and the last one the first. */
  readonly asks: readonly { readonly from: string; readonly to: string; readonly op: string }[];
  /** The same in words. */
  readonly text: string;
}

/** A message that an actor began to handle. */
export interface Handled {
  readonly cell: Cell;
  readonly op: string;
  /** Path of its sender, as far as that is an actor of the same thread. */
  readonly from: string | undefined;
}

/** Whose messages are counted. */
interface Sender {
  readonly lineage: number;
  sent: number;
}

/** One message in the hands of an actor. */
interface Handling extends Sender {
  readonly cell: Cell;
  readonly epoch: number;
  /** The ask that it answers. */
  readonly request: Request | undefined;
  readonly asks: Set<Request>;
  isHeld: boolean;
  /** Its handler has returned, and what it asked holds nobody up. */
  isOver: boolean;
}

interface Request {
  readonly asker: Handling;
  /** `node/thread/slot` of whom it was sent to. */
  readonly target: string;
  readonly path: string;
  readonly op: string;
  handling: Handling | undefined;
  isOpen: boolean;
}

const CYCLES_MAX = 64;

export class Tracer {
  /** In the order in which they were found, each once; at most 64. */
  readonly cycles: AskCycle[] = [];
  /** Of the message that is being decoded. */
  incoming: Origin | undefined;
  readonly #onCycle: (cycle: AskCycle) => void;
  readonly #requests = new Map<string, Request>();
  readonly #held = new Map<string, Handling>();
  readonly #known = new Set<string>();
  #current: Handling | undefined;
  readonly #roots = new Map<string, Sender>();
  #root: Sender = { lineage: 0, sent: 0 };
  /** Messages of no known origin, timers among them, by actor and op. */
  readonly #unsent = new Map<string, number>();
  #last: Handled | undefined;

  constructor(onCycle: (cycle: AskCycle) => void = () => undefined) {
    this.#onCycle = onCycle;
  }

  /** Where a message is from that is sent now. */
  send(): Origin {
    const sender = this.#current ?? this.#root;
    const lineage = lineageOf(sender);
    sender.sent += 1;
    return { from: this.#current?.cell.path, lineage };
  }

  /** The lineage that the next message will have. */
  get nextLineage(): number {
    return lineageOf(this.#current ?? this.#root);
  }

  /** What is not sent by an actor from now on has a lineage of its own under this name. */
  beginRoot(name: string): void {
    let root = this.#roots.get(name);
    if (root === undefined) {
      root = { lineage: fnv1a32(name), sent: 0 };
      this.#roots.set(name, root);
    }
    this.#root = root;
  }

  /** The same function, run on behalf of whoever runs now. */
  bind<A>(call: (argument: A) => void): (argument: A) => void {
    const handling = this.#current;
    if (handling === undefined) return call;
    return (argument) => {
      const before = this.#current;
      this.#current = handling;
      try {
        call(argument);
      } finally {
        this.#current = before;
      }
    };
  }

  /** The message that began last, once. */
  takeLast(): Handled | undefined {
    const last = this.#last;
    this.#last = undefined;
    return last;
  }

  /** Runs a handler, a setup or a signal handler of `cell`. `reply` is whose ask it answers. */
  run<R>(cell: Cell, op: string, reply: ReplyTo, handler: () => R): R {
    const request = reply === NO_REPLY ? undefined : this.#requests.get(keyOf(cell, reply));
    const { incoming } = this;
    this.incoming = undefined;
    const handling: Handling = {
      cell,
      lineage: incoming?.lineage ?? this.#lineageHere(cell, op),
      sent: 0,
      epoch: cell.epoch,
      request,
      asks: new Set(),
      isHeld: false,
      isOver: false,
    };
    if (request !== undefined) request.handling = handling;
    this.#last = { cell, op, from: incoming?.from };
    const before = this.#current;
    this.#current = handling;
    try {
      const result = handler();
      this.#returned(handling, result);
      return result;
    } catch (error) {
      handling.isOver = true;
      throw error;
    } finally {
      this.#current = before;
    }
  }

  /** An ask was sent by whoever runs. Answers its promise, behind which the same actor goes on. */
  asked<R>(
    place: Place,
    askId: number,
    target: RefId,
    path: string,
    op: string,
    reply: Promise<R>,
  ): Promise<R> {
    const asker = this.#current;
    if (asker === undefined) return reply;
    const key = askKey(place, askId);
    const request: Request = {
      asker,
      target: actorKey(target),
      path,
      op,
      handling: undefined,
      isOpen: true,
    };
    this.#requests.set(key, request);
    asker.asks.add(request);
    const settled = (): void => {
      request.isOpen = false;
      asker.asks.delete(request);
      if (this.#requests.get(key) === request) this.#requests.delete(key);
    };
    reply.then(settled, settled);
    if (asker.isHeld) this.#look(request);
    return new Followed(reply, (go) => this.#goOn(asker, go));
  }

  #lineageHere(cell: Cell, op: string): number {
    const key = `${cell.path} ${op}`;
    const count = (this.#unsent.get(key) ?? 0) + 1;
    this.#unsent.set(key, count);
    return fnv1a32(`${key} ${count}`);
  }

  #returned(handling: Handling, result: unknown): void {
    if (isPromise(result)) {
      const key = actorKey(handling.cell.id);
      handling.isHeld = true;
      this.#held.set(key, handling);
      const over = (): void => {
        handling.isHeld = false;
        handling.isOver = true;
        if (this.#held.get(key) === handling) this.#held.delete(key);
      };
      result.then(over, over);
    } else if (!(result instanceof LaterReply) || result.isSettled) handling.isOver = true;
    if (!handling.isOver) for (const request of handling.asks) this.#look(request);
  }

  /**
   * A promise goes on where its actor awaited it: in a microtask of its own, which `go` makes. The
   * microtasks around it, in this order, make that actor the one that runs.
   */
  #goOn(handling: Handling, go: () => unknown): unknown {
    let before: Handling | undefined;
    void Promise.resolve().then(() => {
      before = this.#current;
      this.#current = handling;
    });
    const outer = this.#current;
    this.#current = handling;
    try {
      return go();
    } finally {
      this.#current = outer;
      void Promise.resolve().then(() => {
        this.#current = before;
      });
    }
  }

  /** Looks for a circle of asks through `first`. */
  #look(first: Request): void {
    const path: Request[] = [];
    const seen = new Set<Request>();
    const find = (request: Request): boolean => {
      if (!request.isOpen) return false;
      if (request === first && path.length > 0) return true;
      if (seen.has(request)) return false;
      seen.add(request);
      path.push(request);
      for (const next of this.#waitsFor(request)) if (find(next)) return true;
      path.pop();
      return false;
    };
    if (find(first)) this.#report(path);
  }

  #waitsFor(request: Request): Iterable<Request> {
    const handling = request.handling ?? this.#held.get(request.target);
    if (handling === undefined || handling.isOver) return [];
    return handling.cell.epoch === handling.epoch ? handling.asks : [];
  }

  #report(path: readonly Request[]): void {
    const asks = path.map(({ asker, path: to, op, handling, target }) => ({
      from: asker.cell.path,
      to: (handling ?? this.#held.get(target))?.cell.path ?? to,
      op,
    }));
    // The same circle is found from each of its asks: it is told once, from its first by name.
    const turned = asks.map((_, i) => [...asks.slice(i), ...asks.slice(0, i)]);
    const cycle = turned
      .map((each) => ({ asks: each, text: textOf(each) }))
      .sort((a, b) => (a.text < b.text ? -1 : 1))[0]!;
    if (this.#known.has(cycle.text) || this.cycles.length >= CYCLES_MAX) return;
    this.#known.add(cycle.text);
    this.cycles.push(cycle);
    this.#onCycle(cycle);
  }
}

/** A promise whose callbacks, and what goes on behind its `await`, run inside `goOn`. */
class Followed<R> extends Promise<R> {
  #goOn: ((go: () => unknown) => unknown) | undefined;

  // What is derived from it is an ordinary promise.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  constructor(reply: Promise<R>, goOn: (go: () => unknown) => unknown) {
    super((resolve, reject) => {
      reply.then(resolve, reject);
    });
    // An ask that nobody awaits may fail, here too.
    super.then(undefined, () => undefined);
    this.#goOn = goOn;
  }

  // biome-ignore lint/suspicious/noThenProperty: a promise has one, and `await` calls it.
  override then<A = R, B = never>(
    onFulfilled?: ((value: R) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return super.then(this.#inside(onFulfilled), this.#inside(onRejected));
  }

  #inside<V, A>(call: ((value: V) => A) | null | undefined): ((value: V) => A) | undefined {
    const goOn = this.#goOn;
    if (typeof call !== 'function') return undefined;
    if (goOn === undefined) return call;
    return (value) => goOn(() => call(value)) as A;
  }
}

function lineageOf({ lineage, sent }: Sender): number {
  return fnv1a32(String(sent), lineage);
}

function textOf(asks: AskCycle['asks']): string {
  const steps = asks.map(({ from, op }) => `${from} asks ${op} of `);
  return `${steps.join('')}${asks[0]!.from}`;
}

/** The same actor through a well-known ref and through one of its own. */
function actorKey({ node, thread, slot }: RefId): string {
  return `${node}/${thread}/${slot}`;
}

function requestKey(place: Place, slot: number, generation: number): string {
  return `${place.node}/${place.incarnation}/${place.thread}/${slot}/${generation}`;
}

/** Of the ask that is answered at `reply`. */
function keyOf(cell: Cell, reply: ReplyTo): string {
  if (typeof reply !== 'number') {
    const id = reply as RefId;
    return requestKey(id, id.slot, id.generation);
  }
  return askKey(cell.host.place, reply);
}

function askKey(place: Place, askId: number): string {
  return requestKey(place, askId % ASKS_MAX, Math.floor(askId / ASKS_MAX));
}
