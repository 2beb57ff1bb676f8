// The views of the page: one table for the navigation, the palette and the keys.
import type { Right } from './session.svelte';

export type Place = { path: string; name: string; group: 'See' | 'Run' | 'Keep' | 'Manage'; key?: string; right?: Right; at?: string };

export const PLACES: Place[] = [
  { path: '', name: 'Overview', group: 'See', key: 'o' },
  { path: 'topology', name: 'Topology', group: 'See', key: 't' },
  { path: 'sites', name: 'Sites', group: 'See', key: 'i' },
  { path: 'guests', name: 'Guests', group: 'See', key: 'g' },
  { path: 'stacks', name: 'Stacks', group: 'Run', key: 's' },
  { path: 'plans', name: 'Plans', group: 'Run', key: 'p' },
  { path: 'operations', name: 'Operations', group: 'Run', key: 'e' },
  { path: 'schedules', name: 'Schedules', group: 'Run' },
  { path: 'dns', name: 'DNS', group: 'Keep', key: 'd' },
  { path: 'secrets', name: 'Secrets', group: 'Keep' },
  { path: 'leases', name: 'Leases', group: 'Keep' },
  { path: 'agents', name: 'Agents', group: 'Keep' },
  { path: 'access', name: 'Access', group: 'Manage' },
  { path: 'audit', name: 'Audit', group: 'Manage', key: 'a', right: 'admin' },
  { path: 'webhooks', name: 'Webhooks', group: 'Manage', right: 'admin' },
  { path: 'quotas', name: 'Quotas', group: 'Manage', right: 'admin' },
];

export const GROUPS = ['See', 'Run', 'Keep', 'Manage'] as const;
