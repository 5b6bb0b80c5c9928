// The work: how many primes are below a number. The protocol gives types and bytes at once, so an actor can be
// spawned on any thread that has it in its manifest.
import { actor, ask, none, protocol, u32 } from 'callboard/actors';

export const Counter = protocol('counter', 1, { primesBelow: ask(u32, u32) });

export const CounterActor = actor(
  Counter,
  () => ({
    primesBelow(limit) {
      let count = 0;
      for (let n = 2; n < limit; n += 1) if (isPrime(n)) count += 1;
      return count;
    },
  }),
  { args: none },
);

function isPrime(n) {
  for (let d = 2; d * d <= n; d += 1) if (n % d === 0) return false;
  return true;
}
