// A stream among the queues of the AMQP workload: publishers reach it through a topic exchange and by its name. What
// it holds is read with Kafka's words when all faults are over, and judged as any log is: what was confirmed is
// there once, and each publisher's messages stand in their order.

import { emptyHistory, type Poll, type Send } from '../checkers/kafka-history.ts';
import { checkKafkaLog } from '../checkers/kafka-log.ts';
import type { QueueHistory } from '../checkers/queue-history.ts';
import type { Violation } from '../scenario.ts';
import { STREAM } from './amqp-session.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';
import { readBack } from './kafka-reader.ts';

const ALREADY_EXISTS = 36;
const PAUSE_MS = 200;

/** Until it is there nobody can bind it: publishers dial again. */
export async function createStream(client: KafkaClient, replicas: number): Promise<void> {
  for (;;) {
    try {
      const code = await client.createTopic(STREAM, 1, replicas);
      if (code === 0 || code === ALREADY_EXISTS) return;
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
    }
    await client.sleep(PAUSE_MS);
  }
}

/** Everything that it holds. */
export async function readStream(client: KafkaClient): Promise<readonly Poll[]> {
  const polls: Poll[] = [];
  await readBack(client, polls, STREAM, 0);
  return polls;
}

/** `polls`: the read-back; undefined if it came to none. */
export function checkStream(
  { publishes }: QueueHistory,
  polls: readonly Poll[] | undefined,
): readonly Violation[] {
  if (polls === undefined) return [];
  const history = emptyHistory();
  history.finalPolls.push(...polls);
  for (const { id, lane: producer, order, bodyHash, outcome, streams } of publishes) {
    if (!streams.includes(STREAM)) continue;
    const sent: Send = {
      producer,
      topic: STREAM,
      partition: 0,
      id,
      bodyHash,
      acks: -1,
      order,
      // Publishers send nothing twice.
      attempts: 1,
      outcome: outcome === 'confirmed' ? 'acknowledged' : 'unknown',
      offset: undefined,
    };
    history.sends.push(sent);
  }
  if (history.sends.every((send) => send.outcome !== 'acknowledged')) {
    return [{ check: 'workload', message: 'nothing was confirmed that went to the stream' }];
  }
  return checkKafkaLog(history);
}
