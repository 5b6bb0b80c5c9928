// What the runs of all scenarios with real nodes have in common: their nodes are those of a SimulatedCluster, which
// boots them and says how they are, and they end when all of it is at rest.
import type { Cast } from '../faults/script.ts';
import type { SimNode } from '../node.ts';
import type { Violation } from '../scenario.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

/** Between two looks at what is waited for. */
export const STEP_MS = 100;

export abstract class ClusterRun {
  abstract readonly cluster: SimulatedCluster;
  /** What is waited for, for people. */
  protected step = 'workload';
  protected isAtRest = false;

  boot(node: SimNode): void {
    this.cluster.boot(node);
  }

  hasRecovered(node: SimNode): boolean {
    return this.cluster.hasRecovered(node);
  }

  mayDamage(node: SimNode): boolean {
    return this.cluster.mayDamage(node);
  }

  isWhole(): boolean {
    return this.cluster.isWhole();
  }

  whois(cast: Cast): SimNode | undefined {
    return this.cluster.whois(cast);
  }

  probe(): Violation | undefined {
    return this.cluster.probe();
  }

  isDrained(): boolean {
    return this.isAtRest;
  }

  /** Goes on when it is true. */
  protected async until(step: string, isTrue: () => boolean, everyMs = STEP_MS): Promise<void> {
    this.step = step;
    while (!isTrue()) await this.cluster.pause(everyMs);
  }

  /**
   * Goes on when nothing is left, or when what is left has not become less for so long. How much there is depends on
   * the seed, and so does how fast clients are: no time for all of it would be right for every seed.
   */
  protected async untilNoneLeft(
    step: string,
    left: () => number,
    standstillMs: number,
    everyMs = STEP_MS,
  ): Promise<void> {
    let least = Number.POSITIVE_INFINITY;
    let stillMs = 0;
    const isOver = (): boolean => {
      const count = left();
      stillMs = count < least ? 0 : stillMs + everyMs;
      // Who begins anew has more left: that is no step forward, nor is what follows until it is where it was.
      least = Math.min(least, count);
      return count === 0 || stillMs > standstillMs;
    };
    await this.until(step, isOver, everyMs);
  }

  /** The last that a run does: it is drained then. */
  protected async rest(pause = () => this.cluster.pause(STEP_MS)): Promise<void> {
    for (;;) {
      const unrest = this.cluster.unrest();
      if (unrest === undefined) break;
      this.step = `replicas converge (${unrest})`;
      await pause();
    }
    this.isAtRest = true;
  }
}
