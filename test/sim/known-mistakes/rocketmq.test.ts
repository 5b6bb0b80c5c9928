import { rocketmqCluster } from '../../../src/sim/scenarios/rocketmq-cluster.ts';
import { find, pausing } from './find.ts';

/** What is wrong whatever happens needs no long chaos. */
const shortly = { ...rocketmqCluster, chaosMs: 8_000 };

find([
  {
    bug: 'drop-lease',
    what: 'a lease of a group that is forgotten',
    scenario: shortly,
    from: 1_000,
    foundBy: /^groups\/(lost|stuck)$/,
  },
  {
    bug: 'give-twice',
    what: 'a message that is given to two',
    scenario: shortly,
    from: 1_000,
    foundBy: /^groups\/(shared|resurrected)$/,
  },
  {
    bug: 'ack-ignores-holder',
    what: 'an acknowledgement of who has it no more',
    scenario: rocketmqCluster,
    from: 1_000,
    foundBy: /^groups\//,
  },
  {
    bug: 'forget-acknowledged',
    what: 'a snapshot that forgets',
    scenario: rocketmqCluster,
    from: 1_000,
    foundBy: /^groups\/resurrected$/,
  },
  {
    bug: 'give-early',
    what: 'a leader that gives and leads no more',
    scenario: pausing(rocketmqCluster),
    from: 201,
    // A leader that leads no more gives what is done with, or leases that its successor knows nothing of.
    foundBy: /^groups\/(resurrected|denied)$/,
  },
]);
