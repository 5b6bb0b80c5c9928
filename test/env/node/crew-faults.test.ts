// What becomes of tasks when the threads of a crew cannot begin, or end under them: each is answered, and the next
// one gets another thread.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Crew } from '../../../src/env/environment.ts';
import { createNodeCrew } from '../../../src/env/node/crew.ts';

let folder: string;
const crews: Crew[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'callboard-crew-'));
});

afterEach(async () => {
  for (const crew of crews.splice(0)) await crew.close();
  rmSync(folder, { recursive: true, force: true });
});

function entryOf(text: string): URL {
  const path = join(folder, 'entry.mjs');
  writeFileSync(path, text);
  return pathToFileURL(path);
}

function crewOf(...args: Parameters<typeof createNodeCrew>): Crew {
  const crew = createNodeCrew(...args);
  crews.push(crew);
  return crew;
}

const ECHO =
  'export const run = ({ work }) => { if (work === "end") process.exit(3); return work; };';

it('says why the thread could not begin, to all who wait, and tries again', async () => {
  const crew = crewOf(entryOf('throw new Error("no such codec");'));
  const tasks = ['a', 'b', 'c'].map((work) => crew.run(work, 1));
  const ends = await Promise.allSettled(tasks);
  for (const end of ends) {
    expect(end).toMatchObject({ status: 'rejected', reason: { message: 'no such codec' } });
  }
  expect(crew.threads).toBe(0);
  entryOf(ECHO);
  expect(await crew.run('d', 1)).toBe('d');
});

it('answers when the thread ends without a word before it could begin', async () => {
  const crew = crewOf(entryOf('process.exit(7);'));
  await expect(crew.run('a', 1)).rejects.toThrow('the thread of the crew ended');
});

it('answers those who waited behind the one under whom the thread ended', async () => {
  const crew = crewOf(entryOf(ECHO));
  expect(await crew.run('a', 1)).toBe('a');
  const ends = await Promise.allSettled([crew.run('end', 1), crew.run('b', 1), crew.run('c', 1)]);
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(await crew.run('d', 1)).toBe('d');
});

it('loads its package again when it could not be loaded', async () => {
  let loads = 0;
  const crew = crewOf(entryOf(ECHO), {
    load: () => {
      loads += 1;
      if (loads === 1) return Promise.reject(new Error('EMFILE'));
      return import('piscina');
    },
  });
  await expect(crew.run('a', 1)).rejects.toThrow('EMFILE');
  expect(await crew.run('b', 1)).toBe('b');
  expect(await crew.run('c', 1)).toBe('c');
  expect(loads).toBe(2);
});

it('closes also when its package cannot be loaded, or its thread not begin', async () => {
  const unloadable = crewOf(entryOf(ECHO), {
    load: () => Promise.reject(new Error('EMFILE')),
  });
  const end = expect(unloadable.run('a', 1)).rejects.toThrow('EMFILE');
  await unloadable.close();
  await end;
  const stillborn = crewOf(entryOf('await new Promise(() => setInterval(() => 0, 1000));'));
  const task = expect(stillborn.run('a', 1)).rejects.toThrow();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await stillborn.close();
  await task;
});
