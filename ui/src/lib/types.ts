// Shapes of what the interface answers, as far as the page reads them. Times are Unix milliseconds.

export type Page<T> = { items: T[]; next: string | null };

export type Diagnostic = {
  code: string;
  severity: 'error' | 'warning';
  file?: string;
  line?: number;
  column?: number;
  span?: { start: number; end: number };
  message: string;
  label: string;
  help: string | null;
  related: { file: string; line: number; column: number; label: string }[];
};

export type Problem = {
  type?: string;
  title: string;
  status: number;
  code: string;
  detail?: string;
  hints?: string[];
  diagnostics?: Diagnostic[];
  request?: string;
};

export type Grant = { role: Role; path: string };
export type Role = 'viewer' | 'operator' | 'deployer' | 'approver' | 'admin';
export type User = {
  name: string;
  password: boolean;
  totp: 'off' | 'pending' | 'on';
  oidc: boolean;
  groups: string[];
  created_at_ms: number;
  created_by: string;
  signed_in_at_ms: number | null;
  disabled: boolean;
};
export type Session = { user: User; csrf: string; grants: Grant[] };
export type SignInWays = { password: boolean; oidc: { name: string } | null; setup_needed: boolean };

export type NodeLoad = {
  name: string;
  online: boolean;
  cpu_cores?: number;
  cpu_used?: number;
  memory_bytes?: number;
  memory_used_bytes?: number;
  disk_bytes?: number;
  disk_used_bytes?: number;
  guests?: number;
};
export type SiteSummary = {
  name: string;
  datacenter: string | null;
  reachable: boolean;
  why?: string | null;
  quorate?: boolean | null;
  version?: string | null;
  nodes: NodeLoad[];
  guests_running: number;
  guests_stopped: number;
};
export type StackRow = {
  name: string;
  state: string;
  revision: number;
  applied_revision?: number | null;
  applied_at_ms?: number | null;
  guests: number;
  protected?: boolean;
  owner?: string | null;
  drift?: { checked_at_ms: number; count: number } | null;
  proof?: { at_ms: number; ok: boolean } | null;
};
export type Trouble = { level: 'info' | 'warning' | 'error' | 'blocked'; what: string; where?: string | null; hint?: string | null };
export type AgentRow = {
  site: string;
  node: string;
  connected?: boolean;
  state?: string;
  version?: string | null;
  last_seen_ms?: number | null;
  joined_at_ms?: number | null;
  certificate_ends_ms?: number | null;
};
export type Overview = {
  sites: SiteSummary[];
  stacks: StackRow[];
  operations: Operation[];
  problems: Trouble[];
  agents: AgentRow[];
  controller: string;
  release: string;
};

export type TopologyGuest = {
  id: string | null;
  vmid: number;
  name: string;
  stack: string | null;
  state: string;
  drifted: boolean;
  kind: string;
};
export type Topology = { sites: { name: string; datacenter?: string | null; nodes: { name: string; online: boolean; guests: TopologyGuest[] }[] }[] };

export type CheckItem = { name: string; ok: boolean; found: string; hint: string | null };
export type SiteCheck = { ok: boolean; items: CheckItem[] };
export type Site = { name: string; datacenter: string | null; endpoints: string[]; declared: Record<string, unknown> };

export type Step = {
  name: string;
  direction: 'do' | 'undo';
  state: 'intent' | 'submitted' | 'withdrawn' | 'unknown' | 'done';
  upid: string | null;
  attempts: number;
  at_ms: number;
};
export type Job = {
  id: string;
  name: string;
  state: string;
  reason: string | null;
  hint: string | null;
  failures: number;
  interrupted: number;
  steps: Step[];
  started_at_ms: number | null;
  finished_at_ms: number | null;
  progress?: { text: string; fraction: number | null; stalled?: boolean } | null;
  waiting?: string | string[] | null;
};
export type Operation = {
  id: string;
  kind: string;
  stack: string;
  summary: string;
  actor: string;
  state: string;
  jobs_by_state: Record<string, number>;
  created_at_ms: number;
  finished_at_ms: number | null;
  cancelled_by: string | null;
  jobs?: Job[];
};
export type LogLine = { seq: number; at_ms: number; job?: string | null; kind: string; text?: string; body?: unknown };

export type ProofCheck = { name: string; ok: boolean; expected: string; found: string };
export type ProofItem = { guest: string; site: string; node: string | null; vmid: number | null; checks: ProofCheck[] };
export type Proof = { stack: string; ok: boolean; at_ms: number; items: ProofItem[] };
export type DriftItem = {
  guest: string | null;
  site: string | null;
  vmid: number | null;
  kind: { kind: string; field?: string; expected?: string; found?: string; name?: string; from?: string; to?: string };
  message: string;
};

export type FirewallRule = {
  pos?: number;
  kind?: string;
  type?: string;
  action: string;
  enable?: boolean | number;
  iface?: string | null;
  source?: string | null;
  dest?: string | null;
  proto?: string | null;
  dport?: string | null;
  sport?: string | null;
  macro?: string | null;
  comment?: string | null;
};
export type GuestFirewall = {
  policy_in?: string;
  policy_out?: string;
  enabled?: boolean;
  rules?: FirewallRule[];
} & Record<string, unknown>;
export type AddressMode = 'none' | 'dhcp' | 'auto' | { static: { address: string; gateway: string | null } };
export type ResolvedNic = {
  slot: string;
  name: string;
  network: string;
  bridge: string;
  vlan: number | null;
  mac: string;
  ipv4: AddressMode;
  ipv6: AddressMode;
  firewall: boolean;
};
export type ResolvedGuest = {
  id: string;
  name: string;
  container: string;
  site: string;
  node: string;
  vmid: number;
  hostname: string;
  image: string;
  storage: string;
  cores: number;
  memory: string;
  swap: string;
  disk: string;
  volumes: { name: string; slot: string; path: string; size: string; storage: string }[];
  nics: ResolvedNic[];
  running: boolean;
  firewall?: GuestFirewall | null;
} & Record<string, unknown>;
export type Guest = {
  id: string;
  stack: string | null;
  name: string;
  site: string;
  node: string;
  vmid: number;
  state: string;
  addresses: string[];
  drifted: boolean;
};
export type GuestTask = { upid: string; kind?: string; type?: string; status?: string; state?: string; user?: string; started_at_ms?: number; finished_at_ms?: number | null };
export type GuestWhole = Guest & {
  applied?: ResolvedGuest | null;
  observed?: {
    status?: string;
    lock?: string | null;
    config?: { fields: Record<string, string>; pending?: unknown[]; digest?: string } | null;
    live?: unknown;
  } | null;
  firewall?: unknown;
  tasks?: GuestTask[];
  drift?: DriftItem[];
};

export type Change = { key: string; from: string; to: string };
export type Action = {
  id: number;
  stamp: { guest: string; stack: string; name: string };
  site: string;
  node: string;
  vmid: number;
  kind: {
    do: 'create' | 'update' | 'replace' | 'remove' | 'forget';
    guest?: ResolvedGuest;
    changes?: Change[];
    move_to?: string | null;
    power?: string;
    was_running?: boolean;
    firewall?: { seen: GuestFirewall | null; wanted: GuestFirewall | null } | null;
  };
  reasons: string[];
  after: number[];
};
export type PartAction = { id: number; kind: { part: string } & Record<string, unknown>; reasons: string[]; after: number[] };
export type Note = { level: 'info' | 'warning' | 'blocked'; guest: string | null; message: string; hint: string | null };
export type Placement = { guest: string; node: string; why: string; refused: Record<string, string> };
export type PlanDocument = {
  stack: string;
  id: string;
  empty: boolean;
  blocked: boolean;
  destroy: boolean;
  actions: Action[];
  parts: PartAction[];
  report: { placements: Placement[]; notes: Note[]; unchanged: string[]; shallow: number };
};
export type Plan = {
  id: string;
  stack: string;
  state: 'open' | 'approved' | 'applied' | 'discarded' | 'expired';
  author: string;
  created_at_ms: number;
  expires_at_ms: number;
  base_revision: number;
  empty: boolean;
  blocked: boolean;
  destroy: boolean;
  needs_approval: boolean;
  approved_by: string | null;
  operation: string | null;
  /** Absent in lists. */
  document: PlanDocument | null;
};
export type Policy = {
  allow_replace?: string[];
  allow_data_loss?: string[];
  no_restart?: boolean;
  without?: string[];
  allow_dns_mass_change?: boolean;
};
export type PlanRequest = {
  files?: { name: string; text: string }[];
  stack?: string;
  destroy?: boolean;
  deep?: boolean;
  policy?: Policy;
};

export type Stack = StackRow & {
  manifest: { file: string; text: string } | null;
  resolved?: unknown;
  guests: unknown;
};
export type Revision = { revision: number; created_at_ms: number; actor: string; operation: string };

export type Explanation = {
  verdict: string;
  decided_by?: ExplainStep | null;
  decided_in?: number;
  stages: { way: string; vmid: number; nic: string; node: string; engine: string; verdict: string; steps: ExplainStep[] }[];
  packet?: Record<string, unknown>;
  parts?: (Explanation & { first: string; last: string })[];
};
export type ExplainStep = { level: { at: string } & Record<string, unknown>; text: string; outcome: { is: string; why?: string } & Record<string, unknown> };

export type EngineEvent = { seq: number; at_ms: number; operation?: string; stack?: string; job?: string | null; kind: string; body?: unknown };
export type ChangeEvent = { seq: number; at_ms: number; actor: string; action: string; path: string };
