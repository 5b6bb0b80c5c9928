// TCP as the Environment wants it: listeners whose connections read nothing until they are started
// (so that they can be handed to another thread untouched), connections that lend what they receive,
// and no Nagle delay. Received bytes come through one reusable buffer per thread where the system
// allows it, else through the stream's own chunks.

import type { AddressInfo, Server, Socket } from 'node:net';
import net from 'node:net';
import type { Address, Connection, Listener, Log, Net } from '../environment.ts';
import { NodeConnection } from './connection.ts';
import { createNetCounters, type NetCounters } from './counters.ts';
import { DescriptorWatch } from './descriptors.ts';
import { socketFd } from './file-range.ts';
import type { NativeCalls } from './native.ts';

/** One read fills at most this much; larger reads save turns of the loop under bulk load. */
const READ_BYTES = 256 * 1024;

const BACKLOG = 511;

/** A connection taken out of its thread: the descriptor is a duplicate that the taker must adopt. */
export interface ReleasedConnection {
  readonly fd: number;
  readonly remote: Address;
  readonly local: Address;
}

export interface NodeNet extends Net {
  readonly counters: NetCounters;
  /** Connections that are not closed. */
  readonly connectionCount: number;
  /** Whether `release` can work here. */
  readonly canRelease: boolean;
  /** Takes an accepted, not yet started connection away from this thread. Needs dup. */
  release(connection: Connection): ReleasedConnection;
  /**
   * Gives away the socket of a connection to which nothing was written, for a protocol that Node speaks
   * itself. `read` is what has come of it: the new owner reads it first.
   */
  detach(connection: Connection, read: Uint8Array): Socket;
  /** Makes a connection of a descriptor that another thread released. */
  adopt(fd: number, remote: Address, local: Address): Connection;
}

export interface NodeNetOptions {
  readonly native: NativeCalls;
  readonly log: Log;
  /** `chunks` reads through the stream's own buffers, as on systems where one buffer cannot be shared. */
  readonly reading?: 'shared-buffer' | 'chunks';
}

interface Wrappable {
  _handle: object | null;
}

function plainHost(host: string | undefined): string {
  return (host ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

function localOf(socket: Socket): Address {
  return { host: plainHost(socket.localAddress), port: socket.localPort ?? 0 };
}

function remoteOf(socket: Socket): Address {
  return { host: plainHost(socket.remoteAddress), port: socket.remotePort ?? 0 };
}

export function createNodeNet(options: NodeNetOptions): NodeNet {
  return new TcpNet(options);
}

class TcpNet implements NodeNet {
  readonly counters = createNetCounters();
  readonly #native: NativeCalls;
  readonly #descriptors: DescriptorWatch;
  /** Undefined where a read may be under way on several sockets at once (Windows). */
  readonly #buffer: Uint8Array | undefined;
  readonly #live = new Set<NodeConnection>();
  #nextId = 1;

  constructor(options: NodeNetOptions) {
    this.#native = options.native;
    this.#descriptors = new DescriptorWatch(options.log);
    const isShared = options.reading !== 'chunks' && process.platform !== 'win32';
    this.#buffer = isShared ? new Uint8Array(READ_BYTES) : undefined;
  }

  get connectionCount(): number {
    return this.#live.size;
  }

  get canRelease(): boolean {
    return this.#native.dup !== undefined;
  }

  async listen(at: Address, accept: (connection: Connection) => void): Promise<Listener> {
    if (at.host !== 'localhost') return this.#listenOne(at, accept);
    const first = await this.#listenOne({ host: '127.0.0.1', port: at.port }, accept);
    try {
      const second = await this.#listenOne({ host: '::1', port: first.address.port }, accept);
      return {
        address: { host: 'localhost', port: first.address.port },
        close() {
          first.close();
          second.close();
        },
      };
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // A machine without IPv6 has one loopback only.
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return first;
      first.close();
      throw error;
    }
  }

  #listenOne(at: Address, accept: (connection: Connection) => void): Promise<Listener> {
    const server: Server = net.createServer({
      pauseOnConnect: true,
      noDelay: true,
      allowHalfOpen: true,
    });
    server.on('connection', (socket) => {
      this.counters.accepted += 1;
      this.#descriptors.accepted(socketFd(socket));
      accept(this.#accepted(socket));
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: at.host, port: at.port, backlog: BACKLOG, exclusive: true }, () => {
        server.removeListener('error', reject);
        server.on('error', (error) => this.#descriptors.failed(at, error));
        const bound = server.address() as AddressInfo;
        resolve({
          address: { host: at.host, port: bound.port },
          close: () => void server.close(),
        });
      });
    });
  }

  /** Re-creates an accepted socket around its handle, the only way to read into a buffer of ours. */
  #accepted(shell: Socket): NodeConnection {
    const local = localOf(shell);
    const remote = remoteOf(shell);
    const handle = (shell as unknown as Wrappable)._handle;
    if (this.#buffer === undefined || handle === null || handle === undefined) {
      return this.#wrapChunks(shell, local, remote, true);
    }
    (shell as unknown as Wrappable)._handle = null;
    shell.destroy();
    return this.#wrapShared((reading) => new net.Socket({ handle, ...reading } as object), {
      local,
      remote,
      isOpen: true,
    });
  }

  release(connection: Connection): ReleasedConnection {
    const dup = this.#native.dup;
    if (dup === undefined) throw new Error('connections cannot be handed over without dup');
    if (!(connection instanceof NodeConnection)) throw new Error('not a connection of this net');
    const fd = dup(socketFd(connection.socket));
    connection.release();
    return { fd, remote: connection.remote, local: connection.local };
  }

  detach(connection: Connection, read: Uint8Array): Socket {
    if (!(connection instanceof NodeConnection)) throw new Error('not a connection of this net');
    return connection.detach(read);
  }

  adopt(fd: number, remote: Address, local: Address): Connection {
    const connection =
      this.#buffer === undefined
        ? this.#wrapChunks(
            new net.Socket({ fd, allowHalfOpen: true, manualStart: true } as object),
            local,
            remote,
            true,
          )
        : this.#wrapShared((reading) => new net.Socket({ fd, ...reading } as object), {
            local,
            remote,
            isOpen: true,
          });
    connection.socket.setNoDelay(true);
    return connection;
  }

  connect(to: Address, options: { readonly timeoutMs: number }): Connection {
    const nowhere = { host: '', port: 0 };
    const connection =
      this.#buffer === undefined
        ? this.#wrapChunks(new net.Socket({ allowHalfOpen: true }), nowhere, to, false)
        : this.#wrapShared((reading) => new net.Socket({ ...reading } as object), {
            local: nowhere,
            remote: to,
            isOpen: false,
          });
    const { socket } = connection;
    const timer = setTimeout(() => {
      const text = `no answer from ${to.host}:${to.port} in ${options.timeoutMs} ms`;
      connection.fail(Object.assign(new Error(text), { code: 'ETIMEDOUT' }));
    }, options.timeoutMs);
    socket.once('close', () => clearTimeout(timer));
    socket.once('connect', () => {
      clearTimeout(timer);
      this.counters.connected += 1;
      connection.opened(localOf(socket));
    });
    // As an option of connect it would be ignored: only the constructor reads it.
    socket.setNoDelay(true);
    try {
      socket.connect({ host: to.host, port: to.port });
    } catch (error) {
      // A port that is none: told like every other failure, never thrown at who wanted to send.
      queueMicrotask(() => connection.fail(error as Error));
    }
    return connection;
  }

  #wrapShared(
    make: (reading: object) => Socket,
    parts: { readonly local: Address; readonly remote: Address; readonly isOpen: boolean },
  ): NodeConnection {
    const buffer = this.#buffer!;
    // The callback can only run in a later turn, when the connection below is set.
    const holder: { connection?: NodeConnection } = {};
    const socket = make({
      allowHalfOpen: true,
      manualStart: true,
      onread: {
        buffer,
        callback: (count: number) => {
          holder.connection!.received(buffer.subarray(0, count));
          return true;
        },
      },
    });
    holder.connection = this.#register(socket, parts.local, parts.remote, parts.isOpen);
    return holder.connection;
  }

  #wrapChunks(socket: Socket, local: Address, remote: Address, isOpen: boolean): NodeConnection {
    const connection = this.#register(socket, local, remote, isOpen);
    socket.on('data', (chunk: Uint8Array) => connection.received(chunk));
    return connection;
  }

  #register(socket: Socket, local: Address, remote: Address, isOpen: boolean): NodeConnection {
    socket.pause();
    const connection = new NodeConnection({
      id: this.#nextId,
      socket,
      local,
      remote,
      isOpen,
      native: this.#native,
      counters: this.counters,
    });
    this.#nextId += 1;
    this.#live.add(connection);
    socket.once('close', () => this.#live.delete(connection));
    return connection;
  }
}
