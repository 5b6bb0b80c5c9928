// A dialer that the test moves by hand: it shakes hands as it is told to, and writes what it likes afterwards.
import { DialerHandshake, type DialerStep } from '../../../src/actors/links/dialer.ts';
import type { Greeting } from '../../../src/actors/links/handshake.ts';
import { listProtocols } from '../../../src/actors/links/protocol-list.ts';
import { protocolsHash } from '../../../src/actors/protocol.ts';
import type { System } from '../../../src/actors/system.ts';
import type { Connection, Net } from '../../../src/env/environment.ts';
import { encodeUtf8 } from '../../../src/std/utf8.ts';

/** How node 1 greets node 2, but for the hash. */
export const GREETING: Greeting = {
  clusterId: 'test-cluster',
  fromNode: 1,
  fromIncarnation: 1,
  fromThread: 0,
  toNode: 2,
  toThread: 0,
  lane: 0,
  protocolsHash: 0,
  epoch: 1,
  nonce: new Uint8Array(32).fill(7),
};

export interface RawDialer {
  readonly connection: Connection;
  readonly steps: DialerStep[];
  readonly sent: Uint8Array[];
  /** The last step's kind, with its reason if it failed. */
  outcome(): string;
  isClosed: boolean;
}

/** Dials the node of `to`, as one of `protocols` (default: those of `to`). */
export function rawDialer(
  net: Net,
  port: number,
  to: System,
  change: Partial<Greeting> = {},
  token = 'secret',
  onOpen: (connection: Connection) => void = () => undefined,
  protocols = to.protocols,
): RawDialer {
  const greeting = { ...GREETING, protocolsHash: protocolsHash(protocols), ...change };
  const handshake = new DialerHandshake({
    greeting,
    token: encodeUtf8(token),
    protocols: () => listProtocols(protocols),
  });
  const connection = net.connect({ host: '127.0.0.1', port }, { timeoutMs: 1_000 });
  const dialer: RawDialer = {
    connection,
    steps: [],
    sent: [],
    isClosed: false,
    outcome() {
      const last = this.steps.at(-1);
      return last?.kind === 'failed' ? last.reason : (last?.kind ?? 'nothing');
    },
  };
  const send = (bytes: Uint8Array): void => {
    dialer.sent.push(bytes);
    connection.write(bytes);
  };
  connection.start({
    onOpen: () => send(handshake.greeting),
    onBytes(view) {
      if (dialer.outcome() === 'open') return;
      const step = handshake.receive(view.slice());
      dialer.steps.push(step);
      if (step.kind === 'wait' && step.send.length > 0) send(step.send);
      if (step.kind === 'open') onOpen(connection);
    },
    onClose() {
      dialer.isClosed = true;
    },
  });
  return dialer;
}
