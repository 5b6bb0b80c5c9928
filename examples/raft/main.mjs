// Raft alone: a map on three peers in one process. What the core does not know is here: a file for each peer, a
// transport that loses one message in ten, a clock, and the map. The leader dies in the middle, and comes back.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as raft from 'callboard/raft';

const folder = mkdtempSync('raft-');
const founders = raft.configurationOf([1, 2, 3].map((node) => raft.peerOf(node, 1)));
const random = { below: (n) => Math.floor(Math.random() * n) };
const running = new Map();
const network = [];
let nowMs = 0;

/** A peer that starts, or starts again with what its file has. */
function start(self) {
  const file = join(folder, `${self}.log`);
  const { writes } = raft.decodeWrites(existsSync(file) ? readFileSync(file) : Buffer.of());
  const initial = raft.recoverFrom(founders, writes);
  const core = raft.createRaft({ ...raft.RAFT_DEFAULTS, self }, initial, random, nowMs);
  running.set(self, { core, file, map: new Map() });
}

function step(self, input) {
  const { core, file, map } = running.get(self);
  core.step(input, nowMs);
  for (let ready = core.takeReady(); ready !== undefined; ready = core.takeReady()) {
    network.push(...ready.messages.map(raft.encodeMessage));
    const { write, committed } = ready;
    if (write !== undefined) {
      appendFileSync(file, raft.encodeWrite(write), { flush: true });
      core.step({ kind: 'persisted', attempt: write.attempt }, nowMs);
    }
    for (const { kind, data, index } of committed) {
      if (kind === 'command') map.set(...JSON.parse(Buffer.from(data)));
      core.step({ kind: 'applied', index }, nowMs);
    }
  }
}

/** Time passes, messages travel, and the leader proposes once a second, until all have it. */
function set(key, value) {
  const data = Buffer.from(JSON.stringify([key, value]));
  while ([...running.values()].some(({ map }) => map.get(key) !== value)) {
    nowMs += 10;
    for (const [self, { core }] of running) {
      if (core.deadlineMs <= nowMs) step(self, { kind: 'tick' });
      if (!core.status.isReady || nowMs % 1000 !== 0) continue;
      step(self, { kind: 'propose', requestId: 1, data });
    }
    const arriving = network.splice(0).map((bytes) => raft.decodeMessage(bytes));
    for (const message of arriving) {
      const isLost = !running.has(message.to) || random.below(10) === 0;
      if (!isLost) step(message.to, { kind: 'message', message });
    }
  }
  console.log(`${key} is ${value} on ${running.size} peers`);
}

founders.voters.forEach(start);
set('color', 'red');
const [killed] = [...running].find(([, { core }]) => core.status.role === 'leader');
running.delete(killed);
set('color', 'green');
start(killed);
set('size', 'small');
rmSync(folder, { recursive: true });
