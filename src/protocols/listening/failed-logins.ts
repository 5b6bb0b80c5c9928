// How often logins from one address may fail, on one thread. Whoever has failed too often is not looked at for a while:
// a guess costs time then, whatever it is. Logins that succeed cost nothing, so many connections of a program that knows
// its password are never held up, unless another one at the same address guesses.

export interface FailedLoginBounds {
  /** Failures of an address in a row that cost nothing. */
  readonly failedLoginsMax: number;
  /** One more is allowed after each such time. */
  readonly failedLoginEveryMs: number;
}

/** Addresses that are remembered; the one that failed longest ago is forgotten first. */
const ADDRESSES_MAX = 10_000;

interface Failures {
  count: number;
  /** When `count` was right. */
  atMs: number;
}

export class FailedLogins {
  readonly #bounds: FailedLoginBounds;
  /** In order of their last failure. */
  readonly #byAddress = new Map<string, Failures>();

  constructor(bounds: FailedLoginBounds) {
    this.#bounds = bounds;
  }

  /** Is a login from there looked at now? `nowMs` never goes back. */
  mayTry(address: string, nowMs: number): boolean {
    const failures = this.#byAddress.get(address);
    return failures === undefined || this.#left(failures, nowMs) < this.#bounds.failedLoginsMax;
  }

  failed(address: string, nowMs: number): void {
    const known = this.#byAddress.get(address);
    const count = (known === undefined ? 0 : this.#left(known, nowMs)) + 1;
    this.#byAddress.delete(address);
    this.#byAddress.set(address, { count, atMs: nowMs });
    if (this.#byAddress.size <= ADDRESSES_MAX) return;
    for (const oldest of this.#byAddress.keys()) {
      this.#byAddress.delete(oldest);
      return;
    }
  }

  /** Failures that still count, in parts of one. */
  #left({ count, atMs }: Failures, nowMs: number): number {
    return Math.max(0, count - (nowMs - atMs) / this.#bounds.failedLoginEveryMs);
  }
}
