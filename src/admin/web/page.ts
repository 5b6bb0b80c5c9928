// The status page: one static document that refreshes itself from the JSON API. No assets, no
// packages, no network beyond its own origin; every value enters the document as text, never as markup.

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --dim: #888; --ok: #2a9d4a; --bad: #d33; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .4rem }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap }
header span, .dim { color: var(--dim) } .ok { color: var(--ok) } .bad { color: var(--bad) }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: var(--dim) }
th, td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto }
`;

const SCRIPT = `
'use strict';
const REFRESH_MS = 1000;
let before = new Map(), beforeAt = 0;
const number = (n) => n < 0 ? '-' : n.toLocaleString('en');
function cell(row, text, kind) {
  const td = document.createElement('td');
  td.textContent = text;
  if (kind) td.className = kind;
  row.append(td);
}
function fill(id, rows) {
  const body = document.getElementById(id);
  body.replaceChildren(...rows);
}
function nodeRow(node, controllerId) {
  const row = document.createElement('tr');
  cell(row, String(node.id));
  cell(row, node.isLive ? 'live' : 'down', node.isLive ? 'ok' : 'bad');
  cell(row, node.role + (node.id === controllerId ? ', controller' : ''));
  cell(row, node.host + ':' + node.kafkaPort);
  cell(row, node.host + ':' + node.amqpPort);
  cell(row, node.host + ':' + node.rocketmqPort); cell(row, node.host + ':' + node.httpPort);
  cell(row, node.pid > 0 ? String(node.pid) : '', 'n');
  cell(row, number(node.leaderCount), 'n'); cell(row, number(node.replicaCount), 'n');
  return row;
}
function partitionRow(d, p, rate) {
  const row = document.createElement('tr');
  cell(row, d.name); cell(row, d.durability); cell(row, String(p.partition), 'n');
  cell(row, p.leader < 0 ? 'none' : String(p.leader), p.leader < 0 ? 'bad n' : 'n');
  const wanted = p.replicas.length - p.observers.length;
  cell(row, p.isr.join(' ') + (p.isr.length < wanted ? ' of ' + wanted : '') +
    (p.failed.length > 0 ? ', failed: ' + p.failed.join(' ') : ''), p.isr.length < wanted ? 'bad' : '');
  cell(row, number(p.startOffset), 'n'); cell(row, number(p.highWatermark), 'n');
  cell(row, number(p.logEndOffset), 'n');
  cell(row, number(p.logEndOffset - p.highWatermark), 'n');
  cell(row, rate === undefined ? '' : number(Math.round(rate)) + '/s', 'n');
  return row;
}
async function refresh() {
  const note = document.getElementById('note');
  try {
    const status = await (await fetch('/api/status')).json();
    const { destinations } = await (await fetch('/api/destinations')).json();
    const now = performance.now(), seconds = (now - beforeAt) / 1000, next = new Map();
    document.getElementById('cluster').textContent = status.clusterId;
    document.getElementById('version').textContent = 'callboard ' + status.version;
    fill('nodes', status.nodes.map((n) => nodeRow(n, status.controllerId)));
    const rows = [];
    for (const d of destinations) for (const p of d.partitions) {
      const key = d.name + '/' + p.partition, seen = before.get(key);
      next.set(key, p.logEndOffset);
      rows.push(partitionRow(d, p, seen === undefined ? undefined : Math.max(0, (p.logEndOffset - seen) / seconds)));
    }
    fill('partitions', rows);
    before = next; beforeAt = now;
    note.textContent = ''; note.className = 'dim';
  } catch (error) {
    note.textContent = 'this node does not answer: ' + error.message; note.className = 'bad';
  }
  setTimeout(refresh, REFRESH_MS);
}
refresh();
`;

/** The whole document. */
export const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Callboard</title>
<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head>
<body><header><h1>Callboard</h1><span id="cluster"></span><span id="version"></span><span id="note"></span></header>
<h2>Nodes</h2><div class="scroll"><table><thead><tr><th>node<th>state<th>role<th>Kafka<th>AMQP<th>RocketMQ<th>HTTP
<th class="n">pid<th class="n">leads<th class="n">replicas</thead><tbody id="nodes"></tbody></table></div>
<h2>Destinations</h2><div class="scroll"><table><thead><tr><th>name<th>durability<th class="n">partition<th class="n">leader<th>in sync
<th class="n">start<th class="n">high watermark<th class="n">end<th class="n">uncommitted<th class="n">rate</thead>
<tbody id="partitions"></tbody></table></div>
<script>${SCRIPT}</script></body></html>
`;
