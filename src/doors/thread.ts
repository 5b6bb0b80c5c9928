// What a worker of `startThreads` runs: it loads the manifest, compares it with thread 0's and waits for actors.
import { ActorError } from '../actors/errors.ts';
import { joinThreadGroup } from '../actors/threads/member.ts';
import type { MemberBoot } from '../actors/threads/membership.ts';
import { importModule } from '../env/node/import-module.ts';
import { createActorEnvironment } from './actor-environment.ts';
import { actorDifference, actorSummaries, readManifest } from './manifest.ts';
import type { ManifestBoot } from './threads.ts';

const env = createActorEnvironment();
const { manifest, actors, limits } = (env.threads.boot.data as MemberBoot).app as ManifestBoot;
const manifested = readManifest(await importModule(new URL(manifest)), manifest);
const difference = actorDifference(actorSummaries(manifested), actors);
if (difference !== undefined) {
  throw new ActorError(
    'ACTOR_MISUSE',
    `${manifest} as a worker has loaded it does not fit what thread 0 was given: ${difference}`,
  );
}
joinThreadGroup(env, {
  protocols: manifested.protocols,
  manifest: manifested.actors,
  limits,
}).ready();
