// A node whose disk is filled to the last byte: producers get an error that passes, it begins again with no byte
// free, gives consumers everything that it has acknowledged, and goes on when there is room. The disk is a tmpfs of 64 MB.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { freshFolder, until } from '../lib/dev-cluster.mjs';
import { judge } from './judge.mjs';
import { LoneNode } from './lone-node.mjs';

const DISK = '64m';
const TOPIC = 'filled';
const BODY_BYTES = 16 * 1024;
const PER_SEND = 16;
/** Before the disk is full: 5 MB, so that there are segments too. */
const SENDS_BEFORE = 20;
/** What a full disk of 64 MB can take at most of sends of 256 KB. */
const SENDS_MAX = 256;
/** For the run with a limit, which is reached before the disk is full. */
const FREE_MIN_BYTES = 8_000_000;
const TOLD_WITHIN_MS = 5_000;
const ROOM_WITHIN_MS = 30_000;
const READ_WITHIN_MS = 20_000;

function freeBytes(folder) {
  const { bavail, bsize } = fs.statfsSync(folder);
  return bavail * bsize;
}

/** Writes until not a byte more is taken. */
function fill(path) {
  const fd = fs.openSync(path, 'a');
  for (const size of [1 << 20, 4096, 1]) {
    const bytes = Buffer.alloc(size, 1);
    for (let isTaken = true; isTaken; ) {
      try {
        isTaken = fs.writeSync(fd, bytes) === size;
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
        isTaken = false;
      }
    }
  }
  fs.closeSync(fd);
}

function bodyOf(i) {
  const head = createHash('sha256').update(`body ${i}`).digest();
  return Buffer.alloc(BODY_BYTES, head);
}

class User {
  #next = 0;
  /** offset -> number of the body that was acknowledged there. */
  acknowledged = new Map();

  constructor(broker) {
    const retry = { retries: 0 };
    this.kafka = new Kafka({
      brokers: [broker],
      logLevel: logLevel.NOTHING,
      requestTimeout: 10_000,
      retry,
    });
    this.producer = this.kafka.producer();
  }

  async createTopic() {
    const admin = this.kafka.admin();
    await admin.connect();
    const topics = [{ topic: TOPIC, numPartitions: 1, replicationFactor: 1 }];
    await admin.createTopics({ topics, waitForLeaders: true });
    await admin.disconnect();
  }

  /** Undefined when acknowledged, else the error and how long it took. */
  async send() {
    const first = this.#next;
    this.#next += PER_SEND;
    const messages = Array.from({ length: PER_SEND }, (_, i) => ({ value: bodyOf(first + i) }));
    const startMs = performance.now();
    try {
      const [{ baseOffset }] = await this.producer.send({ topic: TOPIC, acks: -1, messages });
      for (let i = 0; i < PER_SEND; i += 1)
        this.acknowledged.set(Number(baseOffset) + i, first + i);
      return undefined;
    } catch (error) {
      const cause = error.cause ?? error;
      const isRetriable = cause.retriable === true;
      return { name: cause.type ?? cause.message, isRetriable, ms: performance.now() - startMs };
    }
  }

  /** Reads everything with a group of its own; answers what is missing or wrong. */
  async check(groupId) {
    const consumer = this.kafka.consumer({
      groupId,
      retry: { retries: 20, initialRetryTime: 100 },
    });
    await consumer.connect();
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
    const left = new Map(this.acknowledged);
    const wrong = [];
    const eachMessage = async ({ message }) => {
      const offset = Number(message.offset);
      const i = left.get(offset);
      if (i === undefined) return;
      if (!message.value.equals(bodyOf(i))) wrong.push(offset);
      left.delete(offset);
    };
    await consumer.run({ eachMessage });
    await until('all is read', () => left.size === 0, READ_WITHIN_MS).catch(() => undefined);
    await consumer.disconnect();
    return { missing: left.size, wrong: wrong.length };
  }
}

async function judgeReading(user, what, groupId) {
  const { missing, wrong } = await user.check(groupId);
  judge(
    `${what}: consumers are given everything acknowledged`,
    missing === 0 && wrong === 0,
    `${user.acknowledged.size} acknowledged, ${missing} missing, ${wrong} changed`,
  );
}

function judgeRefusal(what, refusal) {
  const isTold = refusal?.isRetriable === true && refusal.ms < TOLD_WITHIN_MS;
  const found =
    refusal === undefined ? 'it was taken' : `${refusal.name} after ${Math.ceil(refusal.ms)} ms`;
  judge(`${what}: producers are told soon, with an error that passes`, isTold, found);
}

async function checkWith(node, disk, shards) {
  const mode = shards === 0 ? 'full disk' : 'full disk, a worker thread';
  const ballast = join(disk, 'ballast');
  await node.start({ shards, isFounding: true });
  const user = new User(node.broker);
  await user.createTopic();
  await user.producer.connect();
  for (let i = 0; i < SENDS_BEFORE; i += 1) {
    const refusal = await user.send();
    if (refusal !== undefined) throw new Error(`refused with room: ${refusal.name}`);
  }
  let refusal;
  for (let i = 0; i < SENDS_MAX && refusal === undefined; i += 1) {
    fill(ballast);
    refusal = await user.send();
  }
  fill(ballast);
  judge(`${mode}: not a byte is free`, freeBytes(disk) === 0, `${freeBytes(disk)} bytes`);
  judgeRefusal(mode, refusal);
  judge(`${mode}: the node lives`, node.isUp);
  await judgeReading(user, `${mode}, before it is stopped`, 'while-full');

  await node.kill();
  fill(ballast);
  const free = freeBytes(disk);
  await node.start({ shards, isFounding: false });
  judge(`${mode}: it starts again with no byte free`, free === 0, `${free} bytes before`);
  await judgeReading(user, `${mode}, started again`, 'started-full');
  judgeRefusal(`${mode}, started again`, await user.send());

  fs.rmSync(ballast);
  const taken = async () => (await user.send()) === undefined;
  const isTaken = await until('room is found', taken, ROOM_WITHIN_MS).catch(() => false);
  judge(`${mode}: with room again it takes messages`, isTaken);
  await judgeReading(user, `${mode}, with room again`, 'with-room');
  await node.kill();
  await checkLimit(node, disk, user, shards);
  await user.producer.disconnect();
}

/** The node may be preparing a file of its own, which would take what is to be left. */
async function untilQuiet(disk) {
  for (let before = -1; before !== freeBytes(disk); ) {
    before = freeBytes(disk);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/** Free bytes below the limit end publishing while there is room, and it begins again above it. */
async function checkLimit(node, disk, user, shards) {
  const mode = shards === 0 ? 'a limit of free bytes' : 'a limit of free bytes, a worker thread';
  const ballast = join(disk, 'ballast');
  await node.start({ shards, isFounding: false, diskFreeMinBytes: FREE_MIN_BYTES });
  const taken = async () => (await user.send()) === undefined;
  await until('the node takes messages', taken, ROOM_WITHIN_MS);
  await untilQuiet(disk);
  while (freeBytes(disk) > FREE_MIN_BYTES / 2) fs.appendFileSync(ballast, Buffer.alloc(1 << 20, 1));
  let refusal;
  const isRefused = async () => {
    refusal = await user.send();
    return refusal !== undefined;
  };
  await until('a send is refused', isRefused, TOLD_WITHIN_MS).catch(() => undefined);
  judgeRefusal(mode, refusal);
  // A worker thread tells the node now and then.
  const isSaid = async () => {
    const status = await (await fetch(`${node.http}/api/status`)).json();
    return status.isDiskShort && status.health === 'degraded';
  };
  const said = await until('its status says so', isSaid, TOLD_WITHIN_MS).catch(() => false);
  judge(`${mode}: its status says so`, said !== false);
  judge(`${mode}: bytes are left`, freeBytes(disk) > 0, `${freeBytes(disk)} bytes`);
  await judgeReading(user, mode, 'below-the-limit');
  fs.rmSync(ballast);
  const isTaken = await until('room is found', taken, ROOM_WITHIN_MS).catch(() => false);
  judge(`${mode}: above it the node takes messages`, isTaken);
}

export async function checkFullDisk() {
  for (const shards of [0, 1]) {
    const folder = freshFolder('callboard-full-');
    const disk = join(folder, 'disk');
    fs.mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'callboard', disk]);
    const node = await LoneNode.make(folder, join(disk, 'data'));
    try {
      await checkWith(node, disk, shards);
    } catch (error) {
      console.error(node.log.split('\n').slice(-30).join('\n'));
      throw error;
    } finally {
      await node.kill();
      execFileSync('umount', [disk]);
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }
}
