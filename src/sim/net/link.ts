// One directed link between two hosts: how long bytes take, and whether any pass at all. Invariant: bytes
// are never lost while their connection lives (TCP retransmits); a blocked link only holds them.
import { Causes } from '../causes.ts';
import { type CountingRandom, exponential } from '../draws.ts';

/** Times in nanoseconds, rate in bytes per second. */
export interface LinkProfile {
  readonly latencyMinNs: number;
  readonly latencyMeanNs: number;
  readonly bytesPerSec: number;
}

export const LAN: LinkProfile = {
  latencyMinNs: 60_000,
  latencyMeanNs: 150_000,
  bytesPerSec: 250_000_000,
};

export const LOOPBACK: LinkProfile = {
  latencyMinNs: 5_000,
  latencyMeanNs: 10_000,
  bytesPerSec: 2_000_000_000,
};

export class Link {
  readonly from: string;
  readonly to: string;
  readonly #random: CountingRandom;
  readonly #profile: LinkProfile;
  #busyUntilNs = 0;
  readonly #blocks = new Causes();
  readonly #slowdowns = new Causes();
  #blockedSinceNs = 0;
  /** Called once each when the link passes again, in the order in which they were held. */
  readonly #held: (() => void)[] = [];

  constructor(from: string, to: string, random: CountingRandom, profile: LinkProfile) {
    this.from = from;
    this.to = to;
    this.#random = random;
    this.#profile = profile;
  }

  get passes(): boolean {
    return this.#blocks.isEmpty;
  }

  /** Meaningful while the link does not pass. */
  get blockedSinceNs(): number {
    return this.#blockedSinceNs;
  }

  /** Multiplies every latency; 1 is healthy. */
  get slowdown(): number {
    return Math.max(1, this.#slowdowns.max);
  }

  /** When `bytes` that leave now arrive. */
  arrivalNs(nowNs: number, bytes: number): number {
    this.#busyUntilNs =
      Math.max(this.#busyUntilNs, nowNs) + (bytes / this.#profile.bytesPerSec) * 1e9;
    const latencyNs =
      this.#profile.latencyMinNs + exponential(this.#random, this.#profile.latencyMeanNs);
    return Math.ceil(this.#busyUntilNs + latencyNs * this.slowdown);
  }

  /** Nothing passes until the answer is called, and every other block is over. */
  block(nowNs: number): () => void {
    if (this.passes) this.#blockedSinceNs = nowNs;
    const end = this.#blocks.add();
    return () => {
      end();
      this.flush();
    };
  }

  /** Latencies are at least `factor` times as long until the answer is called. */
  slow(factor: number): () => void {
    return this.#slowdowns.add(factor);
  }

  /** Ends everything that hinders the link. */
  clear(): void {
    this.#slowdowns.clear();
    this.#blocks.clear();
    this.flush();
  }

  /** Remembers to call `release` when the link passes again. */
  hold(release: () => void): void {
    this.#held.push(release);
  }

  /** Releases what is held if the link passes. */
  flush(): void {
    if (!this.passes || this.#held.length === 0) return;
    for (const release of this.#held.splice(0)) release();
  }
}
