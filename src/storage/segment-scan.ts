// Walks over the batches of one segment that answer what its index alone does not.
import type { TimestampPlace } from './api.ts';
import { SEGMENT_HEADER_BYTES, type Segment } from './segment.ts';

/** Where the first batch lies that ends above `offset`. */
export function firstAbove(segment: Segment, offset: number): number {
  let position = SEGMENT_HEADER_BYTES;
  if (segment.baseOffset >= offset) return position;
  segment.scan(segment.index().positionForOffset(offset), 0, (place) => {
    ({ position } = place);
    return place.nextOffset <= offset;
  });
  return position;
}

export function latestAbove(
  segment: Segment,
  offset: number,
  best: TimestampPlace | undefined,
): TimestampPlace | undefined {
  let found = best;
  segment.scan(segment.index().positionForOffset(offset), 0, (place) => {
    const { baseOffset, maxTimestampMs, nextOffset } = place;
    if (nextOffset > offset && maxTimestampMs > (found?.maxTimestampMs ?? -1)) {
      found = { baseOffset, maxTimestampMs };
    }
  });
  return found;
}
