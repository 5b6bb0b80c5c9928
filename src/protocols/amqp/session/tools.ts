// What every publish and every delivery of a thread goes through: one set of objects that are filled again and again.
// Sessions use them within one call and leave nothing in them.
import { HeaderForm, RouteInput } from '../../../broker/ports.ts';
import { OutgoingMessage, TableWalk } from '../codec/index.ts';
import { MessageOfRecord } from '../mapping/from-record.ts';
import { Parts } from '../mapping/parts.ts';
import { PublishedMessage } from '../mapping/published.ts';
import { RecordOfMessage } from '../mapping/to-record.ts';

export class Tools {
  readonly published = new PublishedMessage();
  readonly toRecord = new RecordOfMessage();
  readonly route = new RouteInput();
  readonly form = new HeaderForm();
  readonly walk = new TableWalk();
  readonly parts = new Parts();
  readonly fromRecord = new MessageOfRecord();
  readonly outgoing = new OutgoingMessage();
}
