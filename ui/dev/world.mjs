// A made-up installation for working on the page: two sites, six nodes, some twenty guests, drift, a blocked operation,
// a failed one, a protected stack. Nothing of it ships.
import { readFileSync } from 'node:fs';

const sample = (name) => JSON.parse(readFileSync(new URL(`./samples/${name}.json`, import.meta.url), 'utf8'));
export const now = () => Date.now();
const MIN = 60_000;
const HOUR = 60 * MIN;
const GIB = 1024 ** 3;
let ids = 0;
export const ulid = () => `01M83VJF1K${String((ids += 1)).padStart(4, '0')}R45FPBZSAFH2`.slice(0, 26).padEnd(26, 'X');

const SITES = [
  { name: 'fra1', datacenter: 'Frankfurt', version: '9.1.6', nodes: ['pve1', 'pve2', 'pve3', 'pve4'], vmid: 2000, net: '10.20.0' },
  { name: 'ams1', datacenter: 'Amsterdam', version: '9.1.6', nodes: ['node-a', 'node-b'], vmid: 3000, net: '10.40.0' },
];
const STACKS = {
  shop: { fra1: ['web-1', 'web-2', 'web-3', 'db-1', 'cache-1'], ams1: ['web-ams-1', 'web-ams-2'], owner: 'platform', protected: true },
  market: { fra1: ['front-1', 'front-2', 'app-1', 'app-2', 'pg-1'], ams1: ['app-ams-1', 'pg-ams-1'], owner: 'platform', protected: false },
  mirror: { fra1: ['origin', 'edge-1'], ams1: ['edge-2', 'edge-3'], owner: 'media', protected: false },
  lab: { fra1: ['try-1'], ams1: [], owner: 'lena', protected: false },
};

export const guests = [];
for (const [stack, where] of Object.entries(STACKS)) {
  for (const site of SITES) {
    for (const name of where[site.name] ?? []) {
      const n = guests.filter((guest) => guest.site === site.name).length;
      guests.push({
        id: `${name.replaceAll('-', '')}4b3fff3t4dq3xcxpcd21`.slice(0, 20), stack, name, site: site.name, node: site.nodes[n % site.nodes.length], vmid: site.vmid + n,
        state: name === 'cache-1' ? 'stopped' : name === 'edge-3' ? 'unknown' : 'running', addresses: [`${site.net}.${50 + n}`], drifted: name === 'web-2' || name === 'cache-1',
      });
    }
  }
}
const strangers = [['fra1', 'pve2', 100, 'old-gitlab', 'vm', 'running'], ['fra1', 'pve4', 101, 'nas', 'vm', 'stopped'], ['ams1', 'node-b', 110, 'print', 'container', 'running']];

export const topology = () => ({
  sites: SITES.map((site) => ({
    name: site.name,
    nodes: site.nodes.map((name) => ({
      name, online: name !== 'pve4',
      guests: [
        ...guests.filter((guest) => guest.site === site.name && guest.node === name).map((guest) => ({ ...guest, kind: 'container' })),
        ...strangers.filter(([s, n]) => s === site.name && n === name).map(([, , vmid, label, kind, state]) => ({ id: null, vmid, name: label, stack: null, state, drifted: false, kind })),
      ],
    })),
  })),
});

const checks = (guest, bad) => ['exists once', 'type', 'stamp', 'host name', 'cores', 'memory', 'rootfs', 'net0', 'live address of eth0', 'firewall of net0', 'rule 0', 'record www A'].map((name) => ({
  name, ok: !(bad && name === 'cores'), expected: name === 'cores' ? '2' : name === 'live address of eth0' ? guest.addresses[0] : `${name} as declared`, found: name === 'cores' ? (bad ? '4' : '2') : name === 'live address of eth0' ? guest.addresses[0] : `${name} as declared`,
}));
export const proofOf = (stack, at = now() - 12 * MIN) => {
  const items = guests.filter((guest) => guest.stack === stack).map((guest) => ({ guest: guest.name, site: guest.site, node: guest.node, vmid: guest.vmid, checks: checks(guest, guest.name === 'web-2') }));
  return { stack, ok: items.every((item) => item.checks.every((check) => check.ok)), at_ms: at, items };
};
export const driftOf = (stack) => (stack === 'shop'
  ? [
      { guest: 'web-2', site: 'fra1', vmid: 2001, kind: { kind: 'changed', field: 'cores', expected: '2', found: '4' }, message: 'cores of `web-2` is `4` and was applied as `2`' },
      { guest: 'cache-1', site: 'fra1', vmid: 2004, kind: { kind: 'stopped' }, message: '`cache-1` should run and does not' },
      { guest: null, site: null, vmid: null, kind: { kind: 'record', zone: 'market.example', name: 'www.market.example', record: 'A', expected: '10.20.0.50', found: '10.20.0.99' }, message: 'A of `www.market.example` is `10.20.0.99` and was applied as `10.20.0.50`' },
    ]
  : []);

const text = (name) => `# The shop: ${name}\nkind: stack\nname: ${name}\nsite: fra1\ncontainers:\n  web:\n    count: 3\n    image: debian-12\n    cores: 2\n    memory: 1 GiB\n    disk: 8 GiB\n    nics: { eth0: { network: dmz } }\n    spread: node\n    firewall:\n      inbound: drop\n      rules:\n        - { allow: https, on: eth0, from: anywhere, comment: visitors }\n        - { allow: tcp/5432, on: eth0, from: [web, 10.20.0.0/24] }\n    secrets:\n      - { from: shop/db-password, to: /run/secrets/db-password, mode: "0400" }\ndns:\n  - { zone: market.example, name: www, type: A, to: web.eth0, ttl: 60 }\n`;
export const stacks = Object.entries(STACKS).map(([name, where], n) => ({
  name, state: 'applied', revision: 4 - n, applied_revision: name === 'market' ? 2 : 4 - n, applied_at_ms: now() - (n + 1) * 5 * HOUR, protected: where.protected, owner: where.owner, text: text(name),
}));
export const stackRow = ({ text: _, ...stack }) => ({
  ...stack, guests: guests.filter((guest) => guest.stack === stack.name).length, drift: { checked_at_ms: now() - 4 * MIN, count: driftOf(stack.name).length },
  proof: stack.name === 'lab' ? null : { at_ms: now() - 12 * MIN, ok: stack.name !== 'shop' },
});
export const stackWhole = (stack) => ({ ...stackRow(stack), manifest: { file: `${stack.name}.yaml`, text: stack.text }, guests: [], resolved: null });

const step = (name, state, at, upid = null, attempts = 1, direction = 'do') => ({ name, direction, state, upid, attempts, at_ms: at });
const job = (name, state, more = {}) => ({ id: ulid(), name, state, reason: null, hint: null, failures: 0, interrupted: 0, steps: [], started_at_ms: null, finished_at_ms: null, ...more });
const upid = (node, kind, vmid) => `UPID:${node}:000003EB:00059D68:6B040675:${kind}:${vmid}:root@pam!rapidlaunch:`;
const doneJob = (name, node, vmid, from, took) => job(name, 'done', {
  started_at_ms: from, finished_at_ms: from + took,
  steps: [step('create container', 'done', from + took * 0.6, upid(node, 'vzcreate', vmid)), step('write firewall', 'done', from + took * 0.7, 'written', 4), step('start', 'done', from + took * 0.9, upid(node, 'vzstart', vmid)), step('restamp', 'done', from + took)],
});
const counts = (jobs) => jobs.reduce((all, one) => ({ ...all, [one.state]: (all[one.state] ?? 0) + 1 }), {});
const operation = (summary, stack, state, actor, created, jobs, more = {}) => ({ id: ulid(), kind: 'apply', stack, summary, actor, state, created_at_ms: created, finished_at_ms: null, cancelled_by: null, jobs, get jobs_by_state() { return counts(this.jobs); }, ...more });

const t = now();
export const operations = [
  operation('apply market (plan 9f2c81d0aa41e7b3)', 'market', 'running', 'alice', t - 42_000, [
    doneJob('create front-1', 'pve1', 2005, t - 41_000, 9_200), doneJob('create front-2', 'pve2', 2006, t - 41_000, 11_400),
    job('create app-1', 'running', { started_at_ms: t - 30_000, steps: [step('create container', 'done', t - 21_000, upid('pve3', 'vzcreate', 2007)), step('write firewall', 'done', t - 20_400, 'written', 3), step('start', 'submitted', t - 4_000, upid('pve3', 'vzstart', 2007))], progress: { text: 'starting, 4 s', fraction: 0.7 } }),
    job('create app-2', 'backoff', { started_at_ms: t - 30_000, failures: 2, reason: 'node pve2: the storage is locked by another task; tried again in 3 s' }),
    job('create pg-1', 'ready', { reason: 'waits for room on node pve1: 2 creates at a time' }),
    job('zone market.example', 'waiting', { reason: 'waits for create app-1, create app-2' }),
  ]),
  operation('apply mirror (plan 77aa01d2c4f0be19)', 'mirror', 'blocked', 'bo', t - 26 * MIN, [
    doneJob('create origin', 'pve1', 2010, t - 26 * MIN, 8_000),
    job('update edge-1', 'blocked', { started_at_ms: t - 25 * MIN, reason: 'VMID 2011 on fra1/pve2 does not bear our stamp: its description was changed by hand', hint: 'give it its stamp back, or take the guest out of the stack; then retry', steps: [step('check identity', 'withdrawn', t - 25 * MIN)] }),
  ]),
  operation('restart web-1', 'shop', 'done', 'lena', t - 2 * HOUR, [doneJob('restart web-1', 'pve1', 2000, t - 2 * HOUR, 6_100)], { kind: 'guest', finished_at_ms: t - 2 * HOUR + 6_100 }),
  operation('apply shop (plan e3658a00b33aee53)', 'shop', 'done', 'alice', t - 5 * HOUR, [doneJob('create web-1', 'pve1', 2000, t - 5 * HOUR, 8_058), doneJob('create web-2', 'pve2', 2001, t - 5 * HOUR, 9_138), doneJob('create web-3', 'pve3', 2002, t - 5 * HOUR, 8_700), doneJob('zone market.example', 'pve1', 0, t - 5 * HOUR + 9_000, 300)], { finished_at_ms: t - 5 * HOUR + 9_400, proof: proofOf('shop', t - 5 * HOUR + 10_000) }),
  operation('apply lab (plan 0b1c2d3e4f5a6b7c)', 'lab', 'failed', 'lena', t - 26 * HOUR, [
    job('create try-1', 'failed', { started_at_ms: t - 26 * HOUR, finished_at_ms: t - 26 * HOUR + 15_000, failures: 3, reason: 'the task failed on fra1/pve4: no space left on device', hint: 'free space on local-zfs of pve4, or name another storage', steps: [step('create container', 'done', t - 26 * HOUR + 9_000, upid('pve4', 'vzcreate', 2012), 3), step('create container', 'done', t - 26 * HOUR + 15_000, upid('pve4', 'vzdestroy', 2012), 1, 'undo')] }),
  ], { finished_at_ms: t - 26 * HOUR + 15_000 }),
];

const document = sample('plan-upd');
const plan = (id, stack, state, author, more = {}) => ({ id, stack, state, author, created_at_ms: t - 20 * MIN, expires_at_ms: t + 23 * HOUR, base_revision: 4, empty: false, blocked: false, destroy: false, needs_approval: false, approved_by: null, operation: null, document: { ...document, id, stack }, ...more });
export const plans = [
  plan('44b74e172c868ecb', 'shop', 'open', 'bo', { needs_approval: true }),
  plan('5d11e0b7a3c2f498', 'market', 'open', 'admin', { document: { ...sample('plan-blocked'), stack: 'market' }, blocked: true }),
  plan('e3658a00b33aee53', 'shop', 'applied', 'alice', { approved_by: 'carla', needs_approval: true, operation: operations[3].id, created_at_ms: t - 5 * HOUR, document: sample('plan-new') }),
  plan('0c9d1a2b3e4f5061', 'lab', 'expired', 'lena', { created_at_ms: t - 50 * HOUR, expires_at_ms: t - 26 * HOUR }),
];
export const previewOf = (stack) => ({ ...document, stack });

const load = (n, online = true) => ({ online, cpu_cores: 32, cpu_used: online ? 3.2 + n * 5.1 : 0, memory_bytes: 256 * GIB, memory_used_bytes: online ? (60 + n * 48) * GIB : 0, disk_bytes: 4096 * GIB, disk_used_bytes: online ? (900 + n * 780) * GIB : 0 });
export const overview = () => ({
  sites: SITES.map((site, s) => ({
    name: site.name, datacenter: site.datacenter, reachable: true, why: null, quorate: true, version: site.version,
    nodes: site.nodes.map((name, n) => ({ name, ...load(n + s, name !== 'pve4'), guests: guests.filter((guest) => guest.site === site.name && guest.node === name).length })),
    guests_running: guests.filter((guest) => guest.site === site.name && guest.state === 'running').length, guests_stopped: guests.filter((guest) => guest.site === site.name && guest.state === 'stopped').length,
  })),
  stacks: stacks.map(stackRow), operations: operations.filter((one) => ['running', 'blocked'].includes(one.state)).map(({ jobs: _, ...one }) => one),
  problems: [
    { level: 'error', what: 'Node pve4 of site fra1 is offline since 14 minutes', where: '/sites/fra1', hint: 'its guests cannot be changed until it is back' },
    { level: 'blocked', what: 'Operation "apply mirror" waits for a person: VMID 2011 does not bear our stamp', where: `/operations/${operations[1].id}`, hint: 'give it its stamp back, or take the guest out of the stack; then retry' },
    { level: 'warning', what: 'Stack shop has drifted in 3 places', where: '/stacks/shop', hint: 'plan it again to mend them' },
  ],
  agents: [{ site: 'fra1', node: 'pve1', connected: true, version: '0.6.0', last_seen_ms: t - 3000 }, { site: 'fra1', node: 'pve2', connected: true, version: '0.6.0', last_seen_ms: t - 2000 }, { site: 'ams1', node: 'node-a', connected: false, version: '0.5.2', last_seen_ms: t - 3 * HOUR }],
  controller: 'fn3k6h0waj1k3yd4bdkc', release: '0.6.0',
});

export const lists = {
  '/v1/sites': SITES.map((site) => ({ name: site.name, datacenter: site.datacenter, endpoints: site.nodes.slice(0, 2).map((node) => `https://${node}.${site.name}.example:8006`), vmids: `${site.vmid}-${site.vmid + 999}`, storage: 'local-zfs', token: { secret: `sites/${site.name}` }, networks: { dmz: { bridge: 'vmbr0', vlan: 20, subnet: `${site.net}.0/24`, gateway: `${site.net}.1`, addresses: [`${site.net}.50-${site.net}.250`] }, mgmt: { bridge: 'vmbr0', vlan: null, subnet: '10.10.0.0/24', gateway: null, addresses: [] } }, images: { 'debian-12': 'local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst' }, limits: { creates_per_node: 2, starts_per_node: 4 }, text: `kind: site\nname: ${site.name}\n` })),
  '/v1/zones': [{ name: 'market.example', provider: { builtin: {} }, site: 'fra1', records: 8, serial: 2026112301 }, { name: '20.10.in-addr.arpa', provider: { builtin: {} }, site: 'fra1', records: 5, serial: 2026112300 }, { name: 'example.org', provider: { powerdns: {} }, site: 'ams1', records: 41, serial: 77 }],
  records: [{ name: 'www.market.example', type: 'A', ttl_s: 60, values: ['10.20.0.50', '10.20.0.51', '10.20.0.52'], owner: 'shop' }, { name: 'db.market.example', type: 'A', ttl_s: 300, values: ['10.20.0.53'], owner: 'shop' }, { name: '_https._tcp.market.example', type: 'SRV', ttl_s: 300, values: ['0 0 443 www.market.example'], owner: 'market' }, { name: 'mail.market.example', type: 'A', ttl_s: 3600, values: ['192.0.2.25'], owner: null }],
  '/v1/secrets': [{ name: 'shop/db-password', version: 3, changed_at_ms: t - 40 * HOUR }, { name: 'shop/session', version: 1, changed_at_ms: t - 400 * HOUR }, { name: 'sites/fra1', version: 2, changed_at_ms: t - 90 * HOUR }],
  '/v1/agents': overview().agents.map((agent) => ({ ...agent, certificate_ends_ms: t + 300 * 24 * HOUR })),
  '/v1/schedules': [{ name: 'nightly', at: '0 3 * * *', zone: 'Europe/Berlin', missed: 'skip', starts: 'restart web-1', stack: 'shop', paused: false, next_at_ms: t + 9 * HOUR, last_at_ms: t - 15 * HOUR, last_operation: operations[2].id, fired: 41, left_out: 2, problem: null }, { name: 'weekend-stop', at: '0 20 * * 5', zone: 'UTC', missed: 'coalesce', starts: 'stop try-1', stack: 'lab', paused: true, next_at_ms: null, last_at_ms: null, last_operation: null, fired: 0, left_out: 0, problem: null }],
  '/v1/leases': guests.flatMap((guest) => [{ site: guest.site, kind: 'vmid', value: String(guest.vmid), stack: guest.stack, guest: guest.name }, { site: guest.site, kind: 'address', value: guest.addresses[0], stack: guest.stack, guest: guest.name, nic: 'eth0' }]).concat([{ site: 'fra1', kind: 'address', value: '10.20.0.99', stack: 'lab', guest: 'try-2', released_at_ms: t - 2 * HOUR, until_ms: t + 22 * HOUR }]),
  '/v1/users': [{ name: 'admin', groups: [], totp: true, last_sign_in_ms: t - 60_000 }, { name: 'alice', groups: ['platform'], totp: true, last_sign_in_ms: t - 5 * HOUR }, { name: 'bo', groups: ['platform'], totp: false, last_sign_in_ms: t - HOUR }, { name: 'carla', groups: ['leads'], totp: true, source: 'oidc', last_sign_in_ms: t - 30 * HOUR }],
  '/v1/grants': [{ id: 'g1', user: 'admin', role: 'admin', path: '/' }, { id: 'g2', group: 'platform', role: 'deployer', path: '/stacks' }, { id: 'g3', group: 'leads', role: 'approver', path: '/stacks' }, { id: 'g4', user: 'lena', role: 'deployer', path: '/stacks/lab' }],
  '/v1/tokens': [{ id: 'rlt_7k2m', name: 'ci', owner: 'admin', scopes: [{ role: 'deployer', path: '/stacks/shop' }], created_at_ms: t - 300 * HOUR, expires_at_ms: t + 1800 * HOUR, last_used_ms: t - 3 * MIN }, { id: 'rlt_p0qa', name: 'grafana', owner: 'admin', scopes: [{ role: 'viewer', path: '/' }], created_at_ms: t - 900 * HOUR, expires_at_ms: null, last_used_ms: null }],
  '/v1/webhooks': [{ id: 'w1', url: 'https://chat.example/hooks/rapidlaunch', kinds: ['operation.state'], paused: false, failures: 0 }, { id: 'w2', url: 'https://cmdb.example/in', kinds: [], paused: true, failures: 7 }],
  '/v1/quotas': [{ owner: 'platform', limits: { guests: 40, cores: 120, memory_bytes: 256 * GIB, disk_bytes: null, addresses: 60 }, used: { guests: 14, cores: 38, memory_bytes: 42 * GIB, disk_bytes: 200 * GIB, addresses: 15 } }, { owner: 'lena', limits: { guests: 3, cores: 6 }, used: { guests: 1, cores: 2, memory_bytes: GIB, disk_bytes: 8 * GIB, addresses: 1 } }],
  '/v1/audit': ['session.begin /users/admin', 'plan.create /plans/44b74e172c868ecb', 'plan.approve /plans/e3658a00b33aee53', 'stack.apply /stacks/shop', 'secret.set /secrets/shop/db-password', 'guest.restart /guests/web-1', 'token.create /tokens/rlt_7k2m', 'grant.create /grants/g3', 'stack.protect /stacks/shop'].map((line, n) => ({ seq: 118 - n, at_ms: t - n * 37 * MIN, actor: ['admin', 'bo', 'carla', 'alice', 'lena'][n % 5], via: n % 3 ? 'session' : 'token ci', remote: `192.0.2.${10 + n}`, action: line.split(' ')[0], path: line.split(' ')[1], before: n === 8 ? { protected: false } : null, after: n === 8 ? { protected: true } : n === 6 ? { scopes: [{ role: 'deployer', path: '/stacks/shop' }] } : null })),
};
export const explanation = (ask) => ({
  verdict: ask.port === 443 ? 'accept' : 'drop', decided_in: 0,
  decided_by: { level: { at: 'guest' }, text: ask.port === 443 ? 'IN ACCEPT -i net0 -p tcp -dport 443' : 'inbound policy DROP', outcome: { is: 'decides', why: ask.port === 443 ? 'accept' : 'drop' } },
  stages: [{ way: 'in', vmid: 2000, nic: 'net0', node: 'pve1', engine: 'iptables', verdict: ask.port === 443 ? 'accept' : 'drop', steps: [
    { level: { at: 'switch' }, text: "the datacenter's firewall is on", outcome: { is: 'goes_on' } }, { level: { at: 'switch' }, text: 'the firewall of the guest is on', outcome: { is: 'goes_on' } }, { level: { at: 'switch' }, text: 'the firewall of net0 is on', outcome: { is: 'goes_on' } },
    { level: { at: 'guest' }, text: 'IN ACCEPT -i net0 -p tcp -dport 443', outcome: ask.port === 443 ? { is: 'decides', why: 'accept' } : { is: 'no_match', why: 'the port is another' } },
    ...(ask.port === 443 ? [] : [{ level: { at: 'guest' }, text: 'IN ACCEPT -i net0 -source 10.20.0.0/24 -p tcp -dport 5432', outcome: { is: 'no_match', why: 'the source is another' } }, { level: { at: 'policy' }, text: 'inbound policy DROP', outcome: { is: 'decides', why: 'drop' } }])] }],
  packet: { source: ask.from, port: ask.port },
});
