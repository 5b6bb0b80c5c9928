import { durableActors } from '../../../src/sim/scenarios/durable-actors.ts';
import { find, pausing } from './find.ts';

find([
  {
    bug: 'decide-again',
    what: 'a command that comes again and is decided again',
    scenario: durableActors,
    from: 1_002,
    foundBy: /^ledger\//,
  },
  {
    bug: 'trust-clocks',
    what: 'a new leader whose clock is believed',
    scenario: durableActors,
    from: 1_002,
    foundBy: /^ledger\/early$/,
  },
  {
    bug: 'fire-twice',
    what: 'a timer that does twice what it does',
    scenario: durableActors,
    from: 1_002,
    foundBy: /^ledger\/twice$/,
  },
  {
    bug: 'answer-at-once',
    what: 'an account that is answered for by a leader that leads no more',
    scenario: pausing(durableActors),
    from: 2,
    foundBy: /^ledger\/stale$/,
  },
]);
