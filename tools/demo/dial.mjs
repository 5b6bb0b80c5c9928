// AMQP connections: to the first node of a list that answers, for as long as it takes; and their end.
import { connect } from 'amqplib';
import { delay } from '../lib/dev-cluster.mjs';

const PAUSE_MS = 100;
/** A node that is killed in the middle of a handshake is noticed at once; one that hangs is not. */
const TIMEOUT_MS = 5_000;

export async function dialAny(urls, trouble) {
  for (;;) {
    for (const url of urls) {
      try {
        const connection = await connect(url, { timeout: TIMEOUT_MS });
        connection.on('error', trouble);
        return connection;
      } catch (error) {
        trouble(error);
      }
    }
    await delay(PAUSE_MS);
  }
}

/** Closes a connection, if it is still open; its `close` event tells when it has ended. */
export async function hangUp(connection) {
  try {
    await connection?.close();
  } catch {
    // It has ended already, or is ending.
  }
}
