// What the network of one thread did, as a plain object that tests and metrics read at any time.

export interface NetCounters {
  /** Calls to a socket's write, the remainders of sendfile included. */
  socketWrites: number;
  sendfileCalls: number;
  sendfileBytes: number;
  /** Bytes of files that went through memory because sendfile was not possible or not worth it. */
  copiedBytes: number;
  bytesIn: number;
  /** Bytes given to the system, file ranges included. */
  bytesOut: number;
  accepted: number;
  connected: number;
  closed: number;
}

export function createNetCounters(): NetCounters {
  return {
    socketWrites: 0,
    sendfileCalls: 0,
    sendfileBytes: 0,
    copiedBytes: 0,
    bytesIn: 0,
    bytesOut: 0,
    accepted: 0,
    connected: 0,
    closed: 0,
  };
}
