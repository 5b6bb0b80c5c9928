// Which destinations are topics to Kafka's clients: streams, and queues as topics of one partition. Hidden is
// what its owner alone may use, and what has a name that Kafka's clients would choke on.
import {
  type DestinationView,
  type MetadataView,
  refuseDestinationName,
} from '../../broker/ports.ts';
import { KafkaErrorCode as E } from './errors.ts';

/** Queues that were named by the server: known to whoever was told the name, and of no use in a list. */
const MADE_UP_PREFIX = 'amq.';

/** The topic of that name, or the error that tells why there is none to see. */
export function topicNamed(view: MetadataView, name: string): DestinationView | number {
  const found = view.destination(name);
  return found === undefined ? E.UNKNOWN_TOPIC_OR_PARTITION : visible(found);
}

export function topicWithId(view: MetadataView, id: Uint8Array): DestinationView | number {
  const found = view.destinationById(id);
  return found === undefined ? E.UNKNOWN_TOPIC_ID : visible(found);
}

function visible(found: DestinationView): DestinationView | number {
  // Only the connection that declared an exclusive queue may touch it, and that is none of Kafka's.
  if (found.queue?.owner !== undefined) return E.TOPIC_AUTHORIZATION_FAILED;
  return refuseDestinationName(found.name) === undefined ? found : E.INVALID_TOPIC_EXCEPTION;
}

/** What is told to a client that asks for all topics. Internal ones are not, but for the one that Kafka has. */
export function listedTopics(view: MetadataView, groupDestination: string): DestinationView[] {
  return view.destinations().filter((each) => {
    if (each.isInternal) return each.name === groupDestination;
    const isMadeUp = each.queue !== undefined && each.name.startsWith(MADE_UP_PREFIX);
    return !isMadeUp && typeof visible(each) !== 'number';
  });
}
