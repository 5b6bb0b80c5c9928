// Policies: judged, kept, and laid on the destinations of their vhost that are there, at the cost of one pattern for
// each of them. What a policy says counts where nothing was declared; where it cannot be changed any more it stays.
import { reassigned } from './apply-reassignments.ts';
import { type Applying, OK, refused, vhostFault } from './applying.ts';
import type { Outcome } from './commands.ts';
import { durabilityIn } from './destination-config.ts';
import { mirrorsOf, ruledByPolicy, staysOnNode, unmirroredReplicas } from './mirrors.ts';
import { isValidName } from './names.ts';
import { policyTextFault } from './policy-definition.ts';
import type {
  DeletePolicyCommand,
  PolicyRecord,
  PolicyRules,
  PutPolicyCommand,
} from './policy-types.ts';
import { durabilityOf } from './routing-types.ts';
import type { DestinationRecord, Durability } from './types.ts';

/** Over all vhosts. */
const POLICIES_MAX = 1_000;
const PRIORITY_LIMIT = 2 ** 31;

export function putPolicy(applying: Applying, command: PutPolicyCommand): Outcome {
  const { kind: _, ...policy } = command;
  const { policies } = applying.image;
  const fault = vhostFault(applying.image, policy.vhost) ?? policyFault(policy);
  if (fault !== undefined) return fault;
  const { vhost, name } = policy;
  if (policies.policy(vhost, name) === undefined && policies.count >= POLICIES_MAX) {
    return refused('too-many', `there are ${POLICIES_MAX} policies, and no more may be`);
  }
  const before = policies.rules(vhost, name);
  policies.put(policy);
  applying.changes.push({ kind: 'policy-changed', vhost, name });
  layOn(applying, policy, before);
  return OK;
}

function policyFault(policy: PolicyRecord): Outcome | undefined {
  const { name, priority } = policy;
  if (!isValidName(name)) return refused('invalid-policy', 'a name has 1 to 255 printable bytes');
  if (!Number.isInteger(priority) || priority < -PRIORITY_LIMIT || priority >= PRIORITY_LIMIT) {
    return refused('invalid-policy', `${priority} is no priority`);
  }
  const keys = policy.definition.map(([key]) => key);
  if (keys.some((key, i) => i > 0 && key <= keys[i - 1]!)) {
    return refused('malformed', 'the keys of a definition are sorted');
  }
  const fault = policyTextFault(policy);
  return fault === undefined ? undefined : refused('invalid-policy', fault);
}

export function deletePolicy(applying: Applying, command: DeletePolicyCommand): Outcome {
  const { vhost, name } = command;
  const { policies } = applying.image;
  const policy = policies.policy(vhost, name);
  if (policy === undefined) return refused('unknown-policy', `there is no policy "${name}"`);
  const before = policies.rules(vhost, name);
  policies.remove(vhost, name);
  applying.changes.push({ kind: 'policy-changed', vhost, name });
  layOn(applying, policy, before);
  return OK;
}

/** The policy is another one, new or gone: whoever has it, or may have it now, is looked at. `before`: what it said. */
function layOn(applying: Applying, { vhost, name }: PolicyRecord, before: PolicyRules): void {
  const { image } = applying;
  for (const destination of image.destinations()) {
    if (destination.vhost !== vhost) continue;
    const had = destination.policy === name;
    if (!had && !image.policies.doesMatch(name, destination)) continue;
    const policy = image.policies.match(destination)?.name;
    if (policy === destination.policy && !had) continue;
    const changed = { ...destination, policy };
    const said = had ? before : image.policies.rules(vhost, destination.policy);
    if (policy !== destination.policy) applying.changeDestination(changed);
    changeDurability(applying, changed);
    changeMirrors(applying, changed, said.mirrors !== undefined);
  }
}

/** The controller moves what is to be elsewhere; one that is mirrored no more goes back to what others have. */
function changeMirrors(
  applying: Applying,
  { logIds, queue }: DestinationRecord,
  wasMirrored: boolean,
): void {
  const { image, index } = applying;
  if (queue === undefined) return;
  const log = image.log(logIds[0]!)!;
  const ruled = ruledByPolicy(image, log);
  if (ruled.isUncleanAllowed !== log.isUncleanAllowed || ruled.minInsync !== log.minInsync) {
    applying.changeLog({ ...ruled, partitionEpoch: log.partitionEpoch + 1 });
  }
  const isStill = mirrorsOf(image, log) !== undefined || staysOnNode(queue);
  if (!wasMirrored || isStill || log.durability === 'memory') return;
  const present = image.log(log.logId)!;
  const wanted = unmirroredReplicas(image, present);
  const next = wanted && reassigned(present, wanted, index, present.handsOver);
  if (next !== undefined) applying.changeLog(next);
}

function changeDurability(applying: Applying, destination: DestinationRecord): void {
  const { image } = applying;
  for (const logId of destination.logIds) {
    const log = image.log(logId)!;
    const { vhost, policy } = destination;
    const ofPolicy = image.policies.rules(vhost, policy).durability;
    const durability = durabilityNow(destination, log.durability, ofPolicy);
    if (durability === log.durability) continue;
    applying.changeLog({ ...log, durability, partitionEpoch: log.partitionEpoch + 1 });
  }
}

/** Of a destination that is there: whether it is in memory was decided when it was made. */
function durabilityNow(
  { queue, config }: DestinationRecord,
  present: Durability,
  ofPolicy: Durability | undefined,
): Durability {
  if (present === 'memory') return present;
  const asked = ofPolicy === 'memory' ? undefined : ofPolicy;
  if (queue !== undefined) return queue.durability ?? asked ?? durabilityOf(queue);
  return durabilityIn(config) ?? asked ?? 'sync';
}
