// What thread 0 and a worker tell each other when the worker boots and when peers come and go. Shared
// memory and small facts only: everything else travels in the rings.
import type { ProtocolSummary } from '../protocol.ts';
import type { ThreadSettings } from './control.ts';
import type { RingPair } from './ring-route.ts';

export interface PeerRings {
  readonly thread: number;
  readonly pair: RingPair;
}

/** `boot.data` of a worker of a thread group. */
export interface MemberBoot {
  readonly name: string;
  readonly node: number;
  readonly incarnation: number;
  readonly thread: number;
  readonly threadIncarnation: number;
  readonly threadCount: number;
  readonly isStrict: boolean;
  readonly protocols: readonly ProtocolSummary[];
  readonly peers: readonly PeerRings[];
  readonly slab: SharedArrayBuffer;
  readonly status: SharedArrayBuffer;
  /** The word of its bell, if it blocks when it is idle. */
  readonly bell: SharedArrayBuffer | undefined;
  /** What was changed in the lives before. */
  readonly settings: ThreadSettings;
  /** The application's own boot data, as it gave it. */
  readonly app: unknown;
}

export type ToMember =
  | { readonly kind: 'peer'; readonly rings: PeerRings }
  | { readonly kind: 'peer-lost'; readonly thread: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'app'; readonly body: unknown };

export type FromMember =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'app'; readonly body: unknown };
