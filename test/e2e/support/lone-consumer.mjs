// A group member in a process of its own, so that a test can end it without its saying goodbye.
// Arguments: brokers, group, topic, session timeout. Prints one line when it has joined.
import { Kafka, logLevel } from 'kafkajs';

const [brokers, groupId, topic, sessionTimeout] = process.argv.slice(2);
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId, sessionTimeout: Number(sessionTimeout) });
consumer.on(consumer.events.GROUP_JOIN, () => process.stdout.write('joined\n'));
// Nothing may outlive the test.
process.stdin.resume().on('end', () => process.exit(0));
await consumer.connect();
await consumer.subscribe({ topic });
await consumer.run({ eachMessage: async () => undefined });
