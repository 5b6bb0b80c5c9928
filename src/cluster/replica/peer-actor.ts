// What other nodes' log hosts say to this one: each message is routed to the role of its log. Messages
// about logs or roles that are not here (yet) are dropped: the sender greets or streams again.
import { actor } from '../../actors/actor.ts';
import { later } from '../later.ts';
import type { HostedLog } from './hosted-log.ts';
import type { LogHost } from './log-host.ts';
import { PeerProtocol } from './peer-protocol.ts';
import type { WireFrame } from './wire-frame.ts';

const PULL_BYTES_MAX = 4 * 1024 * 1024;

async function framesOf(host: LogHost, hosted: HostedLog, fromSeq: number, throughSeq: number) {
  const { stored } = hosted;
  const frames: WireFrame[] = [];
  // From before the read: the frame in front may be released meanwhile.
  const previousChain = stored.chainAt(fromSeq - 1);
  const next = await stored.framesFrom(fromSeq, PULL_BYTES_MAX, (header, events, batch) => {
    if (header.seq > throughSeq) return false;
    frames.push({ ...header, events: events.slice(), batch: batch?.slice() });
    return header.seq < throughSeq;
  });
  if (next === 'gone' || previousChain === undefined)
    throw new Error(`frame ${fromSeq} is gone here`);
  return {
    logId: hosted.logId,
    from: host.self.node,
    leaderEpoch: 0,
    previousChain,
    committedSeq: stored.committedSeq,
    frames,
  };
}

function must(host: LogHost, logId: number): HostedLog {
  const hosted = host.hosted(logId);
  if (hosted === undefined) throw new Error(`log ${logId} is not hosted here`);
  return hosted;
}

export const PeerActor = actor(
  PeerProtocol,
  (ctx, host: LogHost) => {
    const withLog = (logId: number, work: (hosted: HostedLog) => void) => {
      const hosted = host.hosted(logId);
      if (hosted !== undefined) host.guard(hosted, () => work(hosted));
    };
    return {
      planMoves: ({ moves }) => host.planMoves(moves),
      fence: ({ logId, fence }) => withLog(logId, (hosted) => hosted.fenced(fence)),
      hello: ({ logId, hello }) => {
        if (host.hosted(logId)?.leader === undefined) host.earlyHellos.keep(logId, hello);
        withLog(logId, ({ leader }) => leader?.hello(hello));
      },
      answer: ({ logId, answer }) =>
        withLog(logId, ({ follower }) => follower?.helloAnswered(answer)),
      frames: (input) => withLog(input.logId, ({ follower }) => follower?.frames(input)),
      ack: ({ logId, from, incarnation, epoch, durableSeq, chain }) =>
        withLog(logId, ({ leader }) =>
          leader?.acknowledged(from, incarnation, epoch, durableSeq, chain),
        ),
      received: ({ logId, from, incarnation, epoch, seq }) =>
        withLog(logId, ({ leader }) => leader?.received(from, incarnation, epoch, seq)),
      committed: ({ logs }) => {
        for (const { logId, epoch, seq } of logs) {
          withLog(logId, ({ follower }) => follower?.leaderCommitted(epoch, seq));
        }
      },
      pullFrames: ({ logId, fromSeq, throughSeq }) =>
        later(ctx, () => framesOf(host, must(host, logId), fromSeq, throughSeq)),
      donate: ({ logId, epoch }) =>
        later(ctx, () => {
          const hosted = must(host, logId);
          if (hosted.leader?.epoch !== epoch) {
            throw new Error(`log ${logId} is not led here in ${epoch}`);
          }
          return host.donations.offer(hosted.stored);
        }),
      lend: ({ logId, epoch, fromOffset, toOffset }) =>
        later(ctx, () => {
          const hosted = must(host, logId);
          const isSound = () => hosted.soundEpoch === epoch;
          return host.donations.lend(hosted.stored, fromOffset, toOffset, isSound);
        }),
      pullChunk: ({ donationId, position }) =>
        later(ctx, () => host.donations.chunk(donationId, position)),
      releaseDonation: ({ donationId }) => host.donations.release(donationId),
    };
  },
  { mailbox: { capacity: 65_536, overflow: 'reject' } },
);
