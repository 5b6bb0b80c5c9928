// What the launcher asks of the nodes, whether they are processes or share this one.
import type { NodeEvent } from '../../assembly/node-config.ts';
import type { RunningEntry } from './folder.ts';

/** What a cluster tells the launcher. */
export interface ClusterEvents {
  onEvent(node: number, event: NodeEvent): void;
  /** A node that was ready cannot go on and cannot be replaced: everything ends. */
  onFailed(message: string): void;
  /** A node of a running cluster died; it is restarted or not, as the policy says. */
  onDeath(node: number, how: string, restartAfterMs: number | undefined): void;
  /** A node was started again after a death. */
  onRestart(node: number, pid: number): void;
}

export interface Cluster {
  readonly entries: readonly RunningEntry[];
  /** Resolves when every node is ready; rejects with a CliFailure when one cannot start. */
  readonly ready: Promise<void>;
  /** Ends all nodes, within the launcher's time. */
  stop(): Promise<void>;
  /** Ends them at once. */
  kill(): void;
}
