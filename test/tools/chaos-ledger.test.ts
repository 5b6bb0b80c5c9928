// The ledger of the chaos run: each fault that it exists for is noticed, and an honest run has none.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../tools/chaos/ledger.mjs', import.meta.url));

type Report = Readonly<Record<string, number>>;
type Consumed = readonly [partition: number, offset: number, id: string, hash: string];

let ledger: ChildProcess;

beforeEach(() => {
  ledger = fork(SCRIPT, [], { serialization: 'advanced' });
});

afterEach(() => {
  ledger.kill('SIGKILL');
});

function tell(name: string, args: unknown): void {
  ledger.send({ name, args });
}

function answer<T>(name: string): Promise<T> {
  return new Promise((resolve, reject) => {
    ledger.once('message', (message) => resolve((message as { answer: T }).answer));
    ledger.once('exit', (code) => reject(new Error(`the ledger ended with ${code}`)));
    ledger.send({ id: 1, name });
  });
}

/** The comparison now, when everything that was said above is owed. */
function report(): Promise<Report> {
  tell('mark', undefined);
  return answer('report');
}

/** Three messages of one producer on partition 0, all acknowledged. */
function sendThree(): void {
  const rows = [0, 1, 2].map((sequence) => [`p/0/${sequence}`, 'p', 0, sequence, `h${sequence}`]);
  tell('sending', rows);
  tell('acked', ['p/0/0', 'p/0/1', 'p/0/2']);
}

function consumedAt(offsets: readonly number[]): Consumed[] {
  return offsets.map((offset, sequence) => [0, offset, `p/0/${sequence}`, `h${sequence}`]);
}

const FINE = { lost: 0, reordered: 0, changed: 0, rewritten: 0, unknown: 0 };

it('an honest run has no faults, also when a message is consumed twice or told early', async () => {
  tell('consumed', consumedAt([0, 1, 2]).slice(0, 1));
  sendThree();
  tell('consumed', consumedAt([0, 1, 2]));
  expect(await report()).toMatchObject({ ...FINE, acked: 3, consumed: 3, duplicates: 0 });
});

it('a retry that was appended twice is a duplicate and no reorder', async () => {
  sendThree();
  tell('consumed', [...consumedAt([0, 1, 2]), [0, 3, 'p/0/0', 'h0']]);
  expect(await report()).toMatchObject({ ...FINE, duplicates: 1 });
});

it('an acknowledged message that nobody saw is lost; one without an answer is not', async () => {
  sendThree();
  tell('sending', [['p/0/3', 'p', 0, 3, 'h3']]);
  tell('consumed', consumedAt([0, 1]));
  expect(await report()).toMatchObject({ ...FINE, lost: 1 });
});

it('what is acknowledged while we compare is not owed yet', async () => {
  sendThree();
  tell('consumed', consumedAt([0, 1, 2]));
  tell('mark', undefined);
  tell('sending', [['p/0/3', 'p', 0, 3, 'h3']]);
  tell('acked', ['p/0/3']);
  expect(await answer('dueCount')).toBe(0);
  expect(await report()).toMatchObject({ ...FINE, acked: 4, lost: 1 });
});

it('a body with another hash is changed', async () => {
  sendThree();
  tell('consumed', [...consumedAt([0, 1]), [0, 2, 'p/0/2', 'other']]);
  expect(await report()).toMatchObject({ ...FINE, changed: 1 });
});

it('another message at an offset that was delivered before is a rewritten history', async () => {
  sendThree();
  tell('consumed', [...consumedAt([0, 1, 2]), [0, 1, 'p/0/2', 'h2']]);
  expect(await report()).toMatchObject({ ...FINE, rewritten: 1 });
});

it('first occurrences out of sequence are a reorder', async () => {
  sendThree();
  tell('consumed', consumedAt([1, 0, 2]));
  expect(await report()).toMatchObject({ ...FINE, reordered: 1 });
});

it('a message that nobody sent is unknown', async () => {
  sendThree();
  tell('consumed', [...consumedAt([0, 1, 2]), [0, 3, 'q/0/0', 'h']]);
  expect(await report()).toMatchObject({ ...FINE, unknown: 1 });
});
