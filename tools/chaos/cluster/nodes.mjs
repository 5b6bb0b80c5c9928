// Three nodes as processes of `callboard server`, each with a configuration of its own in which the others' links
// are the wires of the network between them, and each with a disk of its own where this machine mounts one.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { BIN, delay, freeBasePort, until } from '../../lib/dev-cluster.mjs';
import { Network } from './network.mjs';

const HOST = '127.0.0.1';
const READY_TIMEOUT_MS = 120_000;
const STATUS_TIMEOUT_MS = 2_000;

/** Not a byte is left; answers the end of it. */
function fill(disk) {
  const path = join(disk, 'ballast');
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
  return path;
}

export class Nodes {
  #folder;
  #shards;
  #network;
  #addresses = [];
  /** By id: the process, and where its disk is mounted. */
  #children = new Map();
  #disks = new Map();
  #isFounding = true;
  #isStopping = false;
  /** Processes that ended of themselves, as sentences. */
  deaths = [];
  /** Why there is no disk to fill, or undefined. */
  diskFault;

  constructor(folder, shards) {
    this.#folder = folder;
    this.#shards = shards;
  }

  static async start({ folder, nodes, shards, diskMegabytes }) {
    const cluster = new Nodes(folder, shards);
    const base = await freeBasePort(nodes);
    for (let id = 1; id <= nodes; id += 1) {
      const port = (run) => base + 100 * run + id - 1;
      const ports = { kafkaPort: port(0), httpPort: port(1), linkPort: port(2) };
      const more = { amqpPort: port(3), rocketmqPort: port(4) };
      cluster.#addresses.push({ id, host: HOST, ...ports, ...more });
      cluster.#makeDisk(id, diskMegabytes);
    }
    const links = cluster.#addresses.map(({ id, linkPort }) => [id, linkPort]);
    cluster.#network = await Network.make(new Map(links));
    try {
      await Promise.all(cluster.ids.map((id) => cluster.begin(id)));
      await until('all nodes are well', () => cluster.isWell(), READY_TIMEOUT_MS);
      cluster.#isFounding = false;
      cluster.judgeWires();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get ids() {
    return this.#addresses.map(({ id }) => id);
  }

  get network() {
    return this.#network;
  }

  addressesOf(protocol) {
    return this.#addresses.map((address) => `${HOST}:${address[`${protocol}Port`]}`);
  }

  #makeDisk(id, megabytes) {
    const disk = join(this.#folder, `disk-${id}`);
    fs.mkdirSync(disk, { recursive: true });
    const args = ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'callboard', disk];
    const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
    if (status === 0) this.#disks.set(id, disk);
    else this.diskFault = error?.message ?? stderr.split('\n')[0];
  }

  /** @throws if two nodes did not talk over their wires `since` then: a cut of them would be no fault at all. */
  judgeWires(since) {
    const bytes = this.#network.bytes();
    const carried = (way) => bytes.get(way) - (since?.get(way) ?? 0);
    for (const a of this.ids) {
      for (const b of this.ids) {
        if (a < b && carried(`${a}>${b}`) + carried(`${b}>${a}`) === 0) {
          throw new Error(`nodes ${a} and ${b} do not talk over the wires of this run`);
        }
      }
    }
  }

  /** Starts a node's process and answers when it listens or has ended. */
  async begin(id) {
    const nodes = this.#addresses.map((address) =>
      address.id === id ? address : { ...address, linkPort: this.#network.portOf(id, address.id) },
    );
    const config = {
      clusterId: 'chaos',
      nodeId: id,
      nodes,
      dataRoot: join(this.#folder, `disk-${id}`, 'data'),
      host: HOST,
      shards: this.#shards,
      token: 'chaos',
      isFounding: this.#isFounding,
      // Only a disk that is full ends publishing: what is tried here is the end of it.
      diskFreeMinBytes: 0,
    };
    const file = join(this.#folder, `node-${id}.json`);
    fs.writeFileSync(file, JSON.stringify(config));
    const log = fs.openSync(join(this.#folder, `node-${id}.log`), 'a');
    const child = spawn(process.execPath, [BIN, 'server', '--config', file], {
      stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    const state = { child, isMeant: false };
    state.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (!state.isMeant && !this.#isStopping) {
          this.deaths.push(`node ${id} ended of itself with ${signal ?? code}`);
        }
        resolve();
      });
    });
    this.#children.set(id, state);
  }

  async kill(id) {
    const state = this.#children.get(id);
    state.isMeant = true;
    state.child.kill('SIGKILL');
    await state.ended;
  }

  signal(id, signal) {
    this.#children.get(id).child.kill(signal);
  }

  /** Answers what gives the room back. */
  fill(id) {
    const disk = this.#disks.get(id);
    const ballast = fill(disk);
    return () => fs.rmSync(ballast);
  }

  /** All nodes are there, every log has a leader and all its replicas. */
  async isWell() {
    const all = await Promise.all(
      this.addressesOf('http').map(async (address) => {
        const signal = AbortSignal.timeout(STATUS_TIMEOUT_MS);
        return (await fetch(`http://${address}/api/status`, { signal })).json();
      }),
    );
    return all.every(({ health }) => health === 'ok');
  }

  async stop() {
    this.#isStopping = true;
    for (const { child } of this.#children.values()) {
      child.kill('SIGKILL');
      child.kill('SIGCONT');
    }
    await Promise.all([...this.#children.values()].map(({ ended }) => ended));
    this.#network?.close();
  }

  /** Gives the disks back, and with them the data. */
  async unmount() {
    for (const disk of this.#disks.values()) {
      // Who was killed a moment ago may still hold it.
      for (let tries = 0; tries < 20; tries += 1) {
        if (spawnSync('umount', [disk], { stdio: 'ignore' }).status === 0) break;
        await delay(100);
      }
    }
  }
}
