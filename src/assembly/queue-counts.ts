// How much is in a queue, asked of its leader by the admin room: loaded when somebody asks, as the main thread of a node
// with workers has nothing else to do with queues.
import type { LogClient } from '../broker/access/log-client.ts';
import { decodeQueueAnswer, type StatsAnswer } from '../broker/view/answers.ts';
import { encodeQueueCommand } from '../broker/view/commands.ts';

const TIMEOUT_MS = 1_000;

/** Undefined: nobody leads it, or who does has not answered in time. */
export async function queueCounts(
  client: LogClient,
  logId: number,
): Promise<StatsAnswer | undefined> {
  const answered = await client.command(logId, encodeQueueCommand({ kind: 'stats' }), TIMEOUT_MS);
  if (answered?.result !== 'ok') return undefined;
  const answer = decodeQueueAnswer(answered.body);
  return answer.kind === 'stats' ? answer : undefined;
}
