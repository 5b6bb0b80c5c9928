// Bytes of policies, and of the commands about them; see `command-codec.ts` for the frame.
import { type ByteReader, BytesError, type ByteWriter } from '../../std/bytes.ts';
import type { CommandCodec } from './command-codec.ts';
import { readPairs, writePairs } from './fields.ts';
import { APPLY_TO, type PolicyCommand, type PolicyRecord } from './policy-types.ts';

export function writePolicy(out: ByteWriter, policy: PolicyRecord): void {
  out.text(policy.vhost);
  out.text(policy.name);
  out.text(policy.pattern);
  out.u8(APPLY_TO.indexOf(policy.applyTo));
  out.varI53(policy.priority);
  writePairs(out, policy.definition);
}

export function readPolicy(input: ByteReader): PolicyRecord {
  const vhost = input.text();
  const name = input.text();
  const pattern = input.text();
  const code = input.u8();
  const applyTo = APPLY_TO[code];
  if (applyTo === undefined) {
    throw new BytesError('BYTES_TRUNCATED', 'a policy for something unknown', { code });
  }
  const priority = input.varI53();
  return { vhost, name, pattern, applyTo, priority, definition: readPairs(input) };
}

export const POLICY_CODECS: { readonly [K in PolicyCommand['kind']]: CommandCodec<K> } = {
  'put-policy': { code: 28, write: writePolicy, read: readPolicy },
  'delete-policy': {
    code: 29,
    write(out, command) {
      out.text(command.vhost);
      out.text(command.name);
    },
    read: (input) => ({ vhost: input.text(), name: input.text() }),
  },
};
