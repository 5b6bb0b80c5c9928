// A node that is to join asks members, one after the other, who the cluster is, until one of them takes it in. From then
// on it is a node as any: a newcomer to the metadata group, registered by itself, known to the others by the metadata.
// Nothing is written here: a node that is refused leaves its folder as it was.
import { introduce } from '../actors/links/introduction.ts';
import { decodeNodeFile, NODE_FILE, type NodeFile } from '../cluster/node-file.ts';
import { CodecError } from '../codec/index.ts';
import type { Environment } from '../env/environment.ts';
import {
  type AdmissionAnswer,
  answerCodec,
  METADATA_FORMATS,
  rememberedOf,
  requestCodec,
} from './admission.ts';
import { type Remembered, rememberedIn } from './members.ts';
import type { JoinAddress, NodeConfig } from './node-config.ts';
import { JoinError, type JoinErrorCode, NodeConfigError, RemovedError } from './node-errors.ts';
import { PROTOCOLS } from './protocols.ts';
import { VERSION } from './version.ts';

const RETRY_MS = 250;
/** A node of that number that was killed counts as live until it is fenced. */
const LIVE_GRACE_MS = 4_000;

type Failure = Extract<Outcome, { kind: 'failed' }>;

export interface Membership {
  readonly config: NodeConfig;
  /** What a member has just said. */
  readonly introduced?: Remembered;
}

type Outcome =
  | Extract<AdmissionAnswer, { kind: 'welcome' }>
  | {
      readonly kind: 'failed';
      readonly error: JoinError | RemovedError;
      readonly isFinal: boolean;
      /** Said by somebody who has proved to know the token. */
      readonly isProved: boolean;
    };

/**
 * The configuration with the cluster's id. Members are asked if it names any; without them the folder must know.
 * `joinMs`: for how long members are asked that cannot be reached, or cannot say yes yet. A cluster id that is configured
 * has to be that of the members.
 *
 * @throws JoinError, NodeConfigError, RemovedError (NODE_REMOVED).
 */
export async function membershipOf(
  env: Environment,
  config: NodeConfig,
  joinMs: number,
): Promise<Membership> {
  const { join = [], clusterId, nodeId } = config;
  if (join.length === 0 && clusterId !== '') return { config };
  const stored = storedIn(env);
  const known = stored === undefined ? undefined : knownConfig(config, stored);
  if (join.length === 0 || (stored !== undefined && stored.nodeId !== nodeId)) {
    const isOther = stored !== undefined && stored.nodeId !== nodeId;
    if (known !== undefined && (isOther || rememberedIn(env) !== undefined)) return known;
    throw new NodeConfigError(
      `node ${nodeId} knows no member: name one to join (--join HOST:PORT); ` +
        `the folder ${env.disk.root} does not remember any`,
    );
  }
  const outcome = await askUntilWelcome(env, config, stored, joinMs);
  if (outcome.kind === 'welcome') {
    if (clusterId !== '' && clusterId !== outcome.clusterId) {
      throw new NodeConfigError(
        `the configuration names cluster ${clusterId}, and the member that was asked is of ${outcome.clusterId}: ` +
          'a node that joins leaves clusterId out',
      );
    }
    const found = { ...config, clusterId: outcome.clusterId, isFounding: false };
    return { config: found, introduced: rememberedOf(outcome) };
  }
  // It was a member, and its folder knows others than those that were named. Whoever has the port of one of these now
  // can refuse: that ends nothing without a proof.
  const isSure = outcome.isFinal && outcome.isProved;
  const mayGoOn = known !== undefined && !isSure && rememberedIn(env) !== undefined;
  if (!mayGoOn) throw outcome.error;
  env.log.warn(
    'no member that was named takes this node in: those that the folder knows are asked',
    {
      why: outcome.error.message,
    },
  );
  return known;
}

/** What a folder says that cannot be read is said when the folder is opened. */
function storedIn(env: Environment): NodeFile | undefined {
  const bytes = env.disk.readFile(NODE_FILE);
  const read = bytes === undefined ? undefined : decodeNodeFile(bytes);
  return read?.kind === 'ok' ? read.file : undefined;
}

/** Another cluster id than that of the folder is refused when the folder is opened. */
function knownConfig(config: NodeConfig, stored: NodeFile): Membership {
  const clusterId = config.clusterId === '' ? stored.clusterId : config.clusterId;
  return { config: { ...config, clusterId, isFounding: false } };
}

async function askUntilWelcome(
  env: Environment,
  config: NodeConfig,
  stored: NodeFile | undefined,
  joinMs: number,
): Promise<Outcome> {
  const { join = [] } = config;
  const graceMs = Math.min(LIVE_GRACE_MS, joinMs);
  const startMs = env.clock.monotonicMs();
  for (;;) {
    const failures: Failure[] = [];
    for (const to of join) {
      const outcome = await askOne(env, config, to, stored);
      if (outcome.kind === 'welcome') {
        env.log.info('taken in', { by: `${to.host}:${to.port}`, cluster: outcome.clusterId });
        return outcome;
      }
      const isTaken = outcome.error.code === 'NODE_JOIN_ID_TAKEN';
      const sinceMs = env.clock.monotonicMs() - startMs;
      const isEarly = isTaken && sinceMs < graceMs;
      failures.push(isEarly ? { ...outcome, isFinal: false } : outcome);
    }
    const isOver = env.clock.monotonicMs() - startMs >= joinMs;
    const final = finalOf(failures, isOver);
    if (final !== undefined) return final;
    await new Promise<void>((resolve) => {
      env.timers.at(env.clock.monotonicMs() + RETRY_MS, resolve);
    });
  }
}

/**
 * All that were named have answered or not. What a member says counts; a refusal without its proof does when nobody
 * else is left who may say otherwise.
 */
function finalOf(failures: readonly Failure[], isOver: boolean): Failure | undefined {
  const proved = failures.find(({ isFinal, isProved }) => isFinal && isProved);
  if (proved !== undefined) return proved;
  const refused = failures.find(({ isFinal }) => isFinal);
  if (isOver) return refused ?? failures.at(-1);
  return failures.every(({ isFinal }) => isFinal) ? refused : undefined;
}

async function askOne(
  env: Environment,
  { nodeId: node, token }: NodeConfig,
  to: JoinAddress,
  stored: NodeFile | undefined,
): Promise<Outcome> {
  const where = `${to.host}:${to.port}`;
  const request = {
    node,
    incarnation: stored?.dataIncarnation ?? stored?.incarnation ?? 0,
    version: VERSION,
    formats: METADATA_FORMATS,
  };
  const bytes = new Uint8Array(requestCodec.size(request));
  requestCodec.encode(request, bytes, 0);
  const heard = await introduce({ env, to, token, node, protocols: PROTOCOLS, request: bytes });
  if (heard.kind === 'failed') {
    return failed('NODE_JOIN_UNREACHABLE', `no member answers at ${where}: ${heard.reason}`, false);
  }
  if (heard.kind === 'refused') return refusedBy(where, heard.why, heard.reason);
  let answer: AdmissionAnswer;
  try {
    answer = answerCodec.decode(heard.answer, 0, heard.answer.length);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return proved('NODE_JOIN_VERSION', `${where} answers as another version does`);
  }
  if (answer.kind === 'welcome') return answer;
  if (answer.kind === 'later') {
    return failed(
      'NODE_JOIN_UNREACHABLE',
      `${where} cannot take nodes in: ${answer.message}`,
      false,
    );
  }
  if (answer.code === 'NODE_REMOVED') {
    const error = new RemovedError(node, env.disk.root);
    return { kind: 'failed', error, isFinal: true, isProved: true };
  }
  return proved(answer.code, answer.message);
}

function refusedBy(where: string, why: string, reason: string): Outcome {
  if (why === 'token') {
    const what = 'it is another one than that of the cluster (`callboard cluster token`)';
    return failed('NODE_JOIN_TOKEN', `${where} refuses the token: ${what}`, true);
  }
  if (why === 'protocols') {
    const what = 'all nodes of a cluster are of one version';
    return failed('NODE_JOIN_VERSION', `${where} speaks otherwise: ${reason}; ${what}`, true);
  }
  return failed('NODE_JOIN_REFUSED', `${where} does not take this node in: ${reason}`, true);
}

function failed(code: JoinErrorCode, message: string, isFinal: boolean): Outcome {
  return { kind: 'failed', error: new JoinError(code, message), isFinal, isProved: false };
}

function proved(code: JoinErrorCode, message: string): Outcome {
  return { kind: 'failed', error: new JoinError(code, message), isFinal: true, isProved: true };
}
