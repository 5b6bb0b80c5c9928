// What `dev` says: the ready table, the one machine-readable line, and one line per event. Pure text.
import { durationText, shellWord, sizeText, table } from '../text.ts';
import type { RunningEntry, RunState } from './folder.ts';

export interface ReadyReport {
  readonly state: RunState;
  /** How to call this program, as shell words. */
  readonly command: string;
  readonly folder: string;
  readonly folderBytes: number;
  /** Why ports moved. */
  readonly note: string | undefined;
  /** Another `dev` runs this cluster already. */
  readonly isAlreadyRunning: boolean;
}

/** `{"event":"ready","nodes":[...]}`, the only line that --json prints. */
export function readyJson(nodes: readonly RunningEntry[]): string {
  return JSON.stringify({
    event: 'ready',
    nodes: nodes.map(({ id, role, kafka, amqp, rocketmq, http, pid }) => {
      return { id, role, kafka, amqp, rocketmq, http, pid };
    }),
  });
}

export function readyLines(report: ReadyReport): string[] {
  const { state, command } = report;
  const nodes = state.nodes;
  const brokers = nodes.map((node) => `'${node.kafka}'`).join(', ');
  const title = report.isAlreadyRunning
    ? `Callboard ${state.version} is already running, pid ${state.pid}`
    : `Callboard ${state.version}: ${nodes.length === 1 ? '1 node' : `${nodes.length} nodes`} ready in ${durationText(state.readyMs)}`;
  const rows = nodes.map(({ id, role, kafka, amqp, rocketmq, http, pid }) => [
    role === 'disk' ? String(id) : `${id} (${role})`,
    kafka,
    amqp,
    rocketmq,
    http,
    String(pid),
  ]);
  return [
    title,
    ...(report.note === undefined ? [] : [report.note]),
    ...table([['node', 'Kafka', 'AMQP', 'RocketMQ', 'HTTP', 'pid'], ...rows], '  '),
    state.isMemory
      ? 'data    in memory, gone at exit'
      : `data    ${report.folder} (${sizeText(report.folderBytes)})`,
    `kafkajs new Kafka({ brokers: [${brokers}] })`,
    `amqplib connect('${nodes[0]?.amqp ?? ''}')`,
    `rocketmq new Producer({ endpoints: '${nodes[0]?.rocketmq ?? ''}', namespace: '' })`,
    `send    ${command} produce hello --value 'first message'`,
    `read    ${command} consume hello --from earliest`,
    ...(report.isAlreadyRunning ? [] : ['stop    Ctrl-C']),
  ];
}

/** How this program is called from where the user is. */
export function commandText(binPath: string, fromFolder: string): string {
  if (/[\\/]node_modules[\\/]/.test(binPath)) return 'npx callboard';
  const relative = binPath.startsWith(`${fromFolder}/`)
    ? binPath.slice(fromFolder.length + 1)
    : binPath;
  return `node ${shellWord(relative)}`;
}

export function exitText(code: number | null, signal: string | null): string {
  return signal ?? `exit ${code ?? 1}`;
}

export interface Death {
  readonly node: number;
  /** Signal name or `exit N`. */
  readonly how: string;
  /** Undefined: not heard of within the time we wait. */
  readonly moved: { readonly count: number; readonly afterMs: number } | undefined;
  readonly restart: string;
}

export function deathLine({ node, how, moved, restart }: Death): string {
  const leaders =
    moved === undefined
      ? 'its leaders have not moved yet'
      : `${moved.count} ${moved.count === 1 ? 'leader' : 'leaders'} moved in ${durationText(moved.afterMs)}`;
  return `node ${node} died (${how}), ${leaders}, ${restart}`;
}
