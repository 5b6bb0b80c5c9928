// Where the running cluster is: the URL that was asked for, or the state file that `dev` keeps in its
// data folder while it runs.
import { DEFAULT_FOLDER, readRunState } from './dev/folder.ts';
import { CliFailure, EXIT } from './failure.ts';

export interface ClusterOptions {
  readonly url?: readonly string[];
  readonly data?: string;
}

/**
 * Base URLs of the nodes, to be tried in order.
 *
 * @throws CliFailure (7) if nothing runs there.
 */
export function clusterUrls(options: ClusterOptions): readonly string[] {
  if (options.url !== undefined && options.url.length > 0) return options.url.map(normalUrl);
  const folder = options.data ?? DEFAULT_FOLDER;
  const state = readRunState(folder);
  if (state === undefined) {
    throw new CliFailure(`no cluster runs on ${folder}`, {
      exitCode: EXIT.unreachable,
      code: 'CLI_NO_CLUSTER',
      hint: 'Start one with `callboard dev`, or name a node with --url http://HOST:PORT.',
    });
  }
  return state.nodes.map((node) => node.http);
}

function normalUrl(text: string): string {
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url)) {
    throw new CliFailure(`${JSON.stringify(text)} is not a URL`, {
      exitCode: EXIT.usage,
      code: 'CLI_USAGE',
      hint: 'For example --url http://localhost:9192',
    });
  }
  return url.replace(/\/+$/, '');
}
