// Why a node cannot be, or go on: each says what its operator is to do.
import { BrokerError } from '../std/errors.ts';

export class RunsTwiceError extends BrokerError {
  readonly code = 'NODE_RUNS_TWICE';

  constructor(own: number, peer: number) {
    super(
      `node ${own} runs already: node ${peer} is linked to another process of that number, which answers. ` +
        'Two nodes were started with one number, or one of two copies of a folder must go: ' +
        'an empty folder joins as a newcomer',
    );
  }
}

export class RolledBackError extends BrokerError {
  readonly code = 'NODE_ROLLED_BACK';

  constructor(node: number, root: string) {
    super(
      `the folder ${root} is an earlier state of node ${node} than the cluster knows: a backup, or a copy, was put ` +
        'back. It may have forgotten what it promised, so it votes for nothing; started again, the node joins as a ' +
        'newcomer, and its replicas are filled by the others',
    );
  }
}

export class MetadataLostError extends BrokerError {
  readonly code = 'NODE_METADATA_LOST';

  constructor(node: number, root: string, isAlone: boolean) {
    const what = isAlone
      ? 'nobody else has it: put the folder back from a backup'
      : 'started again, the node joins as a newcomer, and its replicas are filled by the others';
    super(
      `what node ${node} remembers of the metadata in ${root} is damaged or gone, and it cannot know what it has ` +
        `promised, so it votes for nothing; ${what}`,
    );
  }
}

export class RemovedError extends BrokerError {
  readonly code = 'NODE_REMOVED';

  constructor(node: number, root: string) {
    super(
      `node ${node} was removed from the cluster, and the data in ${root} is not taken back; ` +
        'with an empty folder the node joins as a new one',
    );
  }
}

export type JoinErrorCode =
  /** The members do not know the token that this node has, or the other way round. */
  | 'NODE_JOIN_TOKEN'
  /** Links, protocols or metadata of another version. */
  | 'NODE_JOIN_VERSION'
  /** Another node of that number is live. */
  | 'NODE_JOIN_ID_TAKEN'
  /** No member that was named could take it in, in time. */
  | 'NODE_JOIN_UNREACHABLE'
  /** What answers there is no member of a cluster that takes nodes in. */
  | 'NODE_JOIN_REFUSED';

/** The cluster does not take this node in. Its folder is as it was. */
export class JoinError extends BrokerError {
  readonly code: JoinErrorCode;

  constructor(code: JoinErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export class NodeConfigError extends BrokerError {
  readonly code = 'NODE_CONFIG_INVALID';
}
