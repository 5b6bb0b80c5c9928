// One `callboard server` of its own, without `dev`, which would want room for files of its own. What it logs
// comes to this process, so that its data folder alone decides whether there is room.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BIN, freeBasePort, until } from '../lib/dev-cluster.mjs';

export class LoneNode {
  #config;
  #configFile;
  #child;
  #ended;
  log = '';

  /** `folder` takes the configuration, `dataRoot` the data. */
  constructor(folder, dataRoot, basePort) {
    const port = (n) => basePort + 100 * n;
    const ports = { kafkaPort: port(0), linkPort: port(1), httpPort: port(2) };
    const address = {
      id: 1,
      host: '127.0.0.1',
      amqpPort: port(3),
      rocketmqPort: port(4),
      ...ports,
    };
    this.#configFile = join(folder, 'node.json');
    this.#config = { clusterId: 'full', nodeId: 1, nodes: [address], dataRoot, token: 'full' };
    this.broker = `127.0.0.1:${port(0)}`;
    this.http = `http://127.0.0.1:${port(2)}`;
  }

  static async make(folder, dataRoot) {
    return new LoneNode(folder, dataRoot, await freeBasePort(1));
  }

  async start({ shards, isFounding, diskFreeMinBytes = 0 }) {
    const config = { ...this.#config, host: '127.0.0.1', shards, isFounding, diskFreeMinBytes };
    writeFileSync(this.#configFile, JSON.stringify(config));
    this.log = '';
    const child = spawn(process.execPath, [BIN, 'server', '--config', this.#configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('close', resolve));
    child.stderr.on('data', (chunk) => {
      this.log += String(chunk);
    });
    await until(`the node is ready; it logged ${this.log}`, () => {
      if (!this.isUp) throw new Error(`it ended: ${this.log}`);
      return this.log.includes('"event":"ready"');
    });
  }

  get isUp() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async counters() {
    return (await fetch(`${this.http}/api/counters`)).json();
  }

  /** Resolves when the process is gone. */
  async kill() {
    if (this.#child === undefined) return;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
