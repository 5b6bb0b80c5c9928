// The wires between nodes: a listener for each ordered pair, which the first of them dials in place of the second.
// A wire that is cut holds what one side says; what the other says goes on.
//
// Invariant: bytes are never dropped or changed within a connection, as with TCP: they are late, or the connection
// is reset.
import net from 'node:net';

export class Network {
  #wires = new Map();
  /** `FROM>TO` -> how many faults cut it. */
  #cut = new Map();
  #connections = new Set();

  /** `targets`: the link port of each node by id. Answers when all listeners are there. */
  static async make(targets) {
    const network = new Network();
    for (const from of targets.keys()) {
      for (const [to, port] of targets) if (from !== to) await network.#listen(from, to, port);
    }
    return network;
  }

  #listen(from, to, targetPort) {
    const wire = { bytes: 0, port: 0 };
    const server = net.createServer((near) => this.#join({ from, to, wire, near, targetPort }));
    this.#wires.set(`${from}>${to}`, Object.assign(wire, { server }));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        wire.port = server.address().port;
        resolve();
      });
    });
  }

  #join({ from, to, wire, near, targetPort }) {
    const far = net.connect(targetPort, '127.0.0.1');
    const connection = { from, to, near, far };
    this.#connections.add(connection);
    // Node adds a listener for each `resume` of one that is not connected yet.
    far.setMaxListeners(0);
    near.setNoDelay(true);
    far.setNoDelay(true);
    this.#carry(connection, near, far, `${from}>${to}`, wire);
    this.#carry(connection, far, near, `${to}>${from}`, wire);
    // One that is made while its wire is cut stands still from the start.
    this.#apply(connection);
  }

  #carry(connection, source, sink, way, wire) {
    source.on('data', (chunk) => {
      wire.bytes += chunk.length;
      if (sink.destroyed || sink.write(chunk) || this.#cut.has(way)) return;
      source.pause();
      sink.once('drain', () => {
        if (!this.#cut.has(way)) source.resume();
      });
    });
    const ended = () => {
      // Nor does the end of a connection arrive while what was said before it does not.
      if (this.#cut.has(way)) return;
      sink.destroy();
      this.#connections.delete(connection);
    };
    source.on('error', () => undefined);
    source.on('close', ended);
  }

  #apply({ from, to, near, far }) {
    for (const [source, sink, way] of [
      [near, far, `${from}>${to}`],
      [far, near, `${to}>${from}`],
    ]) {
      if (this.#cut.has(way)) source.pause();
      else if (source.destroyed) sink.destroy();
      else source.resume();
    }
  }

  /** The port at which `from` finds `to`. */
  portOf(from, to) {
    return this.#wires.get(`${from}>${to}`).port;
  }

  /** Bytes that went over each wire, by `FROM>TO` of who dialled. */
  bytes() {
    return new Map([...this.#wires].map(([way, { bytes }]) => [way, bytes]));
  }

  /** From now on nothing that `from` says arrives at `to`. */
  cut(from, to) {
    const way = `${from}>${to}`;
    this.#cut.set(way, (this.#cut.get(way) ?? 0) + 1);
    for (const connection of this.#connections) this.#apply(connection);
  }

  /** What was held arrives, or with `isReset` what was cut is reset. */
  heal(from, to, isReset) {
    const way = `${from}>${to}`;
    const left = this.#cut.get(way) - 1;
    if (left > 0) {
      this.#cut.set(way, left);
      return;
    }
    this.#cut.delete(way);
    for (const connection of this.#connections) {
      const isMeant =
        (connection.from === from && connection.to === to) ||
        (connection.from === to && connection.to === from);
      if (isMeant && isReset) {
        connection.near.destroy();
        connection.far.destroy();
      }
      this.#apply(connection);
      if (connection.near.destroyed && connection.far.destroyed) {
        this.#connections.delete(connection);
      }
    }
  }

  close() {
    for (const { server } of this.#wires.values()) server.close();
    for (const { near, far } of this.#connections) {
      near.destroy();
      far.destroy();
    }
  }
}
