// `npm run demo`: real data through three protocols while a node is killed, and books that are checked.
// Exit code 1 on any loss, change or reorder, or when the killed node does not come back in sync.
import { parseArgs } from 'node:util';
import { Act } from './act.mjs';
import { loadCities } from './cities.mjs';
import { ledgerLines, Screen } from './screen.mjs';

const USAGE = `npm run demo -- [options]
  --records N         how many cities, the biggest first (default 20000)
  --queue-replicas N  one run with so many replicas of the queue (default: a run with the
                      default, and one with 1)
  --kill-after PART   the part of the confirms after which the node is killed (default 0.5)
  --shards N          worker threads per node (default: as npm start)
  --json              the ledgers as one line of JSON on stdout; all else goes to stderr`;

function optionsOf(args) {
  const { values } = parseArgs({
    args,
    options: {
      records: { type: 'string', default: '20000' },
      'queue-replicas': { type: 'string' },
      'kill-after': { type: 'string', default: '0.5' },
      shards: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const count = (name, min, max) => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new Error(`--${name} ${values[name]} is not a whole number from ${min} to ${max}`);
  };
  const killAfter = Number(values['kill-after']);
  if (!(killAfter > 0 && killAfter < 1)) {
    throw new Error(`--kill-after ${values['kill-after']} is not between 0 and 1`);
  }
  const replicas = values['queue-replicas'];
  return {
    records: count('records', 100, 130_000),
    runs: replicas === undefined ? [undefined, 1] : [count('queue-replicas', 1, 3)],
    killAfter,
    shards: values.shards === undefined ? 'default' : count('shards', 0, 64),
    isJson: values.json,
    isHelp: values.help,
  };
}

function titleOf(queueReplicas) {
  if (queueReplicas === 1) return 'normal mode: the queue is on one node only, topics on three';
  return 'the queue and the topics have replicas on three nodes';
}

let act;
let isInterrupted = false;

async function perform(options, screen) {
  const messages = loadCities(options.records);
  const results = [];
  for (const queueReplicas of options.runs) {
    if (isInterrupted) break;
    screen.plain(`\n== ${titleOf(queueReplicas)} ==`);
    act = new Act({ ...options, messages, queueReplicas }, screen);
    let isGood = false;
    try {
      const result = await act.run();
      for (const line of ledgerLines(result)) screen.plain(line);
      const { ledger, isBack } = result;
      isGood = ledger.faults === 0 && ledger.confirmed === messages.length && isBack;
      results.push({ queueReplicas: queueReplicas ?? 'default', isGood, ...result });
    } finally {
      await act.end(!isGood);
    }
  }
  return results;
}

async function main() {
  let options;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (options.isHelp) {
    console.log(USAGE);
    return 0;
  }
  const screen = new Screen(options.isJson ? process.stderr : process.stdout);
  const interrupt = () => {
    if (isInterrupted) return;
    isInterrupted = true;
    screen.mute('interrupted: ending clients and nodes');
    void (act?.abort() ?? Promise.resolve()).then(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, interrupt);
  const results = await perform(options, screen);
  if (isInterrupted) return new Promise(() => undefined);
  const isGood = results.every((result) => result.isGood);
  screen.plain(
    `\ndemo: ${isGood ? 'nothing that was confirmed is lost, changed or out of order' : 'FAILED'}`,
  );
  if (options.isJson) console.log(JSON.stringify({ isGood, runs: results }));
  return isGood ? 0 : 1;
}

try {
  process.exit(await main());
} catch (error) {
  if (isInterrupted) await new Promise(() => undefined);
  console.error(error.stack);
  process.exit(1);
}
