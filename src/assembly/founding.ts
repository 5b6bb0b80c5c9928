// The metadata group as a cluster is founded with it: those that vote, in the incarnation that all of them know without
// asking. RAM nodes are none of them: each of their lives is another one, and comes as a newcomer.
import { FOUNDING_INCARNATION } from '../cluster/node-file.ts';
import { type Configuration, configurationOf, peerOf } from '../raft/index.ts';
import type { NodeAddress } from './node-config.ts';

export function foundingGroup(nodes: readonly NodeAddress[]): Configuration {
  const founders = nodes.filter(({ role }) => role !== 'ram');
  const witnesses = founders.filter(({ role }) => role === 'witness');
  const peersOf = (those: readonly NodeAddress[]) =>
    those.map(({ id }) => peerOf(id, FOUNDING_INCARNATION));
  return configurationOf(peersOf(founders), [], [], peersOf(witnesses));
}
