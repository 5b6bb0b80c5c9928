// What a run looked like over time: acknowledged messages by lane, and the faults. Pure but for the caller's clock;
// drawn as an SVG and as strips of text.

const BIN_MS = 100;
const STRIP_WIDTH_MAX = 120;
const BARS = ' ▁▂▃▄▅▆▇█';
const COLORS = {
  kill: '#d62728',
  killAll: '#7f0000',
  pause: '#9467bd',
  fill: '#8c564b',
  cut: '#ff7f0e',
  bridge: '#e377c2',
  mute: '#bcbd22',
  deafen: '#17becf',
  isolate: '#1f77b4',
};

export class Timeline {
  #startMs;
  #lanes = new Map();
  faults = [];

  constructor(lanes, startMs) {
    this.#startMs = startMs;
    for (const lane of lanes) this.#lanes.set(lane, { bins: [], latencies: [] });
  }

  acknowledged(lane, count, latencyMs, atMs) {
    const { bins, latencies } = this.#lanes.get(lane);
    const bin = Math.max(0, Math.floor((atMs - this.#startMs) / BIN_MS));
    bins[bin] = (bins[bin] ?? 0) + count;
    latencies.push(latencyMs);
  }

  fault(part, text, startMs, endMs) {
    const at = { startMs: startMs - this.#startMs, endMs: endMs - this.#startMs };
    this.faults.push({ kind: part.kind, text, ...at });
  }

  /** The longest time without an acknowledgement that began or lay between the two, in ms: by lane. */
  gaps(startMs, endMs) {
    const first = Math.max(0, Math.floor((startMs - this.#startMs) / BIN_MS));
    const last = Math.floor((endMs - this.#startMs) / BIN_MS);
    return [...this.#lanes].map(([lane, { bins }]) => {
      let longest = 0;
      let length = 0;
      for (let bin = first; bin < last; bin += 1) {
        length = (bins[bin] ?? 0) > 0 ? 0 : length + 1;
        if (length > longest) longest = length;
      }
      return { lane, gapMs: longest * BIN_MS };
    });
  }

  /** By lane: milliseconds from a send that was acknowledged to its answer. */
  latencies() {
    return [...this.#lanes].map(([lane, { latencies }]) => {
      const sorted = Float64Array.from(latencies).sort();
      const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
      return { lane, p50: at(0.5), p99: at(0.99), max: at(1) };
    });
  }

  /** Acknowledged a second in `width` equal parts of the run. */
  #rates(bins, width, endMs) {
    const rates = new Array(width).fill(0);
    for (const [bin, count] of bins.entries()) {
      const at = Math.floor((bin * BIN_MS * width) / endMs);
      if (count !== undefined && at < width) rates[at] += count;
    }
    return rates.map((count) => (count * 1_000 * width) / endMs);
  }

  #lengthMs() {
    const ends = this.faults.map(({ endMs }) => endMs);
    return Math.max(
      1_000,
      ...ends,
      ...[...this.#lanes.values()].map((l) => l.bins.length * BIN_MS),
    );
  }

  /** A line of bars a lane, and one with the first letter of each fault. */
  strips() {
    const lengthMs = this.#lengthMs();
    const width = Math.min(STRIP_WIDTH_MAX, Math.ceil(lengthMs / 1_000));
    const pad = Math.max(...[...this.#lanes.keys()].map((lane) => lane.length), 6) + 2;
    const lines = [...this.#lanes].map(([lane, { bins }]) => {
      const rates = this.#rates(bins, width, lengthMs);
      const most = Math.max(...rates, 1);
      const bar = (rate) =>
        BARS[rate === 0 ? 0 : 1 + Math.floor((rate / most) * (BARS.length - 2))];
      return `${lane.padEnd(pad)}${rates.map(bar).join('')}  up to ${Math.round(most)}/s`;
    });
    const marks = new Array(width).fill(' ');
    for (const { kind, startMs, endMs } of this.faults) {
      const first = Math.floor((startMs * width) / lengthMs);
      const last = Math.max(first, Math.floor((endMs * width) / lengthMs) - 1);
      const mark = kind === 'killAll' ? 'A' : kind[0];
      for (let i = first; i <= last && i < width; i += 1) marks[i] = mark;
    }
    const legend = Object.keys(COLORS).map(
      (kind) => `${kind === 'killAll' ? 'A' : kind[0]} ${kind}`,
    );
    return [
      ...lines,
      `${'faults'.padEnd(pad)}${marks.join('')}`,
      `${''.padEnd(pad)}${legend.join(', ')}`,
    ];
  }

  svg(title) {
    const [left, width, row, top] = [110, 1_400, 90, 40];
    const lengthMs = this.#lengthMs();
    const height = top + row * this.#lanes.size;
    const x = (ms) => (left + (ms / lengthMs) * width).toFixed(1);
    const parts = [];
    for (const { kind, text, startMs, endMs } of this.faults) {
      const wide = Math.max(1, ((endMs - startMs) / lengthMs) * width).toFixed(1);
      parts.push(
        `<rect x="${x(startMs)}" y="${top}" width="${wide}" height="${height - top}" ` +
          `fill="${COLORS[kind]}" opacity="0.25"><title>${text}</title></rect>`,
      );
    }
    const columns = Math.min(width, Math.ceil(lengthMs / 500));
    let y = top;
    for (const [lane, { bins }] of this.#lanes) {
      const rates = this.#rates(bins, columns, lengthMs);
      const most = Math.max(...rates, 1);
      const base = y + row - 12;
      const points = rates.map(
        (rate, i) =>
          `${x(((i + 0.5) * lengthMs) / columns)},${(base - (rate / most) * (row - 24)).toFixed(1)}`,
      );
      parts.push(
        `<text x="4" y="${y + row / 2}">${lane}</text>`,
        `<text x="4" y="${y + row / 2 + 14}" fill="#666">${Math.round(most)}/s</text>`,
        `<polyline fill="none" stroke="#222" points="${points.join(' ')}"/>`,
        `<line x1="${left}" x2="${left + width}" y1="${base}" y2="${base}" stroke="#bbb"/>`,
      );
      y += row;
    }
    const step = lengthMs > 240_000 ? 60_000 : 10_000;
    for (let ms = 0; ms <= lengthMs; ms += step) {
      parts.push(`<text x="${x(ms)}" y="${height + 16}" fill="#666">${ms / 1_000} s</text>`);
    }
    let key = left;
    for (const [kind, color] of Object.entries(COLORS)) {
      parts.push(
        `<rect x="${key}" y="${height + 28}" width="12" height="12" fill="${color}" opacity="0.5"/>`,
        `<text x="${key + 16}" y="${height + 38}">${kind}</text>`,
      );
      key += 90;
    }
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${left + width + 60}" height="${height + 60}" ` +
      `font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>` +
      `<text x="4" y="20" font-size="14">${title}</text>${parts.join('')}</svg>\n`
    );
  }
}
