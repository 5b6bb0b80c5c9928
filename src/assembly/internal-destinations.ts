// What every cluster has before anybody asks: the group logs and the log that readiness is tried on.
// Made once by the metadata leader, when all founding nodes are there or after a grace.
import {
  GROUP_DESTINATION,
  GROUP_KIND,
  GROUP_LOGS,
  PARTITION_KIND,
  PROBE_DESTINATION,
} from '../broker/destination/kinds.ts';
import type { MetadataImage } from '../cluster/metadata/image.ts';
import type { MetadataResult, MetadataService } from '../cluster/ports.ts';

const WANTED = [
  { name: GROUP_DESTINATION, partitions: GROUP_LOGS, kind: GROUP_KIND },
  { name: PROBE_DESTINATION, partitions: 1, kind: PARTITION_KIND },
] as const;

/** The first one that is missing, if any. */
export function missingDestination(image: MetadataImage): (typeof WANTED)[number] | undefined {
  return WANTED.find(({ name }) => image.destination('/', name) === undefined);
}

/** Makes all that are missing, in one group of the metadata log. */
export async function makeMissing(
  image: MetadataImage,
  metadata: MetadataService,
  timeoutMs: number,
): Promise<void> {
  const missing = WANTED.filter(({ name }) => image.destination('/', name) === undefined);
  const made = missing.map(({ name, partitions, kind }) =>
    metadata.create(
      {
        name,
        partitions,
        kind,
        replicationFactor: -1,
        assignments: [],
        config: [],
        isInternal: true,
        validateOnly: false,
      },
      timeoutMs,
    ),
  );
  await Promise.all(made);
}

/** What producing to an unknown name makes, where that is allowed. */
export function autoCreate(
  metadata: MetadataService,
  name: string,
  timeoutMs: number,
): Promise<MetadataResult> {
  return metadata.create(
    {
      name,
      partitions: -1,
      kind: PARTITION_KIND,
      replicationFactor: -1,
      assignments: [],
      config: [],
      isInternal: false,
      validateOnly: false,
    },
    timeoutMs,
  );
}
