// Links without a token use no addresses but those that never leave this machine. Pure.
import { isLoopback } from '../../std/loopback.ts';
import { ActorError } from '../errors.ts';

/** @throws ActorError (ACTOR_MISUSE) for an address that needs a token, without one. */
export function checkReach(verb: 'listen at' | 'dial', host: string, token: string): void {
  if (token !== '' || isLoopback(host)) return;
  throw new ActorError(
    'ACTOR_MISUSE',
    `links without a token stay on this machine: to ${verb} ${host}, give every node the same \`token\``,
    { host },
  );
}
