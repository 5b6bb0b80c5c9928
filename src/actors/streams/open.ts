// Opening and accepting streams, as Context does it: each end is a child of the actor that asks for it, and ends with
// it at the latest.

import type { Random } from '../../env/environment.ts';
import type { Actor } from '../actor.ts';
import type { Ops } from '../protocol.ts';
import type { Ref } from '../ref.ts';
import {
  type AcceptOptions,
  type IncomingStream,
  ReadingEnd,
  type StreamReader,
  streamReaderActor,
} from './incoming-stream.ts';
import {
  type OpenOptions,
  type OutgoingStream,
  StreamWriterActor,
  WritingEnd,
  writerArgs,
} from './outgoing-stream.ts';
import type { StreamAddress, StreamEnd } from './protocols.ts';
import type { StreamTable } from './stream-table.ts';

/** What is needed of the actor that opens or accepts. */
export interface StreamOwner {
  readonly random: Random;
  spawn<P extends Ops, A>(name: string, actor: Actor<P, A>, args: A): Ref<P>;
}

const NOWHERE: StreamAddress = { node: 0, incarnation: 0, thread: 0, slot: 0, generation: 0 };
const WAY_LOST: StreamEnd = { reason: 'unreachable', detail: 'the way between them was lost' };

export function openStream(
  table: StreamTable,
  owner: StreamOwner,
  options: OpenOptions = {},
): OutgoingStream {
  const seat = table.take();
  try {
    const end = new WritingEnd(seat, NOWHERE);
    const ref = owner.spawn(nameOf(owner, 'out'), StreamWriterActor, writerArgs(end, options));
    seat.wayLost = () => ref.tell('gone', WAY_LOST);
    end.address = ref.id;
    return end;
  } catch (error) {
    seat.leave();
    throw error;
  }
}

export function acceptStream(
  table: StreamTable,
  owner: StreamOwner,
  address: StreamAddress,
  reader: StreamReader,
  options: AcceptOptions = {},
): IncomingStream {
  const seat = table.take();
  try {
    const end = new ReadingEnd(seat, address, reader, options);
    const kind = streamReaderActor(options.windowBytes);
    const ref = owner.spawn(nameOf(owner, 'in'), kind, end);
    seat.wayLost = () => ref.tell('gone', WAY_LOST);
    return end;
  } catch (error) {
    seat.leave();
    throw error;
  }
}

/** Children have names of their own; so many draws never meet. */
function nameOf({ random }: StreamOwner, way: 'in' | 'out'): string {
  const word = () => random.u32().toString(36);
  return `stream-${way}-${word()}${word()}`;
}
