// All stories, as scenarios.
import type { Scenario } from '../../scenario.ts';
import { DEVICE_STORIES } from './devices.ts';
import { NETWORK_STORIES } from './network.ts';
import { NODE_STORIES } from './nodes.ts';
import { scenarioOf } from './story.ts';

export const stories: readonly Scenario[] = [
  ...NETWORK_STORIES,
  ...NODE_STORIES,
  ...DEVICE_STORIES,
].map(scenarioOf);
