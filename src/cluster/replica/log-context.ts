// What a hosted log gives its roles to touch, and what the host gives the log for it. Written out field by field: an
// object that is spread into another gets a hidden class of its own from the engine, and every look at one of many
// thousands of such contexts would miss all caches.
import type { AnyDurableBehavior } from '../../actors/durable/behavior.ts';
import type { RefId } from '../../actors/ref.ts';
import type { StoredLog } from '../../storage/api.ts';
import type { FrameClock } from './frame-clock.ts';
import type { HostedLog } from './hosted-log.ts';
import type { Machine } from './machine.ts';
import type { LogContext } from './role.ts';
import type { Waiters } from './waiters.ts';

export type HostPort = Omit<
  LogContext,
  | 'logId'
  | 'stored'
  | 'machine'
  | 'behavior'
  | 'waiters'
  | 'frameClock'
  | 'durability'
  | 'markDirty'
  | 'markActive'
  | 'retentionMoved'
  | 'quarantine'
  | 'takeToken'
  | 'roleEnded'
> & {
  markDirty(hosted: HostedLog): void;
  markActive(hosted: HostedLog): void;
  retentionMoved(hosted: HostedLog): void;
  advanced(to: RefId, token: number): void;
  /** Asks metadata for a new epoch of a log whose leader here gave up. */
  resignLog(logId: number, epoch: number): void;
  /** Metadata is to know that what this replica acknowledged of the log is lost; asked again until it does. */
  reportLoss(logId: number): void;
  /** A leader has just started here: who greeted it before is waiting. */
  leads(hosted: HostedLog): void;
};

export interface LogParts extends Pick<LogContext, 'durability' | 'takeToken' | 'roleEnded'> {
  readonly hosted: HostedLog;
  readonly stored: StoredLog;
  readonly machine: Machine;
  readonly behavior: AnyDurableBehavior;
  readonly waiters: Waiters;
  readonly frameClock: FrameClock | undefined;
}

export function logContextOf(port: HostPort, parts: LogParts): LogContext {
  const { hosted } = parts;
  return {
    logId: parts.stored.logId,
    self: port.self,
    writer: port.writer,
    stored: parts.stored,
    store: port.store,
    machine: parts.machine,
    behavior: parts.behavior,
    peers: port.peers,
    uncleanLosses: port.uncleanLosses,
    lagSettings: port.lagSettings,
    replies: port.replies,
    waiters: parts.waiters,
    frameClock: parts.frameClock,
    trustsWallClock: port.trustsWallClock,
    log: port.log,
    faults: port.faults,
    durability: parts.durability,
    copyRate: port.copyRate,
    after: port.after,
    nowMs: port.nowMs,
    wallMs: port.wallMs,
    markDirty: () => port.markDirty(hosted),
    markActive: () => port.markActive(hosted),
    retentionMoved: () => port.retentionMoved(hosted),
    propose: port.propose,
    moveLeader: port.moveLeader,
    quarantine: (reason) => hosted.quarantine(reason),
    takeToken: parts.takeToken,
    roleEnded: parts.roleEnded,
  };
}
