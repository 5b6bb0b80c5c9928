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
    };

/**
 * The configuration with the cluster's id. Members are asked if it names any; without them the folder must know.
 * `joinMs`: for how long members are asked that cannot be reached, or cannot say yes yet.
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
    const found = { ...config, clusterId: outcome.clusterId, isFounding: false };
    return { config: found, introduced: rememberedOf(outcome) };
  }
  // It was a member, and its folder knows others than those that were named.
  const mayGoOn = known !== undefined && !outcome.isFinal && rememberedIn(env) !== undefined;
  if (!mayGoOn) throw outcome.error;
  env.log.warn('no member that was named answers: those that the folder knows are asked', {
    why: outcome.error.message,
  });
  return known;
}

/** What a folder says that cannot be read is said when the folder is opened. */
function storedIn(env: Environment): NodeFile | undefined {
  const bytes = env.disk.readFile(NODE_FILE);
  const read = bytes === undefined ? undefined : decodeNodeFile(bytes);
  return read?.kind === 'ok' ? read.file : undefined;
}

function knownConfig(config: NodeConfig, { clusterId }: NodeFile): Membership {
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
    let last: Outcome | undefined;
    for (const to of join) {
      const outcome = await askOne(env, config, to, stored);
      if (outcome.kind === 'welcome') {
        env.log.info('taken in', { by: `${to.host}:${to.port}`, cluster: outcome.clusterId });
        return outcome;
      }
      const isTaken = outcome.error.code === 'NODE_JOIN_ID_TAKEN';
      const sinceMs = env.clock.monotonicMs() - startMs;
      if (outcome.isFinal && (!isTaken || sinceMs >= graceMs)) return outcome;
      last = outcome;
    }
    if (env.clock.monotonicMs() - startMs >= joinMs) return last!;
    await new Promise<void>((resolve) => {
      env.timers.at(env.clock.monotonicMs() + RETRY_MS, resolve);
    });
  }
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
    return failed('NODE_JOIN_VERSION', `${where} answers as another version does`, true);
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
    return { kind: 'failed', error: new RemovedError(node, env.disk.root), isFinal: true };
  }
  return failed(answer.code, answer.message, true);
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
  return { kind: 'failed', error: new JoinError(code, message), isFinal };
}
