// The compiler's share of the contract: each line below that must not compile is marked with the number of the
// compiler's reason, and the type check of the tests fails when one of them starts to.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, expectTypeOf, test } from 'vitest';
import type { AskOp, Handlers, Input, Ref, Reply, TellOp } from '../../src/actors/index.ts';
import { actor, ask, protocol, tell } from '../../src/actors/index.ts';
import { bytes, none, record, u32, utf8 } from '../../src/codec/index.ts';

const Queue = protocol('queue', 1, {
  publish: tell(record({ id: u32, body: bytes })),
  purge: tell(none),
  depth: ask(none, u32),
});
type QueueOps = typeof Queue.ops;

test('a protocol value gives the types of its messages', () => {
  expectTypeOf<TellOp<QueueOps>>().toEqualTypeOf<'publish' | 'purge'>();
  expectTypeOf<AskOp<QueueOps>>().toEqualTypeOf<'depth'>();
  expectTypeOf<Input<QueueOps['publish']>>().toEqualTypeOf<{
    readonly id: number;
    readonly body: Uint8Array;
  }>();
  expectTypeOf<Reply<QueueOps['depth']>>().toEqualTypeOf<number>();
});

/** Never called: only compiled. */
export function wrongUses(queue: Ref<QueueOps>): void {
  queue.tell('publish', { id: 1, body: new Uint8Array(1) });
  queue.tell('purge', undefined);
  // @ts-expect-error TS2322: a wrong payload
  queue.tell('publish', { id: 'one', body: new Uint8Array(1) });
  // @ts-expect-error TS2741: a field is missing
  queue.tell('publish', { id: 1 });
  // @ts-expect-error TS2345: there is no such op
  queue.tell('unknown', undefined);
  // @ts-expect-error TS2345: an ask cannot be told
  queue.tell('depth', undefined);
  // @ts-expect-error TS2345: a tell cannot be asked
  void queue.ask('publish', { id: 1, body: new Uint8Array(1) }, { timeoutMs: 1 });
  // @ts-expect-error TS2554: the timeout is missing
  void queue.ask('depth', undefined);
  // @ts-expect-error TS2741: the timeout is missing from the options
  void queue.ask('depth', undefined, {});
  // @ts-expect-error TS2345: the reply is a number
  void queue.ask('depth', undefined, { timeoutMs: 1 }).then((depth: string) => depth);
}

export const complete: Handlers<QueueOps> = {
  publish: () => undefined,
  purge: () => undefined,
  depth: () => 1,
};

// @ts-expect-error TS2741: a handler is missing
export const incomplete: Handlers<QueueOps> = { publish: () => undefined, depth: () => 1 };

export const wrongReply: Handlers<QueueOps> = {
  publish: () => undefined,
  purge: () => undefined,
  // @ts-expect-error TS2322: the reply has another type
  depth: () => 'deep',
};

// @ts-expect-error TS2345: setup forgets an op
export const Forgetful = actor(Queue, (_ctx, _args: undefined) => ({ publish: () => undefined }));

export const Typed = actor(Queue, (ctx, args: { readonly name: string }) => {
  // @ts-expect-error TS2345: timers carry tells of the actor's own protocol
  ctx.schedule('t', 10, 'depth', undefined);
  // @ts-expect-error TS2322: of the right payload
  ctx.schedule('t', 10, 'publish', { id: args.name });
  ctx.schedule('t', 10, 'purge', undefined);
  return {
    publish: (message) => void message.body.length,
    purge: () => undefined,
    depth: () => ctx.later<number>(),
  };
});

export class QueueActor implements Handlers<QueueOps> {
  #depth = 0;
  publish(_message: Input<QueueOps['publish']>): void {
    this.#depth += 1;
  }
  purge(): void {
    this.#depth = 0;
  }
  depth(): number {
    return this.#depth;
  }
}
export const FromClass = actor(Queue, (_ctx, _args: undefined) => new QueueActor());

test('opcodes follow the order of declaration and names that would lose it are refused', () => {
  expect(Queue.table.map((op) => [op.code, op.name, op.isAsk])).toEqual([
    [0, 'publish', false],
    [1, 'purge', false],
    [2, 'depth', true],
  ]);
  expect(() => protocol('bad', 1, { '7': tell(none) })).toThrow('identifier');
  expect(() => protocol('bad', 1, { 'with space': tell(none) })).toThrow('identifier');
});

test('the hash of a protocol covers name, version, order, kind and the shapes of its codecs', () => {
  const base = protocol('p', 1, { a: tell(u32), b: tell(none) }).hash;
  const others = [
    protocol('q', 1, { a: tell(u32), b: tell(none) }),
    protocol('p', 2, { a: tell(u32), b: tell(none) }),
    protocol('p', 1, { b: tell(none), a: tell(u32) }),
    protocol('p', 1, { a: ask(u32, none), b: tell(none) }),
    protocol('p', 1, { a: tell(utf8), b: tell(none) }),
  ].map((each) => each.hash);
  expect(new Set([base, ...others]).size).toBe(6);
  expect(protocol('p', 1, { a: tell(u32), b: tell(none) }).hash).toBe(base);
});

test('what must not compile does not for the reason that is stated', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const folder = mkdtempSync(join(root, 'node_modules', '.types-'));
  try {
    const source = readFileSync(fileURLToPath(import.meta.url), 'utf8');
    const marks = source.split('\n').flatMap((line, index) => {
      const code = /^\s*\/\/ @ts-expect-error (TS\d+): /.exec(line)?.[1];
      return code === undefined ? [] : [`${index + 2}: ${code}`];
    });
    // The same program without its marks, outside of the project.
    const bare = source
      .replaceAll('@ts-expect-error', 'expected')
      .replaceAll("'../../src/", `'${root}src/`);
    writeFileSync(join(folder, 'types.ts'), bare);
    // In a folder of its own from which packages are found, and which nothing else compiles.
    const compilerOptions = { noEmit: true, rootDir: root };
    const config = {
      extends: `${root}tsconfig.test.json`,
      compilerOptions,
      include: [],
      files: ['types.ts'],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    let said = '';
    try {
      execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', folder], {
        cwd: folder,
        encoding: 'utf8',
      });
    } catch (error) {
      said = (error as { stdout: string }).stdout;
    }
    const found = [...said.matchAll(/^types\.ts\((\d+),\d+\): error (TS\d+): /gm)];
    expect(found.map(([, line, code]) => `${line}: ${code}`)).toEqual(marks);
    expect(marks.length).toBe(13);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
