// What the main thread of a node with worker threads loads. Every module costs memory and time at start in
// each process; sessions, behaviors and routing belong to the workers.
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const STATIC_IMPORT = /^(?:import|export)\s+(?!type\b)(?:([^'";=]*?)\sfrom\s+)?'(\.[^']+)'/gm;

/** `import { type A, type B } from` names types only: nothing is loaded. */
function isOfTypes(clause: string): boolean {
  const names = /^\{([\s\S]*)\}$/.exec(clause.trim())?.[1]?.split(',') ?? [];
  const given = names.map((name) => name.trim()).filter((name) => name !== '');
  return given.length > 0 && given.every((name) => name.startsWith('type '));
}

function loadedBy(...roots: string[]): Map<string, string> {
  const loaded = new Map<string, string>();
  const load = (file: string, by: string): void => {
    if (loaded.has(file)) return;
    loaded.set(file, by);
    const text = readFileSync(new URL(file, root), 'utf8');
    for (const [, clause = '', from = ''] of text.matchAll(STATIC_IMPORT)) {
      if (!isOfTypes(clause)) load(posix.join(posix.dirname(file), from), file);
    }
  };
  for (const file of roots) load(file, 'the node');
  return loaded;
}

const FOR_SHARDS =
  /^src\/(protocols\/|broker\/(cursor|exchange|view)\/|cluster\/replica\/log-host)/;

/** All of it but the words that both sides share. */
const FOR_ROCKETMQ = /^src\/(protocols\/rocketmq\/|rocketmq\.ts|env\/node\/grpc)/;

it('is nothing of what only shards run', () => {
  const main = loadedBy('src/node-entry.ts', 'src/assembly/worker-shards.ts');
  expect(main.size).toBeGreaterThan(100);
  expect([...main].filter(([file]) => FOR_SHARDS.test(file))).toEqual([]);
});

const FOR_AMQP = /^src\/protocols\/amqp\//;

it.each(['worker-shards', 'local-shards'])(
  'is nothing of RocketMQ and AMQP before a client comes (%s)',
  (kind) => {
    const roots = ['src/node-entry.ts', 'src/worker.ts', `src/assembly/${kind}.ts`];
    const early = [...loadedBy(...roots).keys()].filter(
      (file) => FOR_ROCKETMQ.test(file) || FOR_AMQP.test(file),
    );
    expect(early).toEqual([]);
    const all = [...loadedBy(...roots, 'src/protocols/amqp/listener.ts').keys()];
    expect(loadedBy(...roots).size).toBeLessThan(all.length - 40);
    expect(all.filter((file) => FOR_AMQP.test(file)).length).toBeGreaterThan(40);
    const late = [...loadedBy('src/rocketmq.ts').keys()];
    expect(late.filter((file) => FOR_ROCKETMQ.test(file)).length).toBeGreaterThan(20);
  },
);

it('is all of it where the main thread is the shard', () => {
  const main = [...loadedBy('src/node-entry.ts', 'src/assembly/local-shards.ts').keys()];
  for (const room of ['src/protocols/kafka/', 'src/broker/exchange/', 'src/broker/view/']) {
    expect(main.some((file) => file.startsWith(room))).toBe(true);
  }
});
