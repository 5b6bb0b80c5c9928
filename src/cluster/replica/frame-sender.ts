// Streams frames of one log to its followers under credit: at most IN_FLIGHT_BYTES_MAX unacknowledged
// bytes per follower, in messages of about MESSAGE_BYTES_MAX. Frames in memory are sent in the turn;
// older ones are read back from the WAL first, one read at a time per follower.
import type { Leader } from '../../replication/types.ts';
import { messageOf } from '../../std/errors.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import { CopyPace } from './copy-pace.ts';
import type { LogContext } from './role.ts';
import { type WireFrame, wireFrameBytes } from './wire-frame.ts';

const IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024;
const MESSAGE_BYTES_MAX = 512 * 1024;

interface Flight {
  readonly throughSeq: number;
  readonly bytes: number;
}

class FollowerStream {
  readonly node: number;
  readonly flights = new RingQueue<Flight>();
  inFlightBytes = 0;
  readonly pace = new CopyPace();
  isReading = false;
  /** The link has no room. */
  isBlocked = false;
  /** A stopped stream ignores reads that come back late. */
  isStopped = false;

  constructor(node: number) {
    this.node = node;
  }
}

export class FrameSender {
  readonly #context: LogContext;
  readonly #core: Leader;
  readonly #isUnclean: boolean;
  readonly #streams = new Map<number, FollowerStream>();

  constructor(context: LogContext, core: Leader, isUnclean: boolean) {
    this.#context = context;
    this.#core = core;
    this.#isUnclean = isUnclean;
  }

  /** The core says where to begin: `progress(node).nextSeq`. */
  start(node: number): void {
    const old = this.#streams.get(node);
    if (old !== undefined) old.isStopped = true;
    this.#streams.set(node, new FollowerStream(node));
  }

  stop(node: number): void {
    const stream = this.#streams.get(node);
    if (stream !== undefined) stream.isStopped = true;
    this.#streams.delete(node);
  }

  acknowledged(node: number, durableSeq: number): void {
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    for (let next = stream.flights.peek(); next !== undefined && next.throughSeq <= durableSeq; ) {
      stream.inFlightBytes -= next.bytes;
      stream.flights.shift();
      next = stream.flights.peek();
    }
  }

  pump(): void {
    for (const stream of this.#streams.values()) {
      this.#pumpOne(stream);
      const committed = this.#core.committedToSend(stream.node);
      if (committed < 0) continue;
      this.#context.peers.committed(stream.node, this.#context.logId, this.#core.epoch, committed);
      this.#core.committedSent(stream.node, committed);
    }
  }

  isQuiet(): boolean {
    for (const stream of this.#streams.values()) {
      const progress = this.#core.progress(stream.node);
      if (progress === undefined || !progress.isInSync) return false;
      if (progress.matchSeq < this.#core.endSeq) return false;
      if (this.#core.committedToSend(stream.node) >= 0) return false;
    }
    return this.#core.committedSeq === this.#core.endSeq;
  }

  #pumpOne(stream: FollowerStream): void {
    while (!stream.isReading && !stream.isBlocked && stream.inFlightBytes < IN_FLIGHT_BYTES_MAX) {
      const progress = this.#core.progress(stream.node);
      if (progress === undefined || !progress.isStreaming) return;
      if (progress.nextSeq > this.#core.endSeq) return;
      // The tail is not paced: it is what commits wait for. A tick looks again.
      const isCatchUp = progress.streamClass === 'catch-up';
      if (isCatchUp && stream.pace.waitMs(this.#context.nowMs()) > 0) return;
      const frames: WireFrame[] = [];
      const { stored } = this.#context;
      const previousChain = stored.chainAt(progress.nextSeq - 1);
      const next = stored.frames(progress.nextSeq, MESSAGE_BYTES_MAX, (header, events, batch) => {
        frames.push({ ...header, events, batch });
        return true;
      });
      if (next === 'gone' || previousChain === undefined) {
        this.#greetAnew(stream.node);
        return;
      }
      if (next === 'cold') {
        this.#readBack(stream, progress.nextSeq, previousChain);
        return;
      }
      this.#send(stream, frames, previousChain);
    }
  }

  /** What the follower needs next is only in segments and a snapshot: its next hello finds that out. */
  #greetAnew(node: number): void {
    const { peers, stored, logId, self } = this.#context;
    this.stop(node);
    this.#core.framesReleasedBelow(stored.firstSeq);
    this.#core.followerLost(node);
    const fence = { epoch: this.#core.epoch, leader: self.node, unclean: this.#isUnclean };
    peers.fence(node, logId, fence);
  }

  /** `previousChain` is kept from before the read: the frame in front may be released meanwhile. */
  #readBack(stream: FollowerStream, fromSeq: number, previousChain: number): void {
    stream.isReading = true;
    const frames: WireFrame[] = [];
    const { stored, log, logId } = this.#context;
    stored
      .framesFrom(fromSeq, MESSAGE_BYTES_MAX, (header, events, batch) => {
        frames.push({ ...header, events: events.slice(), batch: batch?.slice() });
        return true;
      })
      .then((next) => {
        stream.isReading = false;
        if (stream.isStopped) return;
        if (next === 'gone') {
          this.#greetAnew(stream.node);
        } else if (this.#core.progress(stream.node)?.nextSeq === fromSeq) {
          this.#send(stream, frames, previousChain);
        }
        this.#context.markDirty();
      })
      .catch((error: unknown) => {
        stream.isReading = false;
        log.warn('frames cannot be read back', { logId, fromSeq, error: messageOf(error) });
      });
  }

  #send(stream: FollowerStream, frames: readonly WireFrame[], previousChain: number): void {
    const first = frames[0];
    const last = frames[frames.length - 1];
    if (first === undefined || last === undefined) return;
    const { peers, logId, self } = this.#context;
    let bytes = 0;
    for (const frame of frames) bytes += wireFrameBytes(frame);
    const isSent = peers.frames(stream.node, {
      logId,
      from: self.node,
      leaderEpoch: this.#core.epoch,
      previousChain,
      committedSeq: this.#core.committedSeq,
      frames,
    });
    if (!isSent) {
      this.#block(stream);
      return;
    }
    stream.flights.push({ throughSeq: last.seq, bytes });
    stream.inFlightBytes += bytes;
    const { copyRate, nowMs } = this.#context;
    stream.pace.copied(bytes, copyRate(logId, stream.node), nowMs());
    this.#core.sent(stream.node, last.seq);
    this.#core.committedSent(stream.node, this.#core.committedSeq);
  }

  #block(stream: FollowerStream): void {
    const { peers, logId } = this.#context;
    stream.isBlocked = peers.whenRoom(stream.node, logId, () => {
      stream.isBlocked = false;
      if (!stream.isStopped) this.#context.markDirty();
    });
  }
}
