// What a failed start says: one clear line of a user's error, the stack of all else, whatever code it has.
import { expect, it } from 'vitest';
import { factsOfFailedStart } from '../../src/cli/failure.ts';
import { StorageError } from '../../src/storage/errors.ts';

function coded(code: string, error: Error = new Error(`it failed with ${code}`)): Error {
  return Object.assign(error, { code });
}

it.each(['EADDRINUSE', 'EACCES', 'NODE_FOLDER_TAKEN', 'NODE_CONFIG_INVALID', 'STORAGE_LOCKED'])(
  'is one line without a stack of %s',
  (code) => {
    const facts = factsOfFailedStart(coded(code));
    expect(facts).toEqual({ code, why: `it failed with ${code}` });
  },
);

it('has the stack of a programming error, also of one that Node gives a code, and of a disk that fails', () => {
  const lost = new StorageError('STORAGE_IO', 'a sync failed', {}, new Error('EIO: i/o error'));
  const errors = [
    coded('ERR_INVALID_ARG_TYPE', new TypeError('of a wrong type')),
    coded('EIO'),
    coded('STORAGE_DAMAGED'),
    lost,
  ];
  for (const error of errors) {
    expect(factsOfFailedStart(error)).toEqual({ code: (error as { code?: string }).code, error });
  }
  expect(factsOfFailedStart(undefined)).toEqual({ error: undefined });
  const plain = new RangeError('no code');
  expect(factsOfFailedStart(plain)).toEqual({ error: plain });
});
