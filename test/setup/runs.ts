/**
 * How often a slow property is tried: `full` in .ci/run (CALLBOARD_PROPERTY_RUNS=full) and for whoever works on
 * what it is about, else `quick`. The seeds of the quick ones are the first of the full ones.
 */
export function runs(full: number, quick: number): number {
  const wish = process.env['CALLBOARD_PROPERTY_RUNS'] ?? 'quick';
  if (wish !== 'full' && wish !== 'quick') {
    throw new Error(`CALLBOARD_PROPERTY_RUNS is "full" or "quick", not ${JSON.stringify(wish)}`);
  }
  return wish === 'full' ? full : quick;
}
