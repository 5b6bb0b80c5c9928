// What the nodes do with what is stored, beside their work for clients, as `callboard status --maintenance` tells it:
// compaction by key, rewriting of segments without what nobody needs, and the scrub. Pure. A node of another version
// may not count all of it: what it does not say is `-`, never 0.
import { durationText, sizeText, table } from './text.ts';

/** Counters of a node as `GET /api/counters` has them; undefined: it does not answer. */
export interface NodeCounters {
  readonly node: number;
  readonly counters: Readonly<Record<string, number>> | undefined;
}

type Find = (name: string) => number | undefined;

export function maintenanceLines(nodes: readonly NodeCounters[]): string[] {
  const states: string[][] = [];
  const passes: string[][] = [];
  for (const { node, counters } of nodes) {
    if (counters === undefined) {
      states.push([String(node), 'does not answer']);
      continue;
    }
    const find: Find = (name) => counters[name];
    states.push([String(node), ...stateCells(find)]);
    passes.push([String(node), 'compaction', ...passCells(find, 'compaction')]);
    passes.push([String(node), 'rewriting', ...passCells(find, 'needless')]);
    passes.push([String(node), 'scrub', ...scrubCells(find)]);
  }
  return [
    ...table([
      ['NODE', 'WAITING', 'RUNNING', 'REWRITTEN', 'FREED', 'SCRUB', 'DAMAGED', 'REPAIRED'],
      ...states,
    ]),
    ...table([
      ['NODE', 'WORK', 'PASSES', 'CUT', 'PER PASS', 'READ', 'WRITTEN', 'RECORDS GONE'],
      ...passes,
    ]),
  ];
}

function stateCells(find: Find): string[] {
  return [
    count(find('compaction.waiting')),
    count(find('compaction.running')),
    count(find('storage.segmentsRewritten')),
    size(find('storage.rewriteFreedBytes')),
    scrubText(find('storage.scrubLogs'), find('storage.scrubLogsLeft')),
    count(find('storage.damagedSegments')),
    count(find('storage.segmentsRepaired')),
  ];
}

function passCells(find: Find, work: string): string[] {
  const passes = find(`${work}.passes`);
  const passMs = find(`${work}.passMs`);
  const isKnown = passes !== undefined && passes > 0 && passMs !== undefined;
  return [
    count(passes),
    count(find(`${work}.passesCut`)),
    isKnown ? durationText(passMs / passes) : '-',
    size(find(`${work}.bytesIn`)),
    size(find(`${work}.bytesOut`)),
    count(find(`${work}.recordsGone`)),
  ];
}

function scrubCells(find: Find): string[] {
  return [count(find('storage.scrubPasses')), '-', '-', size(find('storage.scrubBytes')), '-', '-'];
}

/** Of the shards that are at it. */
function scrubText(logs: number | undefined, left: number | undefined): string {
  if (logs === undefined || left === undefined) return '-';
  return logs === 0 ? 'idle' : `${logs - left} of ${logs} logs`;
}

function count(value: number | undefined): string {
  return value === undefined ? '-' : String(value);
}

function size(value: number | undefined): string {
  return value === undefined ? '-' : sizeText(value);
}
