// Which addresses never leave this machine: all that links without a token may use. Pure.
import { ActorError } from '../errors.ts';

/** `localhost`, 127.0.0.0/8 and ::1, also as IPv6 writes IPv4. A name that must be looked up may be anywhere. */
export function isLoopback(host: string): boolean {
  const plain = host.startsWith('::ffff:') ? host.slice(7) : host;
  return plain === 'localhost' || plain === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(plain);
}

/** @throws ActorError (ACTOR_MISUSE) for an address that needs a token, without one. */
export function checkReach(verb: 'listen at' | 'dial', host: string, token: string): void {
  if (token !== '' || isLoopback(host)) return;
  throw new ActorError(
    'ACTOR_MISUSE',
    `links without a token stay on this machine: to ${verb} ${host}, give every node the same \`token\``,
    { host },
  );
}
