import { kafkaDurability } from '../../../src/sim/scenarios/kafka-durability.ts';
import { find } from './find.ts';

find([
  {
    bug: 'answer-unstored',
    what: 'an answer of an `async` topic whose record nobody has',
    scenario: kafkaDurability,
    from: 2_001,
    foundBy: /^durability\/async$/,
  },
  {
    bug: 'answer-unkept',
    what: 'the same of a topic in memory',
    scenario: kafkaDurability,
    from: 2_002,
    foundBy: /^durability\/memory$/,
  },
  {
    bug: 'answer-unreceived',
    what: 'an answer of a `replicated` topic before the others have the record',
    scenario: kafkaDurability,
    from: 2_008,
    foundBy: /^durability\/replicated$/,
  },
  {
    bug: 'answer-before-commit',
    what: 'an answer of a `sync` topic before its record is committed',
    scenario: kafkaDurability,
    from: 2_002,
    foundBy: /^(kafka-log|durability)\//,
  },
]);
