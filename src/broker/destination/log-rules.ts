// What hot paths ask of a log's settings, parsed when the metadata has changed and not with every batch.
import type { MetadataView } from '../../cluster/ports.ts';
import { PARTITION_KIND } from './kinds.ts';
import { isCompacted, messageBytesMax } from './settings.ts';

export interface LogRules {
  /** The largest batch that is taken, in bytes. */
  readonly messageBytesMax: number;
  /** Of each key only the newest record is kept: one without a key is refused. */
  readonly needsKeys: boolean;
  /** Of a quorum queue: how often a message may come back; below 0: no limit. */
  readonly deliveryLimit?: number;
}

/** Of a log that nobody knows. */
const USUAL: LogRules = { messageBytesMax: messageBytesMax(undefined), needsKeys: false };

export class LogRulesTable {
  readonly #view: MetadataView;
  readonly #byLog = new Map<number, LogRules>();
  #version = -1;

  constructor(view: MetadataView) {
    this.#view = view;
  }

  of(logId: number): LogRules {
    if (this.#version !== this.#view.version) {
      this.#version = this.#view.version;
      this.#byLog.clear();
    }
    let rules = this.#byLog.get(logId);
    if (rules === undefined) {
      rules = this.#parse(logId);
      this.#byLog.set(logId, rules);
    }
    return rules;
  }

  #parse(logId: number): LogRules {
    const log = this.#view.log(logId);
    if (log === undefined) return USUAL;
    const destination = this.#view.in(log.vhost).destination(log.destination);
    const config = destination?.config;
    const needsKeys = log.kind === PARTITION_KIND && isCompacted(config);
    const rules = { messageBytesMax: messageBytesMax(config), needsKeys };
    const deliveryLimit = destination?.deliveryLimit;
    return deliveryLimit === undefined ? rules : { ...rules, deliveryLimit };
  }
}
