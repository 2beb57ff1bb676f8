// Numbers, sizes and times as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? size.toFixed(0) : size.toFixed(1)} ${UNITS[unit]}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

export function span(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

export function ago(then: number, now: number): string {
  const s = Math.round((now - then) / 1000);
  if (s < 0) return `in ${rough(-s)}`;
  if (s < 5) return 'just now';
  return `${rough(s)} ago`;
}

function rough(s: number): string {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

const FULL = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium' });
export function moment(ms: number): string {
  return FULL.format(new Date(ms));
}

export function clock(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}

/** A time that an answer gives in milliseconds or as text. */
export function timeOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') {
    const parsed = Date.parse(value);
    return Number.isNaN(parsed) ? null : parsed;
  }
  return null;
}

/** `+name` for the sets and groups of Proxmox, `in`/`out` in the order in which Proxmox prints a rule. */
export function ruleText(rule: Record<string, unknown>): string {
  const part = (flag: string, value: unknown) => (value === undefined || value === null || value === '' ? '' : ` ${flag} ${String(value)}`);
  const kind = String(rule.kind ?? rule.type ?? '').toUpperCase();
  return (
    `${kind} ${String(rule.action ?? '')}` +
    part('-i', rule.iface) + part('-source', rule.source) + part('-dest', rule.dest) + part('-p', rule.proto) +
    part('-dport', rule.dport) + part('-sport', rule.sport) + part('-icmp-type', rule.icmp_type)
  ).trim();
}
