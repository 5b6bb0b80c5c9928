// The books, the schedule and the wires of `chaos:cluster`: an honest history has no faults, each way to cheat is
// noticed, a seed is the same faults again, and a wire that is cut holds one way only.
import { once } from 'node:events';
import net from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
// @ts-expect-error: a plain script without types.
import * as books from '../../tools/chaos/cluster/ledger.mjs';
// @ts-expect-error: a plain script without types.
import * as mistakes from '../../tools/chaos/cluster/mistakes.mjs';
// @ts-expect-error: a plain script without types.
import * as wires from '../../tools/chaos/cluster/network.mjs';
// @ts-expect-error: a plain script without types.
import * as plan from '../../tools/chaos/cluster/schedule.mjs';
// @ts-expect-error: a plain script without types.
import { Timeline } from '../../tools/chaos/cluster/timeline.mjs';

interface Delivery {
  readonly id: string;
  readonly hash: string;
  readonly log?: string;
  readonly position?: number;
  readonly isFlagged?: boolean;
}
type Report = Readonly<Record<string, number>>;
interface Ledger {
  sending(lane: string, message: { id: string; key: string; hash: string }): void;
  acknowledged(lane: string, id: string): void;
  delivered(lane: string, reader: string, delivery: Delivery): void;
  settled(lane: string, reader: string, place: Delivery): void;
  owedOf(lane: string): number;
  report(): Report[];
}
type Kind = 'log' | 'queue';

const FINE = {
  faults: 0,
  lost: 0,
  changed: 0,
  unknown: 0,
  rewritten: 0,
  returned: 0,
  repeated: 0,
  reordered: 0,
};

function open(kind: Kind): Ledger {
  return new books.Ledger([{ name: 'lane', kind, readers: ['reader'] }]) as Ledger;
}

/** Messages of one key that were sent once, in order, and acknowledged; and what an honest broker delivers. */
function history(ledger: Ledger, kind: Kind, count: number): Delivery[] {
  return Array.from({ length: count }, (_, i) => {
    ledger.sending('lane', { id: `${i}`, key: 'key', hash: `hash ${i}` });
    ledger.acknowledged('lane', `${i}`);
    const place = kind === 'log' ? { log: '1', position: i } : { isFlagged: false };
    return { id: `${i}`, hash: `hash ${i}`, ...place };
  });
}

function reportOf(ledger: Ledger, deliveries: readonly Delivery[]): Report {
  for (const delivery of deliveries) ledger.delivered('lane', 'reader', delivery);
  const [report] = ledger.report();
  expect(ledger.owedOf('lane')).toBe(report!['lost']);
  return report!;
}

const kinds = fc.constantFrom<Kind>('log', 'queue');
const counts = fc.integer({ min: 2, max: 30 });

describe('an honest history', () => {
  it('has no faults, whatever comes again as its protocol says', () => {
    fc.assert(
      fc.property(kinds, counts, fc.array(fc.nat()), (kind, count, repeats) => {
        const ledger = open(kind);
        const deliveries = history(ledger, kind, count);
        for (const repeat of repeats) {
          const again = deliveries.findIndex(({ id }) => id === `${repeat % count}`);
          const flagged = kind === 'queue' ? { isFlagged: true } : {};
          const behind = again + 1 + (repeat % 7);
          deliveries.splice(behind, 0, { ...deliveries[again]!, ...flagged });
        }
        expect(reportOf(ledger, deliveries)).toMatchObject(FINE);
      }),
    );
  });

  it('may have as many copies of a message as it was sent', () => {
    for (const kind of ['log', 'queue'] as const) {
      const ledger = open(kind);
      const deliveries = history(ledger, kind, 3);
      ledger.sending('lane', { id: '1', key: 'key', hash: 'hash 1' });
      const copy = { ...deliveries[1]!, ...(kind === 'log' ? { position: 3 } : {}) };
      expect(reportOf(ledger, [...deliveries, copy])).toMatchObject({ ...FINE, retried: 1 });
    }
  });

  it('owes nothing that was not acknowledged', () => {
    const ledger = open('queue');
    ledger.sending('lane', { id: '1', key: 'key', hash: 'h' });
    expect(reportOf(ledger, [])).toMatchObject(FINE);
  });

  it('gives what lost its place flagged behind what went ahead', () => {
    const ledger = open('queue');
    const [first, ...others] = history(ledger, 'queue', 3);
    expect(reportOf(ledger, [...others, { ...first!, isFlagged: true }])).toMatchObject(FINE);
  });
});

describe('a broker that cheats is noticed', () => {
  it('drops one', () => {
    fc.assert(
      fc.property(kinds, counts, fc.nat(), (kind, count, which) => {
        const ledger = open(kind);
        const deliveries = history(ledger, kind, count);
        deliveries.splice(which % count, 1);
        expect(reportOf(ledger, deliveries)).toMatchObject({ ...FINE, lost: 1, faults: 1 });
      }),
    );
  });

  it('repeats one without a word', () => {
    fc.assert(
      fc.property(kinds, counts, fc.nat(), (kind, count, which) => {
        const ledger = open(kind);
        const deliveries = history(ledger, kind, count);
        const copy = deliveries[which % count]!;
        deliveries.push(kind === 'log' ? { ...copy, position: count } : copy);
        expect(reportOf(ledger, deliveries)).toMatchObject({ ...FINE, repeated: 1, faults: 1 });
      }),
    );
  });

  it('swaps two', () => {
    fc.assert(
      fc.property(kinds, counts, fc.nat(), (kind, count, which) => {
        const ledger = open(kind);
        const rows = history(ledger, kind, count);
        const at = which % (count - 1);
        const [a, b] = [rows[at]!, rows[at + 1]!];
        // Places stay where they are: what lies at them is exchanged.
        rows[at] = { ...a, id: b.id, hash: b.hash };
        rows[at + 1] = { ...b, id: a.id, hash: a.hash };
        expect(reportOf(ledger, rows)).toMatchObject({ ...FINE, reordered: 1, faults: 1 });
      }),
    );
  });

  it('changes, invents, rewrites, or brings back what was acknowledged', () => {
    const cheat = (row: Delivery, isSettled = false): Report => {
      const ledger = open('log');
      const rows = history(ledger, 'log', 3);
      for (const each of rows) ledger.delivered('lane', 'reader', each);
      if (isSettled) ledger.settled('lane', 'reader', rows[0]!);
      return reportOf(ledger, [row]);
    };
    const first = { id: '0', hash: 'hash 0', log: '1', position: 0 };
    expect(cheat(first)).toMatchObject(FINE);
    expect(cheat(first, true)).toMatchObject({ ...FINE, returned: 1, faults: 1 });
    expect(cheat({ ...first, hash: 'x' })).toMatchObject({ ...FINE, changed: 1, faults: 1 });
    expect(cheat({ ...first, id: '9' })).toMatchObject({ ...FINE, unknown: 1, faults: 1 });
    expect(cheat({ ...first, id: '1', hash: 'hash 1' })).toMatchObject({
      ...FINE,
      rewritten: 1,
      faults: 1,
    });
  });

  it('as `--mistake` does it, one way for each', () => {
    const faults = { drop: 'lost', repeat: 'repeated', swap: 'reordered' };
    expect(mistakes.MISTAKES).toEqual(Object.keys(faults));
    for (const [name, fault] of Object.entries(faults)) {
      const lane = 'amqp quorum';
      const ledger = new books.Ledger([{ name: lane, kind: 'queue', readers: ['reader'] }]);
      const mistake = new mistakes.Mistake(name);
      for (let i = 0; i < 400; i += 1) {
        ledger.sending(lane, { id: `${i}`, key: 'key', hash: 'h' });
        ledger.acknowledged(lane, `${i}`);
        const rows = [{ id: `${i}`, hash: 'h', isFlagged: false }];
        for (const row of mistake.of(lane, rows)) ledger.delivered(lane, 'reader', row);
      }
      expect(ledger.report()[0]).toMatchObject({ ...FINE, [fault]: 1, faults: 1 });
    }
  });
});

interface Entry {
  readonly calmMs: number;
  readonly parts: readonly {
    readonly kind: string;
    readonly node: number;
    readonly other?: number;
  }[];
}

function entries(seed: number, count: number): Entry[] {
  const all = plan.schedule({ seed, nodes: 3 }) as Iterator<Entry>;
  return Array.from({ length: count }, () => all.next().value as Entry);
}

describe('the schedule', () => {
  it('is the same for a seed, and another for another', () => {
    expect(entries(7, 50)).toEqual(entries(7, 50));
    expect(entries(7, 50)).not.toEqual(entries(8, 50));
  });

  it('has every kind once before any comes twice, and two nodes where there are two', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const all = entries(seed, plan.KINDS.length);
        expect(all.map(({ parts }) => parts[0]!.kind).sort()).toEqual([...plan.KINDS].sort());
        for (const { parts } of all) {
          const nodes = parts.map(({ node }) => node);
          expect(new Set(nodes).size).toBe(nodes.length);
          for (const { node, other } of parts) expect(other).not.toBe(node);
        }
      }),
    );
  });
});

it('the timeline finds the longest silence, and draws every lane and fault', () => {
  const timeline = new Timeline(['a', 'b'], 1_000);
  for (let ms = 1_000; ms < 11_000; ms += 50) {
    if (ms < 4_000 || ms >= 6_500) timeline.acknowledged('a', 1, 5, ms);
    timeline.acknowledged('b', 1, 5, ms);
  }
  timeline.fault({ kind: 'kill' }, 'kill 1 2.0 s', 4_000, 6_000);
  expect(timeline.gaps(3_000, 8_000)).toEqual([
    { lane: 'a', gapMs: 2_500 },
    { lane: 'b', gapMs: 0 },
  ]);
  expect(timeline.svg('title')).toContain('kill 1 2.0 s');
  expect(timeline.strips()).toHaveLength(4);
});

describe('a wire', () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  /** Node 2 listens; node 1 has dialled it over the network. */
  async function joined() {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const network = await wires.Network.make(
      new Map([
        [1, 1],
        [2, port],
      ]),
    );
    const accepted = once(server, 'connection');
    const near = net.connect(network.portOf(1, 2), '127.0.0.1');
    const [far] = (await accepted) as [net.Socket];
    for (const socket of [near, far]) socket.on('error', () => undefined);
    closers.push(() => {
      near.destroy();
      far.destroy();
      server.close();
      network.close();
    });
    return { network, near, far };
  }

  const text = (socket: net.Socket): Promise<string> =>
    new Promise((resolve) => socket.once('data', (chunk) => resolve(String(chunk))));

  /** `once` of events would reject with the error that comes before it. */
  const closed = (socket: net.Socket): Promise<void> =>
    new Promise((resolve) => socket.once('close', () => resolve()));

  it('that is cut holds what one side says, and the end of it; the other side is heard', async () => {
    const { network, near, far } = await joined();
    network.cut(1, 2);
    let heard = '';
    let isEnded = false;
    far.on('data', (chunk) => {
      heard += String(chunk);
    });
    far.on('close', () => {
      isEnded = true;
    });
    near.write('held');
    far.write('heard');
    expect(await text(near)).toBe('heard');
    // A round trip the other way, so that what is not held would have come.
    far.write('again');
    expect(await text(near)).toBe('again');
    expect(heard).toBe('');
    near.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isEnded).toBe(false);
    network.heal(1, 2, false);
    await closed(far);
  });

  it('that heals says everything, once two who cut it have both let go', async () => {
    const { network, near, far } = await joined();
    network.cut(1, 2);
    network.cut(1, 2);
    near.write('held');
    network.heal(1, 2, false);
    far.write('heard');
    expect(await text(near)).toBe('heard');
    network.heal(1, 2, false);
    expect(await text(far)).toBe('held');
  });

  it('that heals with a reset ends its connections', async () => {
    const { network, near, far } = await joined();
    network.cut(2, 1);
    far.write('held');
    network.heal(2, 1, true);
    await Promise.all([closed(near), closed(far)]);
  });
});
