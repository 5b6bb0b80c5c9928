// Vhosts, users and permissions: judged, kept and deleted. A vhost goes with all that is in it, in one command; a name
// in a vhost that is not there is refused where it would be made.
import { permissionFault, userFault } from './access-faults.ts';
import {
  DEFAULT_VHOST,
  type DeletePermissionCommand,
  type DeleteUserCommand,
  type DeleteVhostCommand,
  type PutPermissionCommand,
  type PutUserCommand,
  type PutVhostCommand,
  type UserRecord,
} from './access-types.ts';
import { dropDestination } from './apply-destinations.ts';
import { dropVhostRouting } from './apply-exchanges.ts';
import { type Applying, OK, refused, vhostFault } from './applying.ts';
import type { Outcome } from './commands.ts';
import { isValidName } from './names.ts';

const USERS_MAX = 10_000;
const VHOSTS_MAX = 1_000;
const PERMISSIONS_MAX = 50_000;

// ---- Users ---------------------------------------------------------------------------------------

export function putUser(applying: Applying, command: PutUserCommand): Outcome {
  const { access } = applying.image;
  const known = access.user(command.name);
  const user: UserRecord = {
    name: command.name,
    passwordHash: command.passwordHash ?? known?.passwordHash ?? new Uint8Array(0),
    tags: command.tags ?? known?.tags ?? [],
  };
  const fault = userFault(user);
  if (fault !== undefined) return refused('invalid-user', fault);
  if (known === undefined && access.users().length >= USERS_MAX) {
    return refused('too-many', `there are ${USERS_MAX} users, and no more may be`);
  }
  access.putUser(user);
  applying.changes.push({ kind: 'access-changed' });
  return OK;
}

export function deleteUser(applying: Applying, { name }: DeleteUserCommand): Outcome {
  const { access } = applying.image;
  if (access.user(name) === undefined) return unknownUser(name);
  access.removeUser(name);
  applying.changes.push({ kind: 'access-changed' });
  return OK;
}

function unknownUser(name: string): Outcome {
  return refused('unknown-user', `there is no user "${name}"`);
}

// ---- Vhosts --------------------------------------------------------------------------------------

export function putVhost(applying: Applying, { name }: PutVhostCommand): Outcome {
  const { access } = applying.image;
  if (access.hasVhost(name)) return OK;
  if (!isValidName(name)) return refused('invalid-name', 'a name has 1 to 255 printable bytes');
  if (access.vhosts().length >= VHOSTS_MAX) {
    return refused('too-many', `there are ${VHOSTS_MAX} vhosts, and no more may be`);
  }
  access.putVhost(name);
  applying.changes.push({ kind: 'vhost-created', vhost: name });
  return OK;
}

export function deleteVhost(applying: Applying, { name }: DeleteVhostCommand): Outcome {
  const { image } = applying;
  const fault = vhostFault(image, name);
  if (fault !== undefined) return fault;
  if (name === DEFAULT_VHOST) {
    return refused('default-vhost', 'the vhost "/" is that of the other protocols, and stays');
  }
  for (const destination of image.destinations()) {
    if (destination.vhost === name) dropDestination(applying, destination);
  }
  dropVhostRouting(applying, name);
  for (const policy of image.policies.policies()) {
    if (policy.vhost !== name) continue;
    image.policies.remove(name, policy.name);
    applying.changes.push({ kind: 'policy-changed', vhost: name, name: policy.name });
  }
  image.access.removeVhost(name);
  applying.changes.push({ kind: 'vhost-deleted', vhost: name });
  return OK;
}

// ---- Permissions ---------------------------------------------------------------------------------

export function putPermission(applying: Applying, command: PutPermissionCommand): Outcome {
  const { kind: _, ...permission } = command;
  const { image } = applying;
  const { access } = image;
  if (access.user(permission.user) === undefined) return unknownUser(permission.user);
  const fault = vhostFault(image, permission.vhost);
  if (fault !== undefined) return fault;
  const why = permissionFault(permission);
  if (why !== undefined) return refused('invalid-permission', why);
  const isNew = access.permission(permission.user, permission.vhost) === undefined;
  if (isNew && access.permissionCount >= PERMISSIONS_MAX) {
    return refused('too-many', `there are ${PERMISSIONS_MAX} permissions, and no more may be`);
  }
  access.putPermission(permission);
  applying.changes.push({ kind: 'access-changed' });
  return OK;
}

export function deletePermission(applying: Applying, command: DeletePermissionCommand): Outcome {
  const { user, vhost } = command;
  const { access } = applying.image;
  if (access.permission(user, vhost) === undefined) return OK;
  access.removePermission(user, vhost);
  applying.changes.push({ kind: 'access-changed' });
  return OK;
}
