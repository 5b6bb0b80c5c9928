// What a whole frame means: entries on the tape, or the error that the peer has made, with the texts that RabbitMQ
// gives. Also keeps what the meaning depends on: channels with unfinished content, what has been closed.
import { readI32, readU32 } from '../../../std/bytes.ts';
import { ContentAssembly } from './content.ts';
import { AmqpError, undecodable } from './errors.ts';
import {
  CONTENT_HEADER_BYTES,
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  type Frame,
  METHOD_ID_BYTES,
} from './frame.ts';
import { FRAME_BYTES_MIN, type ReaderLimits } from './limits.ts';
import { METHOD_CODECS, type MethodCodec, methodCodecById } from './method-codec.ts';
import type { Method } from './methods.ts';
import { PublishScanner } from './publish.ts';
import {
  ACK_BITS,
  MULTIPLE,
  OP_ACK,
  OP_FAULT,
  OP_METHOD,
  OP_NACK,
  OP_REJECT,
  REQUEUE,
  TAG_HIGH,
  TAG_LOW,
  type Tape,
} from './tape.ts';
import { payloadSnippet } from './terms.ts';

export type Peer = 'client' | 'server';

const PUBLISH = METHOD_CODECS['basic.publish'].id;
const CONNECTION_CLOSE = METHOD_CODECS['connection.close'].id;
const CONNECTION_CLOSE_OK = METHOD_CODECS['connection.close-ok'].id;
const CHANNEL_CLOSE = METHOD_CODECS['channel.close'].id;
const CHANNEL_CLOSE_OK = METHOD_CODECS['channel.close-ok'].id;
/** Delivery tag u64, bits u8. */
const ACK_ARGS_BYTES = 9;

/** How an acknowledgement goes on the tape: its op, the bits it has, and how far they move to be MULTIPLE, REQUEUE. */
interface AckForm {
  readonly op: number;
  readonly mask: number;
  readonly shift: number;
}

const ACK_FORMS: ReadonlyMap<number, AckForm> = new Map([
  [METHOD_CODECS['basic.ack'].id, { op: OP_ACK, mask: MULTIPLE, shift: 0 }],
  [METHOD_CODECS['basic.nack'].id, { op: OP_NACK, mask: MULTIPLE | REQUEUE, shift: 0 }],
  // Its only bit is requeue, which is the second one of a nack.
  [METHOD_CODECS['basic.reject'].id, { op: OP_REJECT, mask: REQUEUE >> 1, shift: 1 }],
]);

export class FrameMeaning {
  readonly #tape: Tape;
  readonly #limits: ReaderLimits;
  readonly #peer: Peer;
  readonly #publish: PublishScanner;
  readonly contents: ContentAssembly;
  /** The largest payload that is taken now: frame_max, although a frame's own 8 bytes should count in it. */
  payloadBytesMax: number;
  /** Frames on channels are taken from connection.open on. */
  #hasChannels: boolean;
  #isTuned = false;
  /** Only the close of the connection is read. */
  isClosing = false;
  /** Nothing is read any more. */
  isOver = false;

  constructor(tape: Tape, limits: ReaderLimits, peer: Peer) {
    this.#tape = tape;
    this.#limits = limits;
    this.#peer = peer;
    this.contents = new ContentAssembly(tape, limits);
    this.payloadBytesMax = peer === 'client' ? limits.firstFrameBytesMax : limits.frameBytesMax;
    this.#publish = new PublishScanner(limits.messageBytesMax);
    this.#hasChannels = peer === 'server';
  }

  /**
   * If the frame is a publish whose content follows in the same bytes, takes all of that. Returns where the next
   * frame starts; 0: nothing was done.
   */
  wholePublish(frame: Frame): number {
    if (frame.type !== FRAME_METHOD || frame.size <= METHOD_ID_BYTES) return 0;
    if (readU32(frame.bytes, frame.at) !== PUBLISH || this.#peer !== 'client') return 0;
    if (this.isClosing || !this.#takesContent(frame.channel)) return 0;
    if (!this.contents.isIdle(frame.channel)) return 0;
    return this.#publish.takeWhole(this.#tape, frame, this.payloadBytesMax);
  }

  take(frame: Frame): void {
    const { type } = frame;
    if (type === FRAME_METHOD) {
      this.#method(frame);
      return;
    }
    if (this.isClosing) return;
    const isHeader = type === FRAME_HEADER && frame.size >= CONTENT_HEADER_BYTES;
    if (isHeader || type === FRAME_BODY) {
      if (!this.#takesContent(frame.channel)) this.#unexpectedFrame(frame);
      else if (isHeader) this.report(frame.channel, this.contents.header(frame));
      else this.#body(frame);
    } else if (type !== FRAME_HEARTBEAT || frame.size > 0) {
      this.report(frame.channel, frameError(frame, 'unknown_frame'));
    } else if (frame.channel !== 0) {
      this.#unexpectedFrame(frame);
    }
  }

  /** Decides on a body frame of which only the head has come. False: it must be whole to be judged. */
  beginBody(channel: number, size: number): boolean {
    if (!this.#takesContent(channel)) return false;
    this.report(channel, this.contents.admitBody(channel, size));
    return true;
  }

  /** True if the payload of such a frame need not even be looked at. */
  drops(type: number, channel: number): boolean {
    if (type !== FRAME_BODY && type !== FRAME_HEADER) return false;
    return this.isClosing || this.contents.isClosed(channel);
  }

  /** Puts an error on the tape and closes what it ends. */
  report(channel: number, error: AmqpError | undefined): void {
    if (error === undefined || this.isClosing) return;
    this.#tape.objectEntry(OP_FAULT, channel, { error, isSyncLost: false });
    if (error.scopeOn(channel) === 'channel') this.contents.close(channel);
    else this.closeConnection();
  }

  /** The frames are out of step: nothing is read any more. `reason` is an Erlang term. */
  outOfStep(frame: Frame, reason: string): void {
    if (!this.isClosing) {
      const error = frameError(frame, reason);
      this.#tape.objectEntry(OP_FAULT, frame.channel, { error, isSyncLost: true });
    }
    this.closeConnection();
    this.isOver = true;
  }

  closeConnection(): void {
    this.isClosing = true;
    this.contents.clear();
  }

  #takesContent(channel: number): boolean {
    return channel !== 0 && this.#hasChannels;
  }

  #body(frame: Frame): void {
    const { contents } = this;
    const { channel } = frame;
    const error =
      contents.admitBody(channel, frame.size) ??
      contents.appendBody(channel, frame.bytes, frame.at, frame.size);
    this.report(channel, error);
    if (error === undefined) contents.endBody(channel);
  }

  #unexpectedFrame(frame: Frame): void {
    const text = `type ${frame.type}, ${payloadSnippet(frame.payload())}`;
    this.report(frame.channel, new AmqpError('UNEXPECTED_FRAME', text));
  }

  // ---- Methods ----------------------------------------------------------------------------------

  #method(frame: Frame): void {
    const { channel } = frame;
    if (frame.size < METHOD_ID_BYTES) {
      this.report(channel, frameError(frame, 'unknown_frame'));
      return;
    }
    const id = readU32(frame.bytes, frame.at);
    if (!this.#admits(id, frame)) return;
    const ackForm = channel === 0 ? undefined : ACK_FORMS.get(id);
    const codec = methodCodecById(id);
    if (codec === undefined) {
      this.report(channel, unknownMethod(id));
    } else if (codec.from !== 'both' && codec.from !== this.#peer) {
      this.report(channel, new AmqpError('COMMAND_INVALID', 'unimplemented method', codec));
    } else if (ackForm !== undefined) {
      this.#acknowledgement(ackForm, codec, frame);
    } else if (channel !== 0 && codec.kind === 'content') {
      this.#beginContent(codec, frame);
    } else {
      this.#plainMethod(codec, frame);
    }
  }

  /** Whether this method may come now; if not, the error is reported, or it is dropped behind a close. */
  #admits(id: number, frame: Frame): boolean {
    const { channel } = frame;
    if (this.isClosing) return channel === 0 && isClose(id);
    if (channel === 0) return true;
    if (!this.#hasChannels) {
      this.#unexpectedFrame(frame);
      return false;
    }
    const { contents } = this;
    if (contents.isIdle(channel)) return true;
    if (!contents.isClosed(channel)) {
      this.report(channel, contents.refuseMethod(channel));
      return false;
    }
    if (id === CHANNEL_CLOSE_OK) contents.reopen(channel);
    return id === CHANNEL_CLOSE || id === CHANNEL_CLOSE_OK;
  }

  #acknowledgement(form: AckForm, codec: MethodCodec, frame: Frame): void {
    const { bytes } = frame;
    const at = frame.at + METHOD_ID_BYTES;
    if (frame.end - at !== ACK_ARGS_BYTES) {
      this.report(frame.channel, undecodable(bytes, at, frame.end, codec));
      return;
    }
    const entry = this.#tape.entry(form.op, frame.channel);
    const { ints } = this.#tape;
    ints[entry + TAG_HIGH] = readI32(bytes, at);
    ints[entry + TAG_LOW] = readI32(bytes, at + 4);
    ints[entry + ACK_BITS] = (bytes[at + 8]! & form.mask) << form.shift;
  }

  #beginContent(codec: MethodCodec, frame: Frame): void {
    const { channel, bytes, end } = frame;
    const at = frame.at + METHOD_ID_BYTES;
    if (codec.id !== PUBLISH) {
      const method = this.#decoded(codec, frame);
      if (method !== undefined) this.contents.begin(channel, codec, method);
    } else if (this.#publish.scanArgs(bytes, at, end)) {
      this.report(channel, this.contents.beginPublish(channel, codec, bytes, this.#publish));
    } else {
      this.report(channel, undecodable(bytes, at, end, codec));
    }
  }

  #plainMethod(codec: MethodCodec, frame: Frame): void {
    const method = this.#decoded(codec, frame);
    if (method === undefined) return;
    if (method.name === 'connection.tune-ok') this.#tune(method.args.frameMax);
    if (method.name === 'connection.open') this.#hasChannels = true;
    this.#tape.objectEntry(OP_METHOD, frame.channel, method);
  }

  #decoded(codec: MethodCodec, frame: Frame): Method | undefined {
    try {
      return codec.decode(frame.bytes, frame.at + METHOD_ID_BYTES, frame.end);
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      this.report(frame.channel, error);
      return undefined;
    }
  }

  /** The first tune-ok decides, within what was offered; whether its values may stand is the session's to say. */
  #tune(frameBytesMax: number): void {
    if (this.#isTuned || frameBytesMax < FRAME_BYTES_MIN) return;
    this.#isTuned = true;
    this.payloadBytesMax = Math.min(frameBytesMax, this.#limits.frameBytesMax);
  }
}

function isClose(id: number): boolean {
  return id === CONNECTION_CLOSE || id === CONNECTION_CLOSE_OK;
}

function frameError(frame: Frame, reason: string): AmqpError {
  const text = `type ${frame.type}, ${payloadSnippet(frame.payload())}: ${reason}`;
  return new AmqpError('FRAME_ERROR', text);
}

/** RabbitMQ 3.10 closes the connection without a word here. */
function unknownMethod(id: number): AmqpError {
  const ids = { classId: id >>> 16, methodId: id & 0xffff };
  return new AmqpError('COMMAND_INVALID', `unknown method ${ids.classId}.${ids.methodId}`, ids);
}
