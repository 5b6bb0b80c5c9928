// What the runs of all scenarios with real nodes have in common: their nodes are those of a SimulatedCluster, which
// boots them and says how they are.
import type { SimNode } from '../node.ts';
import type { Violation } from '../scenario.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

export abstract class ClusterRun {
  abstract readonly cluster: SimulatedCluster;

  boot(node: SimNode): void {
    this.cluster.boot(node);
  }

  hasRecovered(node: SimNode): boolean {
    return this.cluster.hasRecovered(node);
  }

  mayDamage(node: SimNode): boolean {
    return this.cluster.mayDamage(node);
  }

  probe(): Violation | undefined {
    return this.cluster.probe();
  }
}
