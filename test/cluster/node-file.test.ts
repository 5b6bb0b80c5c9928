// What a start and `inspect` both take for a node.json, and what for damage or a newer one.
import { expect, it } from 'vitest';
import { decodeNodeFile } from '../../src/cluster/node-file.ts';
import { encodeUtf8 } from '../../src/std/bytes.ts';

const read = (text: string) => decodeNodeFile(encodeUtf8(text));

it('reads its own format with whatever else is in it', () => {
  const file = { format: 1, clusterId: 'c', nodeId: 2, later: [1] };
  expect(read(`${JSON.stringify(file)}\n  `)).toEqual({ kind: 'ok', file });
});

it('tells a newer format from what cannot be read', () => {
  for (const text of ['', '{', '[]', 'null', '7', '"x"'])
    expect(read(text).kind, text).toBe('unreadable');
  expect(decodeNodeFile(new Uint8Array([0xff, 0xfe])).kind).toBe('unreadable');
  expect(read('{"format":2}')).toMatchObject({
    kind: 'newer',
    because: expect.stringContaining('its format is 2, this build reads 1'),
  });
  expect(read('{}').kind).toBe('newer');
});
