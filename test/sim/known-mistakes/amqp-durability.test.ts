import type { Scenario } from '../../../src/sim/scenario.ts';
import { amqpDurability } from '../../../src/sim/scenarios/amqp-durability.ts';
import { find } from './find.ts';

/** Leaders that are cut off from the others, and not from their clients, while somebody else is elected. */
const isolating: Scenario = {
  ...amqpDurability,
  chaosMs: 20_000,
  faults: { ...amqpDurability.faults, kinds: ['isolate'], meanMs: [1_500, 2_500] },
};

find([
  {
    bug: 'all-transient',
    what: 'a persistent message that is confirmed as a transient one',
    scenario: isolating,
    from: 1_000,
    foundBy: /^(queue\/lost|queue-durability\/sync)$/,
  },
]);
