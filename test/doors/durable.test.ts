// Durable actors in an application: what was answered is there after the next start, whatever ended the last one.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask, createSystem, protocol, type System, tell } from '../../src/actors/index.ts';
import { array, none, record, u32, u53, utf8 } from '../../src/codec/index.ts';
import { createActorEnvironment } from '../../src/doors/actor-environment.ts';
import { durable, openDurableActors } from '../../src/doors/durable.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const within = { timeoutMs: 20_000 };

const List = durable(
  protocol('list', 1, {
    add: ask(utf8, u32),
    many: ask(record({ text: utf8, times: u32 }), u32),
    all: ask(none, array(utf8)),
    time: ask(none, u53),
  }),
  {
    events: { added: utf8 },
    state: array(utf8),
    initial: (): readonly string[] => [],
    decide: {
      add(items, text) {
        if (text === '') throw Object.assign(new Error('nothing to add'), { code: 'LIST_EMPTY' });
        return { events: [{ type: 'added', value: text }], reply: items.length + 1 };
      },
      many: (items, { text, times }) => ({
        events: Array.from({ length: times }, (_, i) => ({
          type: 'added' as const,
          value: `${text}${i}`,
        })),
        reply: items.length + times,
      }),
      all: (items) => ({ reply: items }),
      time: (_items, _input, { logTimeMs }) => ({ reply: Math.floor(logTimeMs) }),
    },
    apply: { added: (items, text) => [...items, text] },
  },
);
const Other = durable(protocol('other', 1, { get: ask(none, u32) }), {
  events: {},
  state: u32,
  initial: () => 0,
  decide: { get: (state) => ({ reply: state }) },
  apply: {},
});

let folder: string;
const ends: (() => Promise<void>)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'callboard-durable-'));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true, force: true });
});

async function open() {
  const env = createActorEnvironment({ dataRoot: folder });
  const system: System = createSystem(env, { name: 'app' });
  const actors = await openDurableActors(env, { kinds: [List] });
  const close = async () => {
    await actors.close();
    await system.shutdown(within).catch(() => undefined);
  };
  ends.push(close);
  return { system, actors, close };
}

test('what was answered is there after a stop, each actor for itself', async () => {
  const first = await open();
  const a = first.actors.spawn(first.system, List, 'a');
  const b = first.actors.spawn(first.system, List, 'b');
  const sizes = await Promise.all(['x', 'y', 'z'].map((text) => a.ask('add', text, within)));
  expect(sizes).toEqual([1, 2, 3]);
  expect(await b.ask('many', { text: 'n', times: 3 }, within)).toBe(3);
  await first.close();
  const second = await open();
  expect(second.actors.names(List)).toEqual(['a', 'b']);
  const again = second.actors.spawn(second.system, List, 'a');
  expect(await again.ask('all', undefined, within)).toEqual(['x', 'y', 'z']);
  const other = second.actors.spawn(second.system, List, 'b');
  expect(await other.ask('all', undefined, within)).toEqual(['n0', 'n1', 'n2']);
});

test('a decision that throws is refused with its code and message, and changes nothing', async () => {
  const { actors, system } = await open();
  const list = actors.spawn(system, List, 'a');
  const refused = list.ask('add', '', within);
  await expect(refused).rejects.toMatchObject({ code: 'LIST_EMPTY', message: 'nothing to add' });
  expect(await list.ask('all', undefined, within)).toEqual([]);
  expect(await list.ask('add', 'x', within)).toBe(1);
});

test('an input that cannot be sent, or is too large, fails its own ask alone', async () => {
  const { actors, system } = await open();
  const list = actors.spawn(system, List, 'a');
  const before = list.ask('add', 'before', within);
  const large = list.ask('add', 'x'.repeat(17 * 1024 * 1024), within);
  const wrong = list.ask('many', { text: 'n', times: -1 }, within);
  const many = list.ask('many', { text: 'y'.repeat(1_000_000), times: 20 }, within);
  const after = list.ask('add', 'after', within);
  await expect(large).rejects.toMatchObject({ code: 'DURABLE_TOO_LARGE' });
  await expect(wrong).rejects.toThrow();
  await expect(many).rejects.toMatchObject({ code: 'DURABLE_TOO_LARGE' });
  expect(await Promise.all([before, after])).toEqual([1, 2]);
});

test('log time does not go back when the program starts again', async () => {
  const first = await open();
  const before = await first.actors.spawn(first.system, List, 'a').ask('time', undefined, within);
  await first.actors.spawn(first.system, List, 'b').ask('add', 'x', within);
  await first.close();
  const second = await open();
  const after = await second.actors.spawn(second.system, List, 'a').ask('time', undefined, within);
  expect(after).toBeGreaterThanOrEqual(before);
});

test('thousands of events come back from snapshots and frames', async () => {
  const first = await open();
  const list = first.actors.spawn(first.system, List, 'a');
  for (let i = 0; i < 20; i += 1) await list.ask('many', { text: `${i}-`, times: 100 }, within);
  await first.close();
  const second = await open();
  const all = await second.actors.spawn(second.system, List, 'a').ask('all', undefined, within);
  expect(all).toHaveLength(2000);
  expect(all[1999]).toBe('19-99');
});

test('an actor that is removed begins anew', async () => {
  const first = await open();
  await first.actors.spawn(first.system, List, 'a').ask('add', 'old', within);
  first.actors.remove(List, 'a');
  expect(first.actors.names(List)).toEqual([]);
  await first.close();
  const second = await open();
  const again = second.actors.spawn(second.system, List, 'a');
  expect(await again.ask('all', undefined, within)).toEqual([]);
});

test('misuse is told: a second process, an unknown kind, a tell, another version', async () => {
  const { actors, system, close } = await open();
  await actors.spawn(system, List, 'a').ask('add', 'x', within);
  expect(() => actors.spawn(system, Other, 'o')).toThrow('app.other is not among the kinds');
  const env = createActorEnvironment({ dataRoot: folder });
  await expect(openDurableActors(env, { kinds: [List] })).rejects.toThrow();
  await close();
  await expect(openDurableActors(env, { kinds: [Other] })).rejects.toThrow('a is a app.list');
  const noAsk = protocol('p', 1, { go: tell(none) });
  // @ts-expect-error durable actors are asked only
  expect(() => durable(noAsk, { events: {}, state: u32, initial: () => 0 })).toThrow(
    'go is no ask',
  );
  const file = join(folder, 'actors.json');
  expect(existsSync(file)).toBe(true);
  const later = { ...JSON.parse(readFileSync(file, 'utf8')), format: 99 };
  writeFileSync(file, JSON.stringify(later));
  await expect(openDurableActors(env, { kinds: [List] })).rejects.toThrow('format 99');
});

function account(...args: readonly string[]) {
  const file = 'examples/account/account.mjs';
  const child = spawn(process.execPath, [file, folder, ...args], { cwd: root });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise<string>((resolve) => child.once('close', () => resolve(text)));
  return { child, ended, lines: () => text.split('\n').filter((line) => line !== '').length };
}

test('the example keeps every answered deposit through kill -9, three times', async () => {
  let answered = 0;
  for (let round = 0; round < 3; round += 1) {
    const { child, ended, lines } = account();
    while (lines() < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGKILL');
    const text = await ended;
    // The last line may be torn.
    const whole = text.slice(0, text.lastIndexOf('\n')).split('\n');
    answered = Number(whole.at(-1));
    const said = await account('balance').ended;
    const balance = Number(said.split(' ')[0]);
    expect(balance).toBeGreaterThanOrEqual(answered);
    // At most one deposit was under way.
    expect(balance).toBeLessThanOrEqual(answered + 2);
    expect(said.trim()).toBe(`${balance} after ${balance} deposits`);
  }
});
