import {
  amqpCluster,
  amqpHeld,
  amqpKinds,
  amqpNormalMode,
} from '../../../src/sim/scenarios/amqp-cluster.ts';
import { find } from './find.ts';

find([
  {
    bug: 'drop-lease',
    what: 'a lease that is forgotten without giving its message back',
    scenario: amqpCluster,
    from: 1_000,
    foundBy: /^queue\/(lost|stuck)$/,
  },
  {
    bug: 'stream-reads-again',
    what: 'a consumer of a stream that goes on too early',
    scenario: amqpCluster,
    from: 1_000,
    foundBy: /^stream\/repeat$/,
  },
  {
    bug: 'stream-stores-again',
    what: 'a batch that a stream stores twice',
    scenario: amqpCluster,
    from: 1_000,
    foundBy: /^(kafka-log|stream)\/duplicate$/,
  },
  {
    bug: 'ack-before-durable',
    what: 'a confirm before its message is committed',
    scenario: amqpCluster,
    from: 1_009,
    foundBy: /^queue\/lost$/,
  },
  {
    bug: 'ack-before-durable',
    what: 'a confirm before its message is on the one disk that a queue has',
    scenario: amqpNormalMode,
    from: 2_022,
    foundBy: /^queue\/lost$/,
  },
  {
    bug: 'forget-delivery-count',
    what: 'a message that came back to a quorum queue and is not counted',
    scenario: amqpKinds,
    from: 500,
    foundBy: /^(quorum-queue\/uncounted|queue\/stuck)$/,
  },
  {
    bug: 'drop-needed',
    what: 'a segment that loses messages which wait',
    scenario: amqpHeld,
    from: 1_000,
    foundBy: /^queue\/(lost|stuck)$/,
  },
]);
