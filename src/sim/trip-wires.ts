// Trip-wires: while a simulation runs, the real clock, the real timers, real entropy and the hidden queues
// are functions that throw with the caller's stack. Whoever calls them has found a way around the
// Environment. They are armed only while simulated code runs, so the test runner around it may breathe.
type Callable = (...args: unknown[]) => unknown;

interface Wire {
  readonly target: object;
  readonly name: string;
  readonly label: string;
}

/** Thrown by a tripped wire. */
class TripWireError extends Error {
  constructor(what: string) {
    super(`${what} was called inside a simulation: use the Environment`);
    this.name = 'TripWireError';
  }
}

export interface TripWires {
  /** From here on the wires throw. */
  arm(): void;
  /** The originals answer, until the next arm(). */
  disarm(): void;
  /** Takes the wires away. */
  restore(): void;
  /** Wires that were tripped, in order; a caller that swallows the error is still found. */
  readonly tripped: readonly Trip[];
}

export interface Trip {
  /** What was called. */
  readonly label: string;
  /** By whom. */
  readonly stack: string;
}

const GLOBAL_WIRES: readonly Wire[] = [
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'].map((name) => ({
    target: globalThis,
    name,
    label: name,
  })),
  { target: Date, name: 'now', label: 'Date.now' },
  { target: Math, name: 'random', label: 'Math.random' },
  { target: performance, name: 'now', label: 'performance.now' },
  { target: process, name: 'nextTick', label: 'process.nextTick' },
  { target: process, name: 'hrtime', label: 'process.hrtime' },
  { target: crypto, name: 'getRandomValues', label: 'crypto.getRandomValues' },
  { target: crypto, name: 'randomUUID', label: 'crypto.randomUUID' },
];

export function installTripWires(): TripWires {
  let isArmed = false;
  const tripped: Trip[] = [];
  const trip = (label: string): never => {
    const error = new TripWireError(label);
    tripped.push({ label, stack: error.stack ?? '' });
    throw error;
  };
  const undo = GLOBAL_WIRES.map(({ target, name, label }) => {
    const own = Object.getOwnPropertyDescriptor(target, name);
    const original = Reflect.get(target, name) as Callable;
    const wired = function (this: unknown, ...args: unknown[]): unknown {
      return isArmed ? trip(label) : Reflect.apply(original, this, args);
    };
    // process.hrtime carries a bigint method, setTimeout a promisified form.
    Object.defineProperties(wired, Object.getOwnPropertyDescriptors(original));
    Object.defineProperty(target, name, { value: wired, configurable: true, writable: true });
    return () => {
      if (own === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, own);
    };
  });
  const RealDate = globalThis.Date;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      isArmed && args.length === 0 ? trip('new Date') : Reflect.construct(target, args, newTarget),
    apply: (target, self, args) => (isArmed ? trip('Date()') : Reflect.apply(target, self, args)),
  });
  return {
    tripped,
    arm: () => {
      isArmed = true;
    },
    disarm: () => {
      isArmed = false;
    },
    restore: () => {
      isArmed = false;
      globalThis.Date = RealDate;
      for (const put of undo) put();
    },
  };
}
