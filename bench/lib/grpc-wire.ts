// Calls of gRPC as raw as a bench can make them: HTTP/2 frames over one socket, with requests that are encoded
// once and of which only the number of the stream changes. It knows as much of HTTP/2 as a server that behaves
// needs of a client, and ends on everything else.
import net from 'node:net';

const FRAME_HEAD_BYTES = 9;
const PREFIX_BYTES = 5;
const Type = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7 } as const;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const WINDOW_BYTES = 0x4000_0000;
/** Granted anew when so much of the connection's window is used. */
const REFILL_BYTES = 0x1000_0000;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A header that is not remembered (RFC 7541, 6.2.2), without Huffman's code. */
function literal(name: number | string, value: string): Buffer {
  const text = (of: string): Buffer => Buffer.concat([Buffer.from([of.length]), Buffer.from(of)]);
  const named =
    typeof name === 'number' ? Buffer.from([name]) : Buffer.concat([Buffer.of(0), text(name)]);
  return Buffer.concat([named, text(value)]);
}

/** A call, ready to be sent on any stream. */
export interface Prepared {
  readonly bytes: Buffer;
  /** Where the numbers of the stream are. */
  readonly at: readonly number[];
}

/** `message` is one protobuf message; the whole call is one piece. */
export function prepareCall(path: string, clientId: string, message: Uint8Array): Prepared {
  const POST = 0x83;
  const HTTP = 0x86;
  const [AUTHORITY, PATH] = [1, 4];
  const headers = Buffer.concat([
    Buffer.of(POST, HTTP),
    literal(PATH, path),
    literal(AUTHORITY, 'bench:8081'),
    literal('content-type', 'application/grpc'),
    literal('te', 'trailers'),
    literal('x-mq-client-id', clientId),
  ]);
  const framed = Buffer.concat([Buffer.of(0), u32(message.length), message]);
  const pieces: Buffer[] = [frame(Type.headers, END_HEADERS, 0, headers)];
  const PIECE = 16_384;
  for (let from = 0; from < framed.length; from += PIECE) {
    const flags = from + PIECE >= framed.length ? END_STREAM : 0;
    pieces.push(frame(Type.data, flags, 0, framed.subarray(from, from + PIECE)));
  }
  const at: number[] = [];
  let size = 0;
  for (const piece of pieces) {
    at.push(size + 5);
    size += piece.length;
  }
  return { bytes: Buffer.concat(pieces), at };
}

export class GrpcWire {
  readonly #socket: net.Socket;
  readonly #open = new Map<number, { parts: Buffer[]; done(messages: Buffer[]): void }>();
  #next = 1;
  #held: Buffer = Buffer.alloc(0);
  #usedBytes = 0;
  #isClosed = false;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
    socket.on('close', () => {
      if (!this.#isClosed) throw new Error('the node has closed the connection');
    });
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const windowOfStreams = Buffer.concat([Buffer.of(0, 4), u32(WINDOW_BYTES)]);
    socket.write(frame(Type.settings, 0, 0, windowOfStreams));
    socket.write(frame(WINDOW_UPDATE, 0, 0, u32(WINDOW_BYTES - 65_535)));
  }

  /** `address`: HOST:PORT. */
  static connect(address: string): Promise<GrpcWire> {
    const at = address.lastIndexOf(':');
    const socket = net.connect(Number(address.slice(at + 1)), address.slice(0, at));
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', () => resolve(new GrpcWire(socket)));
    });
  }

  /** Sends the call; `done` gets the messages of the answer when it is whole. */
  call({ bytes, at }: Prepared, done: (messages: Buffer[]) => void): void {
    const stream = this.#next;
    this.#next += 2;
    const own = Buffer.from(bytes);
    for (const place of at) own.writeUInt32BE(stream, place);
    this.#open.set(stream, { parts: [], done });
    this.#socket.write(own);
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #received(bytes: Buffer): void {
    let all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    this.#socket.cork();
    while (all.length >= FRAME_HEAD_BYTES) {
      const size = FRAME_HEAD_BYTES + all.readUIntBE(0, 3);
      if (all.length < size) break;
      this.#frame(all[3]!, all[4]!, all.readUInt32BE(5), all.subarray(FRAME_HEAD_BYTES, size));
      all = all.subarray(size);
    }
    this.#held = all;
    this.#socket.uncork();
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case Type.data:
        this.#open.get(stream)!.parts.push(payload);
        this.#use(payload.length);
        break;
      case Type.settings:
        if ((flags & ACK) === 0) this.#socket.write(frame(Type.settings, ACK, 0, Buffer.alloc(0)));
        break;
      case Type.ping:
        if ((flags & ACK) === 0) this.#socket.write(frame(Type.ping, ACK, 0, payload));
        break;
      case Type.reset:
      case Type.goAway:
        throw new Error(`the node ends a stream or all: ${payload.toString('hex')}`);
    }
    if ((type === Type.headers || type === Type.data) && (flags & END_STREAM) !== 0) {
      const { parts, done } = this.#open.get(stream)!;
      this.#open.delete(stream);
      done(messagesOf(parts.length === 1 ? parts[0]! : Buffer.concat(parts)));
    }
  }

  #use(count: number): void {
    this.#usedBytes += count;
    if (this.#usedBytes < REFILL_BYTES) return;
    this.#socket.write(frame(WINDOW_UPDATE, 0, 0, u32(this.#usedBytes)));
    this.#usedBytes = 0;
  }
}

function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + PREFIX_BYTES + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + PREFIX_BYTES, end));
    at = end;
  }
  return messages;
}
