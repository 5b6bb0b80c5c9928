// Bytes of the commands about exchanges, bindings and queues; see `command-codec.ts` for the frame.
import type { CommandCodec } from './command-codec.ts';
import type { RoutingCommand } from './routing-commands.ts';
import {
  readBinding,
  readExchange,
  readFlags,
  readOwner,
  readQueueRules,
  writeBinding,
  writeExchange,
  writeFlags,
  writeOwner,
  writeQueueRules,
} from './routing-fields.ts';

export const ROUTING_CODECS: {
  readonly [K in RoutingCommand['kind']]: CommandCodec<K>;
} = {
  'declare-exchange': { code: 17, write: writeExchange, read: readExchange },
  'delete-exchange': {
    code: 18,
    write(out, command) {
      out.text(command.vhost);
      out.text(command.name);
      writeFlags(out, [command.ifUnused]);
    },
    read(input) {
      const vhost = input.text();
      const name = input.text();
      return { vhost, name, ifUnused: readFlags(input, 1)[0]! };
    },
  },
  bind: { code: 19, write: writeBinding, read: readBinding },
  unbind: { code: 20, write: writeBinding, read: readBinding },
  'declare-queue': {
    code: 21,
    write(out, command) {
      out.text(command.vhost);
      out.text(command.name);
      out.sized(command.topicId);
      out.varI53(command.node);
      writeQueueRules(out, command);
      out.varI53(command.replicationFactor);
    },
    read(input) {
      const name = { vhost: input.text(), name: input.text() };
      const topicId = input.sized().slice();
      const node = input.varI53();
      const rules = readQueueRules(input);
      return { ...name, topicId, node, ...rules, replicationFactor: input.varI53() };
    },
  },
  'delete-queue': {
    code: 22,
    write(out, command) {
      out.text(command.vhost);
      out.text(command.name);
      out.varU53(command.logId);
    },
    read(input) {
      const name = { vhost: input.text(), name: input.text() };
      return { ...name, logId: input.varU53() };
    },
  },
  'release-owner': {
    code: 23,
    write: (out, command) => writeOwner(out, command.owner),
    read: (input) => ({ owner: readOwner(input) }),
  },
};
