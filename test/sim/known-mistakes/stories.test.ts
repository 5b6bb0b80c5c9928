import { find, story } from './find.ts';

find([
  {
    bug: 'commit-under-old-set',
    what: 'a commit without those who are just being counted',
    scenario: story('slow-joiner'),
    from: 1,
    foundBy: /^replicas\/safe-set$/,
  },
  {
    bug: 'join-without-holding',
    what: 'a replica that joins the safe set without what is committed',
    scenario: story('behind-and-cut-off'),
    from: 1,
    foundBy: /^replicas\/(safe-set|alarm)$/,
  },
  {
    bug: 'no-recovery-read',
    what: 'a new leader of a majority that asks nobody what it lacks',
    scenario: story('unheard-replica-leads'),
    from: 1,
    foundBy: /^replicas\//,
  },
]);
