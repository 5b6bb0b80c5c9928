// Sums over many seeds, and the last line that is printed about them.
import type { FaultKind } from './faults/policy.ts';
import type { SeedResult } from './runner.ts';
import type { Scenario } from './scenario.ts';

export class Tally {
  seeds = 0;
  failed = 0;
  virtualMs = 0;
  events = 0;
  operations = 0;
  acknowledged = 0;
  lost = 0;
  allowed = 0;
  readonly faults = new Map<FaultKind, number>();

  add(result: SeedResult): void {
    this.seeds += 1;
    if (result.failure !== undefined) this.failed += 1;
    this.virtualMs += result.virtualMs;
    this.events += result.events;
    this.operations += result.counts.operations;
    this.acknowledged += result.counts.acknowledged;
    this.lost += result.counts.lost;
    this.allowed += result.counts.allowed ?? 0;
    for (const [kind, count] of result.faults) {
      this.faults.set(kind, (this.faults.get(kind) ?? 0) + count);
    }
  }

  /** `seeds 200 failed 0 virtual 6000 s events ... faults 900 (kill 40, ...) acknowledged ... lost 0`. */
  line(): string {
    const kinds = [...this.faults].sort(([a], [b]) => (a < b ? -1 : 1));
    const total = kinds.reduce((sum, [, count]) => sum + count, 0);
    const byKind = kinds.map(([kind, count]) => `${kind} ${count}`).join(', ');
    return [
      `seeds ${this.seeds}`,
      `failed ${this.failed}`,
      `virtual ${(this.virtualMs / 1_000).toFixed(0)} s`,
      `events ${this.events}`,
      `operations ${this.operations}`,
      `faults ${total} (${byKind})`,
      `acknowledged ${this.acknowledged}`,
      `lost ${this.lost}`,
      ...(this.allowed === 0 ? [] : [`gone as allowed ${this.allowed}`]),
    ].join(' | ');
  }

  /** A scenario that is about what may be lost has shown none of it. */
  isTame({ tameAfter }: Pick<Scenario, 'tameAfter'>): boolean {
    return tameAfter !== undefined && this.seeds >= tameAfter && this.allowed === 0;
  }
}
