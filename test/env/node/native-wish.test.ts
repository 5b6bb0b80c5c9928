// Who keeps native code out keeps it out of every thread that is started for it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createNodeCodecs } from '../../../src/env/node/codecs.ts';
import { createNodeCrew } from '../../../src/env/node/crew.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import type { ThreadExit } from '../../../src/env/threads.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'callboard-native-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function entryOf(text: string): URL {
  const path = join(folder, 'entry.mjs');
  writeFileSync(path, text);
  return pathToFileURL(path);
}

it('is the JavaScript checksum in codecs', () => {
  expect(createNodeCodecs({ isNativeEnabled: false }).crc32c).toBe(crc32c);
  if (process.platform === 'linux') {
    expect(createNodeCodecs({ isNativeEnabled: true }).crc32c).not.toBe(crc32c);
  }
});

it('is told to the threads of a crew', async () => {
  const entry = entryOf('export const run = () => process.env.CALLBOARD_NATIVE !== "off";');
  for (const isNativeEnabled of [false, true]) {
    const crew = createNodeCrew(entry, { isNativeEnabled });
    expect(await crew.run('ask', 1)).toBe(isNativeEnabled);
    await crew.close();
  }
});

it('is told to the shards of a node', async () => {
  const entry = entryOf(
    'throw new Error(process.env.CALLBOARD_NATIVE === "off" ? "JS." : "native.");',
  );
  for (const isNativeEnabled of [false, true]) {
    const { threads, ...env } = createNodeEnvironment({ logLevel: 'silent', isNativeEnabled });
    expect(env.isNativeEnabled).toBe(isNativeEnabled);
    const handle = threads.start(entry, 1, undefined);
    const exit = await new Promise<ThreadExit>((resolve) => handle.onExit(resolve));
    expect(exit.message).toContain(isNativeEnabled ? 'Error: native.' : 'Error: JS.');
  }
});
