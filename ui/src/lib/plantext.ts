// A plan in lines: what changes of each guest and part, as the command line words it.
import { ruleText } from './format';
import type { Action, AddressMode, Change, GuestFirewall, PartAction } from './types';

export type Line = { sign: '+' | '~' | '-' | ' '; what: string; from?: string; to?: string };

const NEXT_START = /^(swap|features|unprivileged|net\d+|hostname|nameserver|searchdomain|timezone)$/;
export const POWER: Record<string, string> = {
  start: 'it is started',
  stop: 'it is shut down',
  restart: 'it is shut down and started again, because a change needs it',
  next_start: 'some changes wait for its next start',
};

const pairs = (text: string) => new Map(text.split(',').filter(Boolean).map((pair): [string, string] => {
  const cut = pair.indexOf('=');
  return cut < 0 ? ['', pair] : [pair.slice(0, cut), pair.slice(cut + 1)];
}));
const mib = (text: string) => (/^\d+$/.test(text) ? (Number(text) % 1024 === 0 ? `${Number(text) / 1024} GiB` : `${text} MiB`) : text);
const onOff = (text: string) => (text === '1' ? 'on' : text === '0' ? 'off' : text);

/** One line a changed part: of a property string only the parts that differ are told. */
export function changeLines(change: Change): Line[] {
  const whole = (from: string, to: string): Line[] => [{ sign: '~', what: change.key, from: from || '(none)', to: to || '(none)' }];
  if (change.key === 'description') return [{ sign: '~', what: 'description', to: 'is written anew' }];
  if (change.key === 'memory' || change.key === 'swap') return whole(mib(change.from), mib(change.to));
  if (['onboot', 'protection', 'unprivileged'].includes(change.key)) return whole(onOff(change.from), onOff(change.to));
  if (/^(net|mp)\d+$|^rootfs$/.test(change.key) && change.from && change.to) {
    const [from, to] = [pairs(change.from), pairs(change.to)];
    const keys = [...new Set([...from.keys(), ...to.keys()])].sort();
    return keys.filter((key) => from.get(key) !== to.get(key)).map((key) => ({ sign: '~', what: `${change.key} ${key}`, from: from.get(key) ?? '(none)', to: to.get(key) ?? '(none)' }));
  }
  return whole(change.from, change.to);
}
export const atNextStart = (key: string) => NEXT_START.test(key);

export function address(mode: AddressMode | undefined): string | null {
  if (!mode || mode === 'none') return null;
  if (mode === 'dhcp') return 'by DHCP';
  if (mode === 'auto') return 'by autoconfiguration';
  return mode.static.address;
}

const rules = (firewall: GuestFirewall | null | undefined) => (firewall?.rules ?? []).map((rule) => ruleText(rule as Record<string, unknown>));

function firewallLines(seen: GuestFirewall | null, wanted: GuestFirewall | null): Line[] {
  const [before, after] = [rules(seen), rules(wanted)];
  const lines: Line[] = [];
  if (!wanted) lines.push({ sign: '-', what: 'firewall', to: 'ours goes; the guest is no longer filtered' });
  for (const rule of before) if (!after.includes(rule)) lines.push({ sign: '-', what: 'rule', from: rule });
  for (const rule of after) if (!before.includes(rule)) lines.push({ sign: '+', what: 'rule', to: rule });
  const policy = (side: GuestFirewall | null) => [side?.policy_in, side?.policy_out].filter(Boolean).join(' in, ').toUpperCase();
  if (wanted && lines.length === 0) lines.push({ sign: '~', what: 'firewall', from: policy(seen) || 'as it is', to: policy(wanted) || 'its options or the order of its rules' });
  return lines;
}

function createLines(action: Action): Line[] {
  const guest = action.kind.guest;
  if (!guest) return [];
  const lines: Line[] = [
    { sign: '+', what: 'size', to: `${guest.cores} ${guest.cores === 1 ? 'core' : 'cores'}, ${guest.memory} memory${/^0 /.test(guest.swap) ? '' : `, ${guest.swap} swap`}, ${guest.disk} on ${guest.storage}` },
    { sign: '+', what: 'image', to: guest.image },
  ];
  for (const nic of guest.nics) {
    const addresses = [address(nic.ipv4), address(nic.ipv6)].filter(Boolean).join(', ') || 'no address';
    lines.push({ sign: '+', what: `${nic.name} (${nic.slot})`, to: `${addresses}, ${nic.mac} on ${nic.bridge}${nic.vlan ? ` vlan ${nic.vlan}` : ''}` });
  }
  for (const volume of guest.volumes) lines.push({ sign: '+', what: volume.slot, to: `${volume.size} at ${volume.path} on ${volume.storage}` });
  if (!guest.running) lines.push({ sign: '+', what: 'state', to: 'stopped' });
  if (guest.firewall) {
    lines.push({ sign: '+', what: 'firewall', to: `inbound ${(guest.firewall.policy_in ?? '').toUpperCase()}, outbound ${(guest.firewall.policy_out ?? '').toUpperCase()}` });
    for (const rule of rules(guest.firewall)) lines.push({ sign: '+', what: 'rule', to: rule });
  }
  return lines;
}

export function actionLines(action: Action): Line[] {
  const kind = action.kind;
  switch (kind.do) {
    case 'create':
      return createLines(action);
    case 'update': {
      const lines = (kind.changes ?? []).flatMap(changeLines);
      if (kind.firewall) lines.push(...firewallLines(kind.firewall.seen, kind.firewall.wanted));
      if (kind.move_to) lines.push({ sign: '~', what: 'node', from: action.node, to: kind.move_to });
      return lines;
    }
    case 'replace':
      return [
        ...(kind.changes ?? []).flatMap(changeLines),
        ...(kind.guest?.volumes ?? []).map((volume): Line => ({ sign: '-', what: 'volume', from: `${volume.name} (${volume.size}, ${volume.path}) is lost` })),
      ];
    default:
      return [];
  }
}

/** What happens to the guest as a whole, in a sentence. */
export function deed(action: Action): string {
  const kind = action.kind;
  if (kind.do === 'replace') return kind.was_running ? 'It is shut down, destroyed and made anew.' : 'It is destroyed and made anew.';
  if (kind.do === 'remove') return kind.was_running ? 'It is shut down and destroyed with its disks.' : 'It is destroyed with its disks.';
  if (kind.do === 'forget') return 'It is gone already; its VMID, MACs and addresses are given back.';
  const power = kind.power ? POWER[kind.power] : undefined;
  return power ? power[0]?.toUpperCase() + power.slice(1) + '.' : '';
}

type Obj = Record<string, unknown>;
const list = (value: unknown): Obj[] => (Array.isArray(value) ? (value as Obj[]) : value && typeof value === 'object' ? Object.entries(value as Obj).map(([name, one]) => ({ name, ...(one as Obj) })) : []);
const sign = (before: unknown, after: unknown): Line['sign'] => (before === null || before === undefined ? '+' : after === null || after === undefined ? '-' : '~');
const said = (value: unknown): string => {
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(said).join(', ');
  if (typeof value === 'object') return Object.values(value as Obj).map(said).filter(Boolean).join(' ');
  return String(value);
};

export function partTitle(part: PartAction): string {
  const kind = part.kind as Obj;
  if (kind.part === 'records') return `zone ${String(kind.zone)}`;
  if (kind.part === 'secrets') return `secrets of ${String((kind.stamp as Obj | undefined)?.name ?? '')}`;
  return `firewall of site ${String(kind.site ?? '')}`;
}

export function partLines(part: PartAction): Line[] {
  const kind = part.kind as Obj;
  if (kind.part === 'records') {
    return list(kind.changes).map((change) => {
      const [before, after] = [change.before as Obj | null, change.after as Obj | null];
      const [from, to] = [said(before?.values), said(after?.values)];
      const ttl = before && after && from === to;
      return { sign: sign(before, after), what: `${String(change.name)} ${String(change.kind)}`, from: ttl ? `${String(before.ttl_s)} s` : from || undefined, to: ttl ? `${String(after.ttl_s)} s` : to || undefined };
    });
  }
  if (kind.part === 'secrets') {
    const version = (n: unknown) => (n === null || n === undefined ? undefined : `version ${String(n)}`);
    return list(kind.grants).map((grant) => ({ sign: sign(grant.before, grant.after), what: `${String(grant.path)} from ${said(grant.secret)}`, from: version(grant.before), to: version(grant.after) }));
  }
  const lines: Line[] = [];
  if (kind.enable !== null && kind.enable !== undefined) lines.push({ sign: '~', what: 'firewall of the datacenter', to: kind.enable ? 'on' : 'off' });
  for (const [key, word] of [['aliases', 'alias'], ['sets', 'IP set'], ['groups', 'security group']] as const) {
    for (const one of list(kind[key])) {
      const [add, remove] = [said(one.add ?? one.after), said(one.remove ?? one.before)];
      lines.push({ sign: one.create ? '+' : '~', what: `${word} ${String(one.name ?? '')}`, from: remove || undefined, to: add || undefined });
    }
  }
  for (const [key, value] of Object.entries((kind.options ?? {}) as Obj)) if (value !== null) lines.push({ sign: '~', what: key, to: said(value) });
  return lines;
}
