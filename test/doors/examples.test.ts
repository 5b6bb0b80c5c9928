// The examples do what they say, as they stand.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const processes: ChildProcess[] = [];
afterEach(() => {
  for (const each of processes.splice(0)) each.kill('SIGKILL');
});

interface Running {
  /** Resolves with the first line that fits. */
  line(pattern: RegExp): Promise<string>;
  say(text: string): void;
  end(): void;
  kill(): void;
}

function run(...args: readonly string[]): Running {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
  processes.push(child);
  let text = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    for (const look of [...waiting]) look();
  });
  return {
    line: (pattern) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = text.split('\n').find((each) => pattern.test(each));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    say: (line) => void child.stdin.write(`${line}\n`),
    end: () => child.stdin.end(),
    kill: () => void child.kill('SIGKILL'),
  };
}

test('a pool of workers loses a thread and no job', () => {
  const text = execFileSync(process.execPath, ['examples/worker-pool/main.mjs'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(text).toContain('4203 primes below 40000');
  expect(text).toContain('40 jobs done, 1 worker lost on the way');
});

test('a map on three Raft peers goes on without its leader, which catches up', () => {
  const text = execFileSync(process.execPath, [`${root}examples/raft/main.mjs`], {
    cwd: tmpdir(),
    encoding: 'utf8',
  });
  expect(text).toBe(
    'color is red on 3 peers\ncolor is green on 2 peers\nsize is small on 3 peers\n',
  );
});

test('guests of a chat hear each other, and who left or died', async () => {
  const guest = 'examples/chat/guest.mjs';
  const room = run('examples/chat/room.mjs');
  const port = (await room.line(/port \d+$/)).split(' ').at(-1)!;
  const ada = run(guest, port, 'ada');
  await ada.line(/^ada is here$/);
  const bob = run(guest, port, 'bob');
  const eve = run(guest, port, 'eve');
  await ada.line(/^bob is here$/);
  await ada.line(/^eve is here$/);
  bob.say('hello');
  await ada.line(/^bob: hello$/);
  bob.end();
  await ada.line(/^bob left$/);
  eve.kill();
  await ada.line(/^eve left$/);
});
