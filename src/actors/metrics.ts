// Counters by class of actor, never by path: a label per actor would be a label per queue. A class is
// the name of a protocol.

export interface ClassMetrics {
  readonly name: string;
  spawned: number;
  stopped: number;
  failed: number;
  restarted: number;
  handled: number;
  /** Messages dropped by the overflow policy of a mailbox. */
  dropped: number;
  /** The deepest mailbox seen at the start of a run. */
  depthMax: number;
}

export class Metrics {
  readonly #classes = new Map<string, ClassMetrics>();

  of(name: string): ClassMetrics {
    let found = this.#classes.get(name);
    if (found === undefined) {
      found = {
        name,
        spawned: 0,
        stopped: 0,
        failed: 0,
        restarted: 0,
        handled: 0,
        dropped: 0,
        depthMax: 0,
      };
      this.#classes.set(name, found);
    }
    return found;
  }

  /** Copies, in order of first spawn. */
  snapshot(): ClassMetrics[] {
    return [...this.#classes.values()].map((each) => ({ ...each }));
  }
}
