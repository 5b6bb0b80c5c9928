// What every command file is given by the composition root.

export interface CliContext {
  readonly version: string;
  /** Module URL whose `startNode` composes a node. */
  readonly nodeEntry: string;
  /** The file that starts this program again, for child processes. */
  readonly binPath: string;
}
