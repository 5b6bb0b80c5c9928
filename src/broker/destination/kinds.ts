// Kinds of logs by what lives on them, and the destination of the groups. Apart from the behaviors: whoever
// only names a kind need not load them.

export const PARTITION_KIND = 'partition';
export const GROUP_KIND = 'group';
/** How many group logs a cluster starts with. */
export const GROUP_LOGS = 8;
/** The name under which readers of other systems know a group log. */
export const GROUP_DESTINATION = '__consumer_offsets';
/** The destination by which a node tries whether it can store and read. */
export const PROBE_DESTINATION = '__callboard_probe';
/** The cluster makes these itself, moments after it was founded: until then nobody else may take their names. */
export const OWN_DESTINATIONS: readonly string[] = [GROUP_DESTINATION, PROBE_DESTINATION];
