// One program with one mistake in it: bundles an entry of TypeScript sources, with a text of one file replaced by
// another. The mistake is in no source file and in no package; it exists in a temporary folder while it is tried.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * @param {string} entry path below the repository
 * @param {{ file: string, from: string, to: string } | undefined} mutant
 * @returns {Promise<{ url: string, remove: () => Promise<void> }>}
 * @throws Error if the text is not in the file exactly once
 */
export async function bundle(entry, mutant) {
  const target = mutant === undefined ? undefined : resolve(ROOT, mutant.file);
  let isDone = mutant === undefined;
  const build = await rolldown({
    input: resolve(ROOT, entry),
    platform: 'node',
    external: [/^node:/],
    logLevel: 'silent',
    plugins: [
      {
        name: 'mutant',
        load(id) {
          if (id !== target) return null;
          isDone = true;
          return { code: mutated(readFileSync(id, 'utf8'), mutant), moduleType: 'ts' };
        },
      },
    ],
  });
  const folder = await mkdtemp(join(tmpdir(), 'callboard-mutant-'));
  const file = join(folder, 'program.mjs');
  await build.write({ file, format: 'esm' });
  await build.close();
  if (!isDone) throw new Error(`${mutant.file} is no part of ${entry}`);
  return {
    url: pathToFileURL(file).href,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The source with the mistake. Throws if the text is not there, or is there twice. */
export function mutated(source, { name, file, from, to }) {
  const parts = source.split(from);
  if (parts.length !== 2) {
    throw new Error(`${name}: the text is ${parts.length - 1} times in ${file}`);
  }
  return parts.join(to);
}
