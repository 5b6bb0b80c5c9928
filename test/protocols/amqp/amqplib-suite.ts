// What amqplib, the most used Node client, must be able to do over a real socket, unmodified; run against the listener over
// queues in memory, and against whole nodes.
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  type GetMessage,
} from 'amqplib';
import { afterEach, describe, expect, it } from 'vitest';

const closing: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function none(): void {
  // Errors that a test expects.
}

async function dial(url: string): Promise<ChannelModel> {
  const connection = await connect(url);
  let isOpen = true;
  connection.on('error', none);
  connection.on('close', () => {
    isOpen = false;
  });
  closing.push(async () => {
    if (isOpen) await connection.close();
  });
  return connection;
}

/** The error that ends a channel. */
function failure(channel: Channel | ConfirmChannel): Promise<Error & { code?: number }> {
  return new Promise((resolve) => channel.once('error', resolve));
}

/** Waits until `count` messages have come. */
function consumed(
  channel: Channel,
  queue: string,
  count: number,
  options = {},
): Promise<GetMessage[]> {
  return new Promise((resolve, reject) => {
    const messages: GetMessage[] = [];
    channel
      .consume(
        queue,
        (message) => {
          if (message !== null) messages.push(message as unknown as GetMessage);
          if (messages.length === count) resolve(messages);
        },
        options,
      )
      .catch(reject);
  });
}

export function amqplibSuite(name: string, start: () => Promise<{ readonly url: string }>): void {
  describe(name, () => {
    it('publishes with confirms, and gets all of it back as it was', async () => {
      const { url } = await start();
      const connection = await dial(url);
      const channel = await connection.createConfirmChannel();
      await channel.assertQueue('q', { durable: true });
      const sent: string[] = [];
      for (let i = 0; i < 500; i += 1) {
        sent.push(`message ${i}`);
        channel.sendToQueue('q', Buffer.from(`message ${i}`), {
          persistent: true,
          messageId: `${i}`,
          headers: { n: i, text: 'ü', nested: { list: [1, 'two', null] } },
        });
      }
      await channel.waitForConfirms();
      const messages = await consumed(channel, 'q', sent.length, { noAck: true });
      expect(messages.map(({ content }) => content.toString())).toEqual(sent);
      expect(messages[7]?.properties).toMatchObject({
        messageId: '7',
        deliveryMode: 2,
        headers: { n: 7, text: 'ü', nested: { list: [1, 'two', null] } },
      });
      expect(messages.map(({ fields }) => fields.deliveryTag)).toEqual(sent.map((_, i) => i + 1));
    });

    it('knows the server', async () => {
      const { url } = await start();
      const { connection } = (await dial(url)) as unknown as {
        connection: { serverProperties: Record<string, unknown> };
      };
      const { product, capabilities } = connection.serverProperties;
      expect(product).toBe('Callboard');
      expect(Object.keys(capabilities as object)).toHaveLength(9);
    });

    it('sends and takes messages of many frames', async () => {
      const { url } = await start();
      const connection = await dial(url);
      const channel = await connection.createConfirmChannel();
      const { queue } = await channel.assertQueue('');
      const body = Buffer.alloc(1_000_000, 'abcdefghij');
      channel.sendToQueue(queue, body);
      channel.sendToQueue(queue, Buffer.alloc(0));
      await channel.waitForConfirms();
      const [large, empty] = await consumed(channel, queue, 2, { noAck: true });
      expect(large?.content.equals(body)).toBe(true);
      expect(empty?.content).toHaveLength(0);
    });

    it('prefetches, and a consumer that gives up leaves its messages to the next in their order', async () => {
      const { url } = await start();
      const first = await dial(url);
      const channel = await first.createChannel();
      await channel.assertQueue('q');
      for (const body of ['1', '2', '3', '4']) channel.sendToQueue('q', Buffer.from(body));
      await channel.prefetch(2);
      const held = await consumed(channel, 'q', 2);
      expect(held.map(({ content }) => content.toString())).toEqual(['1', '2']);
      await first.close();
      const second = await dial(url);
      const other = await second.createChannel();
      const messages = await consumed(other, 'q', 4);
      expect(
        messages.map(({ content, fields }) => [content.toString(), fields.redelivered]),
      ).toEqual([
        ['1', true],
        ['2', true],
        ['3', false],
        ['4', false],
      ]);
      other.ackAll();
      expect(await other.checkQueue('q')).toMatchObject({ messageCount: 0, consumerCount: 1 });
    });

    it('hears of what reached nobody', async () => {
      const { url } = await start();
      const channel = await (await dial(url)).createConfirmChannel();
      const returned = new Promise<GetMessage>((resolve) =>
        channel.once('return', resolve as never),
      );
      channel.publish('', 'nobody', Buffer.from('lost'), { mandatory: true });
      await channel.waitForConfirms();
      expect(await returned).toMatchObject({
        fields: { replyCode: 312, replyText: 'NO_ROUTE', exchange: '', routingKey: 'nobody' },
      });
    });

    it('binds exchanges and queues, gets, purges and deletes', async () => {
      const { url } = await start();
      const channel = await (await dial(url)).createConfirmChannel();
      await channel.assertExchange('all', 'fanout', { durable: false });
      await channel.assertExchange('some', 'topic', { alternateExchange: 'all' });
      await channel.assertQueue('a');
      await channel.assertQueue('b');
      await channel.bindExchange('all', 'some', 'to.all');
      await channel.bindQueue('a', 'some', 'to.*');
      await channel.bindQueue('b', 'all', '');
      channel.publish('some', 'to.a', Buffer.from('a'));
      channel.publish('some', 'to.all', Buffer.from('both'));
      channel.publish('some', 'else', Buffer.from('alternate'));
      await channel.waitForConfirms();
      const bodies = async (queue: string): Promise<string[]> => {
        const found: string[] = [];
        for (;;) {
          const message = await channel.get(queue, { noAck: true });
          if (message === false) return found;
          found.push(message.content.toString());
        }
      };
      expect(await bodies('a')).toEqual(['a', 'both']);
      expect(await bodies('b')).toEqual(['both', 'alternate']);
      channel.sendToQueue('a', Buffer.from('x'));
      await channel.waitForConfirms();
      expect(await channel.purgeQueue('a')).toEqual({ messageCount: 1 });
      expect(await channel.deleteQueue('a')).toEqual({ messageCount: 0 });
      await channel.unbindExchange('all', 'some', 'to.all');
      await channel.unbindQueue('b', 'all', '');
      await channel.deleteExchange('some', { ifUnused: true });
      const error = failure(channel);
      await expect(channel.checkExchange('some')).rejects.toThrow(/404.*no exchange 'some'/);
      expect((await error).message).toContain('NOT_FOUND');
    });

    it('is refused what is refused, on that channel only', async () => {
      const { url } = await start();
      const connection = await dial(url);
      const channel = await connection.createChannel();
      const other = await connection.createChannel();
      const error = failure(channel);
      const asked = channel.assertQueue('q', { messageTtl: 1_000 });
      await expect(asked).rejects.toThrow(/x-message-ttl.*not honoured/);
      expect((await error).code).toBe(406);
      expect(await other.assertQueue('q')).toMatchObject({ queue: 'q' });
    });

    it('keeps exclusive queues to itself, and they go with it', async () => {
      const { url } = await start();
      const owner = await dial(url);
      const { queue } = await (await owner.createChannel()).assertQueue('', { exclusive: true });
      expect(queue).toMatch(/^amq\.gen-/);
      const channel = await (await dial(url)).createChannel();
      const locked = failure(channel);
      await expect(channel.checkQueue(queue)).rejects.toThrow(/405/);
      await locked;
      await owner.close();
      const again = await (await dial(url)).createChannel();
      const gone = failure(again);
      await expect(again.checkQueue(queue)).rejects.toThrow(/404/);
      await gone;
    });

    it('hears that the queue of a consumer was deleted', async () => {
      const { url } = await start();
      const channel = await (await dial(url)).createChannel();
      await channel.assertQueue('q');
      const cancelled = new Promise<null>((resolve) => {
        channel.consume('q', (message) => message === null && resolve(message)).catch(none);
      });
      const other = await (await dial(url)).createChannel();
      await other.deleteQueue('q');
      expect(await cancelled).toBeNull();
    });

    it('with a wrong password is told so', async () => {
      const { url } = await start();
      const wrong = url.replace('amqp://', 'amqp://guest:wrong@');
      await expect(connect(wrong)).rejects.toThrow(/403.*ACCESS_REFUSED/);
    });
  });
}
