// Control calls to real threads: each ends, with its answer, with the thread, or with its timeout, and leaves
// nothing behind.
import { expect, test } from 'vitest';
import type { MemberControl } from '../../../src/actors/threads/control.ts';
import { PATIENCE_MS } from '../../setup/patience.ts';
import type { World } from './support.ts';
import { ignore, Peer, until, world } from './support.ts';

const SOON = { timeoutMs: 10_000 };
/** A snapshot is a second of work for a thread that has a core of its own. */
const PATIENT = { timeoutMs: PATIENCE_MS };
const FAR = { sampleMs: 60_000, samples: 60 };

async function started(options: Parameters<typeof world>[1] = {}, workers = 1) {
  const made = world(workers, { stall: FAR, ...options });
  await made.group.start();
  for (let thread = 1; thread <= workers; thread += 1) await made.nextReady();
  return { ...made, control: made.group.control(1) };
}

function peerOf({ system }: World) {
  return system.wellKnown(Peer, { thread: 1, slot: 10 });
}

async function bytesOf(control: MemberControl): Promise<{ text: string; sizes: number[] }> {
  const sizes: number[] = [];
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of control.heapSnapshot(PATIENT)) {
    sizes.push(piece.length);
    text += decoder.decode(piece, { stream: true });
  }
  return { text, sizes };
}

test('a worker and thread 0 are looked into', async () => {
  const made = await started();
  const peer = peerOf(made);
  for (let sequence = 0; sequence < 10; sequence += 1) {
    peer.tell('take', { sequence, body: new Uint8Array(1).fill(sequence) });
  }
  await peer.ask('report', undefined, SOON);
  const tree = await made.control.inspect(SOON);
  expect(tree.actors.map(({ path }) => path)).toEqual(['/runtime', '/peer']);
  const counts = await made.control.counters(SOON);
  expect(counts.rings?.recordsReceived).toBe(11);
  expect(counts.classes.find(({ name }) => name === 'peer')).toMatchObject({ handled: 11 });
  const facts = await made.control.facts(SOON);
  expect(facts.heapUsedBytes).toBeGreaterThan(1_000_000);
  expect(facts.heapLimitBytes).toBeGreaterThan(facts.heapUsedBytes);
  const main = made.group.control(0);
  expect((await main.inspect(SOON)).actors.map(({ path }) => path)).toEqual(['/runtime']);
  expect((await main.counters(SOON)).rings).toMatchObject({ recordsSent: 11 });
  expect((await main.facts(SOON)).counters).toMatchObject({ controlCalls: 3 });
  expect(() => made.group.control(2)).toThrow('the group has no thread 2');
});

test('the package is loaded with the first call', async () => {
  const made = await started();
  const footprint = () => peerOf(made).ask('footprint', undefined, SOON);
  expect((await footprint()).hasComlink).toBe(false);
  await made.control.facts(SOON);
  expect((await footprint()).hasComlink).toBe(true);
});

test('settings change while a thread runs, and hold in its next life', async () => {
  const made = await started({ appData: () => ({ hasLevels: true }) });
  const { control } = made;
  const before = await control.configure({}, SOON);
  expect(before).toMatchObject({ logLevel: 'info', limits: { messagesPerCell: 64 }, stall: FAR });
  const change = { logLevel: 'debug', limits: { messagesPerCell: 8, asksMax: 100 } } as const;
  const stall = { sampleMs: 50, samples: 3 };
  const after = await control.configure({ ...change, stall }, SOON);
  const limits = { asksMax: 100, messagesPerCell: 8, messagesPerDrain: 1_024 };
  expect(after).toEqual({ logLevel: 'debug', limits, stall });
  // With the new thresholds an endless loop is found at once; with the old ones it would take an hour.
  peerOf(made).tell('die', 'spin');
  expect((await made.nextLoss()).exit.cause).toBe('stalled');
  await made.nextReady();
  expect(await control.configure({}, SOON)).toEqual(after);
});

test.each([
  [{ logLevel: 'loud' }, 'logLevel must be one of debug'],
  [{ limits: { asksMax: 0 } }, 'limits.asksMax must be a whole number from 1 to 1048575'],
  [{ limits: { messagesPerCell: 1.5 } }, 'limits.messagesPerCell must be a whole number'],
  [{ limits: { speed: 1 } }, 'limits has no speed'],
  [{ stall: { sampleMs: 100 } }, 'stall needs sampleMs and samples'],
  [{ color: 'red' }, 'there is no setting color'],
  // The log of the test's workers.
  [{ logLevel: 'debug', limits: { asksMax: 1 } }, 'has no levels'],
])('settings that are wrong are refused: %j', async (settings, why) => {
  const { control } = await started();
  const before = await control.configure({}, SOON);
  await expect(control.configure(settings as object, SOON)).rejects.toThrow(why);
  expect(await control.configure({}, SOON)).toEqual(before);
});

test('a profile names what the thread was busy with; a second one has to wait', async () => {
  const made = await started();
  peerOf(made).tell('die', 'busy');
  const first = made.control.cpuProfile(500, SOON);
  await expect(made.control.cpuProfile(500, SOON)).rejects.toMatchObject({
    code: 'THREAD_CONTROL_BUSY',
  });
  const profile = JSON.parse(await first);
  const names = profile.nodes.map((node: { callFrame: { functionName: string } }) => {
    return node.callFrame.functionName;
  });
  expect(names).toContain('stall');
  expect(profile.samples.length).toBeGreaterThan(10);
  await expect(made.control.cpuProfile(0, SOON)).rejects.toMatchObject({
    code: 'THREAD_CONTROL_FAILED',
    message: 'a profile takes 1 to 600000 ms, not 0',
  });
  const main = JSON.parse(await made.group.control(0).cpuProfile(20, SOON));
  expect(main.nodes.length).toBeGreaterThan(0);
});

test('a heap snapshot comes in pieces and is whole', async () => {
  const stall = { sampleMs: 100, samples: 3 };
  const made = await started({ stall, appData: () => ({ hoard: 60_000 }) });
  const { text, sizes } = await bytesOf(made.control);
  const { snapshot, nodes } = JSON.parse(text);
  expect(nodes.length).toBe(snapshot.node_count * snapshot.meta.node_fields.length);
  expect(sizes.length).toBeGreaterThan(4);
  expect(Math.max(...sizes)).toBe(256 * 1024);
  // Standing still for it was no fault.
  expect(made.group.incarnationOf(1)).toBe(1);
  expect((await bytesOf(made.group.control(0))).sizes.length).toBeGreaterThan(4);
});

test('a snapshot that nobody reads to the end is dropped, and the next one begins', async () => {
  const { control } = await started();
  for await (const piece of control.heapSnapshot(PATIENT)) {
    expect(piece.length).toBeGreaterThan(0);
    break;
  }
  // The thread hears of it a moment later.
  for (;;) {
    const again = await bytesOf(control).catch((error: { code: string }) => error.code);
    if (again === 'THREAD_CONTROL_BUSY') continue;
    expect(again).toMatchObject({ text: expect.stringContaining('node_count') });
    return;
  }
});

test('a call to a blocked thread ends with its timeout, one to a dead thread at once', async () => {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const restart = { maxRestarts: 0, windowMs: 1, backoff: { minMs: 1, maxMs: 1, jitter: 0 } };
  const made = await started({ appData: () => ({ gate }), restart });
  const { control } = made;
  peerOf(made).tell('die', 'exit');
  await until(() => Atomics.load(gate, 0) === 1);
  const late = { code: 'THREAD_CONTROL_TIMEOUT' };
  const short = { timeoutMs: 50 };
  await expect(control.inspect(short)).rejects.toMatchObject({
    ...late,
    message: 'the thread did not answer inspect within 50 ms',
  });
  await expect(control.configure({}, short)).rejects.toMatchObject(late);
  await expect(control.cpuProfile(10, short)).rejects.toMatchObject(late);
  await expect(control.heapSnapshot(short).next()).rejects.toMatchObject(late);
  // In flight when it dies, and afterwards.
  const lost = { code: 'THREAD_CONTROL_LOST' };
  const far = { timeoutMs: 600_000 };
  const calls = [
    control.inspect(far),
    control.cpuProfile(10, far),
    control.heapSnapshot(far).next(),
  ];
  const ended = Promise.allSettled(calls);
  Atomics.store(gate, 1, 1);
  Atomics.notify(gate, 1);
  for (const each of await ended) {
    expect(each).toMatchObject({ status: 'rejected', reason: lost });
  }
  await made.nextLoss();
  await expect(control.inspect(far)).rejects.toMatchObject(lost);
  await expect(control.heapSnapshot(far).next()).rejects.toMatchObject(lost);
  await made.group.control(0).facts(SOON);
});

test('calls leave no port behind, whether they are answered or not', async () => {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const made = await started({ appData: () => ({ gate }) });
  const { control } = made;
  const peer = peerOf(made);
  const openHere = () =>
    process.getActiveResourcesInfo().filter((each) => each === 'MessagePort').length;
  const openThere = async () => (await peer.ask('footprint', undefined, SOON)).ports;
  const before = [openHere(), await openThere()];
  for (let round = 0; round < 20; round += 1) {
    await control.facts(SOON);
    await control.inspect(SOON);
    await control.cpuProfile(1, SOON);
    await control.configure({ limits: { asksMax: 0 } }, SOON).catch(ignore);
    await control.heapSnapshot(SOON).return();
  }
  peer.tell('die', 'not at all');
  await until(() => Atomics.load(gate, 0) === 1);
  await Promise.allSettled(Array.from({ length: 20 }, () => control.facts({ timeoutMs: 20 })));
  Atomics.store(gate, 1, 1);
  Atomics.notify(gate, 1);
  for (;;) {
    const now = [openHere(), await openThere()];
    if (now[0] === before[0] && now[1] === before[1]) return;
  }
});
