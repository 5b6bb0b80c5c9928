// Names that clients give: topics, groups, tag expressions, and what of them is refused. A namespace stands
// before the name with a percent sign, as in RocketMQ.
import type { TagFilter } from './ports.ts';
import { Refusal } from './refusal.ts';
import { Code, FilterType } from './schema/enums.ts';

interface ResourceName {
  readonly resourceNamespace: string;
  readonly name: string;
}

/** RocketMQ's own alphabet, and the dot, which other protocols' topics may have. */
const NAME = /^[%|a-zA-Z0-9._-]+$/;
const TOPIC_CHARS_MAX = 127;
const GROUP_CHARS_MAX = 255;

function fullName({ resourceNamespace, name }: ResourceName): string {
  return resourceNamespace === '' ? name : `${resourceNamespace}%${name}`;
}

function refuseName(name: string, what: string, charsMax: number): string | undefined {
  if (name.trim() === '') return `a ${what} has a name`;
  if (name.length > charsMax) return `the name of a ${what} has at most ${charsMax} characters`;
  if (NAME.test(name)) return undefined;
  return `the name of a ${what} consists of letters, digits, "%", "|", ".", "_" and "-"`;
}

export function topicName(resource: ResourceName | undefined): string | Refusal {
  const name = resource === undefined ? '' : fullName(resource);
  const reason = refuseName(name, 'topic', TOPIC_CHARS_MAX);
  return reason === undefined ? name : new Refusal(Code.ILLEGAL_TOPIC, reason);
}

export function groupName(resource: ResourceName | undefined): string | Refusal {
  const name = resource === undefined ? '' : fullName(resource);
  const reason = refuseName(name, 'group', GROUP_CHARS_MAX);
  return reason === undefined ? name : new Refusal(Code.ILLEGAL_CONSUMER_GROUP, reason);
}

/** In the words of the name server, which clients' tests look for. */
export function topicNotFound(name: string): Refusal {
  return new Refusal(
    Code.TOPIC_NOT_FOUND,
    `CODE: 17  DESC: No topic route info in name server for the topic: ${name}`,
  );
}

const EXPRESSION_CHARS_MAX = 4096;

/** `a || b` is two tags, `*` and nothing are all messages. */
export function tagFilter(
  filter: { readonly type: number; readonly expression: string } | undefined,
): { readonly tags: TagFilter } | Refusal {
  const illegal = (reason: string): Refusal => new Refusal(Code.ILLEGAL_FILTER_EXPRESSION, reason);
  const expression = filter?.expression.trim() ?? '';
  if (filter?.type === FilterType.SQL) return illegal('SQL expressions are not served');
  if (expression === '' || expression === '*') return { tags: undefined };
  if (expression.length > EXPRESSION_CHARS_MAX) {
    return illegal(`an expression has at most ${EXPRESSION_CHARS_MAX} characters`);
  }
  const tags = new Set(
    expression
      .split('||')
      .map((tag) => tag.trim())
      .filter((tag) => tag !== ''),
  );
  if (tags.size === 0) return illegal('an expression of tags names one');
  for (const tag of tags) {
    if (tag.includes('|')) return illegal('tags are separated by "||"');
  }
  return { tags };
}
