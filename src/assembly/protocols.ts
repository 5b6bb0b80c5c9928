// Every actor protocol that crosses threads or nodes: handshakes compare this list on both sides.
import type { AnyProtocol } from '../actors/protocol.ts';
import { LogHostProtocol, LogRepliesProtocol } from '../cluster/log-protocol.ts';
import { MetadataProtocol, ReplicaProtocol } from '../cluster/metadata-shell/metadata-protocol.ts';
import { PeerProtocol } from '../cluster/replica/peer-protocol.ts';

export const PROTOCOLS: readonly AnyProtocol[] = [
  LogHostProtocol,
  LogRepliesProtocol,
  MetadataProtocol,
  PeerProtocol,
  ReplicaProtocol,
];
