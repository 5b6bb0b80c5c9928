// Which nodes of a `dev` cluster are RAM nodes. Asked for when the folder is made, and kept there.
import { type NodeRole, votersFault } from '../../assembly/node-config.ts';
import { usageFailure } from '../failure.ts';
import { nodeNumber } from '../parse.ts';

/** Node numbers, sorted; all others are disk nodes. */
export interface DevRoles {
  readonly ram: readonly number[];
}

export const ALL_DISKS: DevRoles = { ram: [] };
/** Fewest that vote, and survive the loss of one. */
const VOTERS = 3;

/** A parser for commander: nodes, as n2,n3. */
export function nodeNumbers(text: string): readonly number[] {
  return [...new Set(text.split(',').map((word) => nodeNumber(word.trim())))].sort((a, b) => a - b);
}

export function devRole({ ram }: DevRoles, id: number): NodeRole {
  return ram.includes(id) ? 'ram' : 'disk';
}

/** Where nobody says how many nodes: three that vote, and the RAM nodes. */
export function defaultNodes({ ram }: DevRoles): number {
  return VOTERS + ram.length;
}

/** As an option, for people: "--ram n2,n3". */
export function rolesText({ ram }: DevRoles): string {
  return ram.length === 0 ? 'no --ram' : `--ram ${ram.map((id) => `n${id}`).join(',')}`;
}

/**
 * Of a cluster of `nodes` nodes that is made now.
 *
 * @throws CliFailure (2) for nodes that there are not, and for too few that vote.
 */
export function checkRoles(roles: DevRoles, nodes: number): DevRoles {
  const unknown = roles.ram.find((id) => id > nodes);
  if (unknown !== undefined) {
    throw usageFailure(`there is no node n${unknown}: the nodes are n1 to n${nodes}`);
  }
  const ids = Array.from({ length: nodes }, (_, index) => index + 1);
  const fault = votersFault(ids.map((id) => devRole(roles, id)));
  if (fault === undefined) return roles;
  throw usageFailure(
    fault,
    nodes === 2 && roles.ram.length === 0
      ? 'Choose --nodes 3, or --nodes 2 --ram n2: one disk node, which votes alone, and a RAM node.'
      : 'All nodes but those of --ram vote: name fewer of them there, or choose more --nodes.',
  );
}
