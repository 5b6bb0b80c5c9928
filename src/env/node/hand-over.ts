// What the threads need of the net to move a connection from one thread to another. The net has the
// system calls; the threads only carry the number of the descriptor.
import type { Address, Connection } from '../environment.ts';

export interface HandOverSupport {
  /** False where descriptors cannot be duplicated. */
  readonly canRelease: boolean;
  /** Takes the connection out of this thread: the descriptor is a duplicate that must be adopted. */
  release(connection: Connection): {
    readonly fd: number;
    readonly remote: Address;
    readonly local: Address;
  };
  adopt(fd: number, remote: Address, local: Address): Connection;
}
