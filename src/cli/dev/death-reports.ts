// Turns what the nodes say about a death into the two lines a person wants: one when it died and its
// leaders are elsewhere, one when it is back in sync. Several nodes may tell the same thing.
import type { NodeEvent } from '../../assembly/node-config.ts';
import { durationText } from '../text.ts';
import { deathLine } from './report.ts';

/** A death is reported without its leaders when nobody has moved them for so long. */
const MOVED_TIMEOUT_MS = 5000;

/** The others may notice a death before the operating system tells us; older news is about another. */
const EARLY_MS = 2000;

interface Report {
  readonly how: string;
  readonly restart: string;
  readonly diedMs: number;
  isSaid: boolean;
  isRestarted: boolean;
  timer: NodeJS.Timeout | undefined;
}

export class DeathReports {
  readonly #say: (line: string) => void;
  readonly #open = new Map<number, Report>();
  /** Leaders that moved away from a node of whose death we had not heard. */
  readonly #early = new Map<number, { readonly count: number; readonly atMs: number }>();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  died(node: number, how: string, restart: string): void {
    clearTimeout(this.#open.get(node)?.timer);
    const report: Report = {
      how,
      restart,
      diedMs: performance.now(),
      isSaid: false,
      isRestarted: false,
      timer: setTimeout(() => this.#sayDeath(node, report, undefined), MOVED_TIMEOUT_MS),
    };
    this.#open.set(node, report);
    const early = this.#early.get(node);
    this.#early.delete(node);
    if (early !== undefined && report.diedMs - early.atMs < EARLY_MS) {
      this.#sayDeath(node, report, early.count);
    }
  }

  restarted(node: number): void {
    const report = this.#open.get(node);
    if (report !== undefined) report.isRestarted = true;
  }

  heard(from: number, event: NodeEvent): void {
    if (event.event === 'leadersMoved') {
      const report = this.#open.get(event.node);
      if (from === event.node) return;
      if (report !== undefined && !report.isRestarted) {
        this.#sayDeath(event.node, report, event.count);
      } else this.#early.set(event.node, { count: event.count, atMs: performance.now() });
    } else if (event.event === 'inSync') {
      const report = this.#open.get(event.node);
      if (report === undefined || !report.isRestarted) return;
      this.#sayDeath(event.node, report, undefined);
      this.#open.delete(event.node);
      const backMs = performance.now() - report.diedMs;
      this.#say(`node ${event.node} is back in sync, ${durationText(backMs)} after it died`);
    }
  }

  stop(): void {
    for (const { timer } of this.#open.values()) clearTimeout(timer);
    this.#open.clear();
  }

  #sayDeath(node: number, report: Report, count: number | undefined): void {
    clearTimeout(report.timer);
    if (report.isSaid) return;
    report.isSaid = true;
    const afterMs = Math.max(1, performance.now() - report.diedMs);
    const moved = count === undefined ? undefined : { count, afterMs };
    this.#say(deathLine({ node, how: report.how, moved, restart: report.restart }));
  }
}
