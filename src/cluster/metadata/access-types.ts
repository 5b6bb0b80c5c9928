// Who may do what, as RabbitMQ has it: vhosts, users, and what a user may do in a vhost, by three patterns over names.

/**
 * `administrator`: may change all that the HTTP interface changes; `management`: may read there. In the order of the
 * snapshot.
 */
export const USER_TAGS = ['administrator', 'management'] as const;

export type UserTag = (typeof USER_TAGS)[number];

/** What a method does to a queue or an exchange. */
export type AccessVerb = 'configure' | 'write' | 'read';

export const DEFAULT_VHOST = '/';
/** There until somebody changes or deletes it, with this word as its password. */
export const DEFAULT_USER = 'guest';

export interface UserRecord {
  readonly name: string;
  /** See `std/password-hash.ts`; empty: nobody logs in with a password. */
  readonly passwordHash: Uint8Array;
  /** Each once, in the order of {@link USER_TAGS}. */
  readonly tags: readonly UserTag[];
}

/** Nothing is no password; such a user and password there are not; the default user comes from this machine only. */
export type LoginFault = 'blank' | 'wrong' | 'remote';

/** Patterns as `std/pattern.ts` has them, found anywhere in a name; an empty one matches none. */
export interface PermissionRecord {
  readonly user: string;
  readonly vhost: string;
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** Makes the user, or changes it: what is undefined stays as it is, and of a new one it is nothing. */
export interface PutUserCommand {
  readonly kind: 'put-user';
  readonly name: string;
  readonly passwordHash: Uint8Array | undefined;
  readonly tags: readonly UserTag[] | undefined;
}

/** With its permissions. */
export interface DeleteUserCommand {
  readonly kind: 'delete-user';
  readonly name: string;
}

/** Idempotent. */
export interface PutVhostCommand {
  readonly kind: 'put-vhost';
  readonly name: string;
}

/** With all that is in it, its policies and the permissions for it. */
export interface DeleteVhostCommand {
  readonly kind: 'delete-vhost';
  readonly name: string;
}

/** Makes it or replaces it. */
export interface PutPermissionCommand extends PermissionRecord {
  readonly kind: 'put-permission';
}

/** Idempotent. */
export interface DeletePermissionCommand {
  readonly kind: 'delete-permission';
  readonly user: string;
  readonly vhost: string;
}

export type AccessCommand =
  | PutUserCommand
  | DeleteUserCommand
  | PutVhostCommand
  | DeleteVhostCommand
  | PutPermissionCommand
  | DeletePermissionCommand;

export type AccessRefusalCode =
  | 'unknown-user'
  | 'unknown-vhost'
  /** The one that other protocols use. */
  | 'default-vhost'
  | 'invalid-user'
  | 'invalid-permission';

export type AccessChange =
  /** Users or permissions. */
  | { readonly kind: 'access-changed' }
  | { readonly kind: 'vhost-created'; readonly vhost: string }
  | { readonly kind: 'vhost-deleted'; readonly vhost: string };
