// The clock of one simulated host: its own rate, its own idea of the time of day, jumps. Invariant: the
// monotonic part never goes back, whatever happens to the wall part.
const EPOCH_MS = 1_767_225_600_000;

export class SimClock {
  #baseWorldNs = 0;
  #baseLocalNs = 0;
  #rate: number;
  #wallOffsetMs: number;

  /** `rate` is local seconds per world second. */
  constructor(rate: number, wallOffsetMs: number) {
    this.#rate = rate;
    this.#wallOffsetMs = wallOffsetMs;
  }

  get rate(): number {
    return this.#rate;
  }

  /** Local nanoseconds since the world began. */
  localNs(worldNs: number): number {
    return this.#baseLocalNs + (worldNs - this.#baseWorldNs) * this.#rate;
  }

  /** The first whole world nanosecond at which the local clock shows at least `localNs`. */
  worldNs(localNs: number): number {
    return Math.ceil(this.#baseWorldNs + (localNs - this.#baseLocalNs) / this.#rate);
  }

  wallMs(worldNs: number): number {
    return EPOCH_MS + this.#wallOffsetMs + this.localNs(worldNs) / 1e6;
  }

  /** From now on the clock runs at another speed. */
  setRate(rate: number, worldNs: number): void {
    this.#baseLocalNs = this.localNs(worldNs);
    this.#baseWorldNs = worldNs;
    this.#rate = rate;
  }

  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
