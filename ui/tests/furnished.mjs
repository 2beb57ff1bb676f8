// A world with something to show in every view: two sites with agents, DNS and firewalls, stacks in all states, people with
// different rights, secrets, plans that wait, an operation that runs and one that needs a person.
import { readFileSync } from 'node:fs';
import { World, freePort, until } from './world.mjs';

const EXAMPLE = readFileSync(new URL('../../examples/three-tiers.yaml', import.meta.url), 'utf8');
export const PASSWORD = 'correct horse battery';
/** Who may do what. The first one does the set-up in the page. */
export const PEOPLE = { maria: 'admin', jonas: 'deployer', lea: 'approver' };

const FIREWALL = '[OPTIONS]\n\nenable: 0\n\n[IPSET management]\n\n10.10.0.0/24\n10.60.0.0/24\n127.0.0.0/8\n';
const state = (secret, names) => ({
  nodes: names.map((name) => ({ name, cores: 32, memory: '256G', disk: '500G' })),
  storages: [
    { id: 'local', type: 'dir', content: ['vztmpl', 'iso', 'backup', 'snippets'], shared: false, size: '500G' },
    { id: 'local-zfs', type: 'zfspool', content: ['rootdir', 'images'], shared: false, size: '4T' },
  ],
  templates: ['local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst'],
  bridges: [{ name: 'vmbr0', address: '10.0.0.1/16', ports: 'eno1', vlan_aware: true }],
  users: [{ id: 'root@pam', password: 'rapidlaunch' }],
  tokens: [{ id: 'root@pam!rapidlaunch', secret, privsep: false }],
  guests: [{ vmid: 900, node: names[0], type: 'qemu', config: { name: 'backup-server', memory: '8192', cores: '4' }, running: true }],
  firewall: { cluster: FIREWALL },
});

/** One document of the example, a site's with the address and fingerprint of the simulated one. */
function document(kind, name, site) {
  const text = EXAMPLE.split('---\n').find((one) => one.includes(`kind: ${kind}\nname: ${name}\n`));
  if (!site) return text;
  const proxmox = `proxmox:\n  endpoints: ${JSON.stringify(site.urls)}\n  token: { secret: sites/${name} }\n  tls: { fingerprint: "${site.fingerprint}" }\n`;
  return text.replace(/proxmox:\n(?: .*\n)+/, proxmox);
}

export const farm = (name, count, more = '', site = 'fra1', memory = 512) =>
  `kind: stack\nname: ${name}\nsite: ${site}\ncontainers:\n  ${name === 'shop' ? 'web' : name}:\n    count: ${count}\n    image: debian-12\n    cores: 2\n    memory: ${memory} MiB\n    disk: 4 GiB\n    nics: { eth0: { network: backend } }\n${more}`;

/** Waits for an operation to be as wanted, whatever came before. */
const reaches = (world, id, state) => until(`operation ${id} is ${state}`, async () => (await world.api('GET', `/v1/operations/${id}`)).state === state);

export async function furnish(world, tell = () => {}) {
  tell('two sites');
  await world.site('fra1', { seed: 1, state: state('11111111-1111-4111-8111-111111111111', ['pve1', 'pve2', 'pve3']) });
  await world.site('ams1', { seed: 2, state: state('22222222-2222-4222-8222-222222222222', ['pve1', 'pve2', 'pve3']) });
  // One process at a time holds a data directory: what the command line makes, it makes before the server starts.
  const nodes = ['fra1', 'ams1'].flatMap((site) => ['pve1', 'pve2', 'pve3'].map((node) => ({ site, node })));
  for (const one of nodes) one.token = await world.run('agent', 'token', '--site', one.site, '--node', one.node);
  const [agents, dns] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  await world.serve('--agents', agents, '--dns', dns);
  const link = await world.setupLink();
  await world.api('POST', '/v1/setup', { token: link.split('token=')[1], name: 'maria', password: PASSWORD }, { token: '' });
  for (const [name, role] of Object.entries(PEOPLE).slice(1)) {
    await world.api('POST', '/v1/users', { name, password: PASSWORD });
    for (const path of ['/stacks', '/sites']) await world.api('POST', '/v1/grants', { to: `user:${name}`, role, path });
  }
  const everything = [{ role: 'admin', path: '/' }];
  const token = async (owner, label, scopes) => (await world.api('POST', '/v1/tokens', { label, owner, scopes })).token;
  const [maria, jonas] = [await token('maria', 'terminal', everything), await token('jonas', 'pipeline', everything)];
  await token('lea', 'grafana', [{ role: 'viewer', path: '/' }]);
  tell('sites, secrets, agents');
  for (const [name, generate] of [['market/db', 32], ['market/session', 48]]) await world.api('PUT', `/v1/secrets/${encodeURIComponent(name)}`, { generate }, { token: maria });
  for (const site of Object.values(world.sites)) await world.api('POST', '/v1/sites', { text: document('site', site.name, site), token: site.token }, { token: maria });
  for (const { site, node, token } of nodes) world.agent(site, node, agents, token);
  tell('stacks');
  const market = await world.apply('market', document('stack', 'market'), maria);
  await world.settled(market);
  await world.settled(await world.apply('shop', farm('shop', 3), maria));
  await world.settled(await world.apply('shop', farm('shop', 3, '', 'fra1', 768), jonas));
  await world.settled(await world.apply('wiki', farm('wiki', 1, '', 'ams1'), jonas));
  await world.api('POST', '/v1/stacks/shop/verify', {});
  await world.api('PATCH', '/v1/stacks/shop', { protected: true, owner: 'jonas' }, { 'If-Match': '*' }).catch((error) => tell(String(error)));
  tell('drift');
  const guests = (await world.api('GET', '/v1/guests?stack=shop&limit=50')).items;
  await world.control('fra1', 'POST', '/guests', { vmid: guests[0].vmid, config: { memory: '2048', cores: '4' } });
  await world.control('fra1', 'POST', '/guests', { vmid: guests[1].vmid, config: { hostname: 'renamed' } });
  await world.api('GET', '/v1/stacks/shop/drift');
  tell('schedules, a quota, plans');
  const [wiki] = (await world.api('GET', '/v1/guests?stack=wiki')).items;
  await world.api('PUT', '/v1/schedules/nightly', { at: '0 3 * * *', zone: 'Europe/Berlin', action: 'restart', guest: wiki.id }, { token: maria });
  await world.api('PUT', '/v1/schedules/weekend', { at: '0 20 * * 5', zone: 'UTC', action: 'stop', guest: guests[2].id }, { token: maria });
  await world.api('POST', '/v1/schedules/weekend/pause', {}, { token: maria });
  await world.api('PUT', '/v1/quotas/jonas', { guests: 12, cores: 48, memory_bytes: 64 * 1024 ** 3 }, { token: maria });
  await world.api('POST', '/v1/webhooks', { url: 'https://hooks.example.com/rapidlaunch', kinds: ['operation.'] }, { token: maria });
  await world.api('POST', '/v1/plans', { files: [{ name: 'shop.yaml', text: farm('shop', 4, '', 'fra1', 1024) }] }, { token: jonas });
  await world.api('POST', '/v1/plans', { stack: 'wiki', destroy: true }, { token: jonas });
  tell('an operation that needs a person');
  const struck = { path: '/nodes/*/lxc', method: 'POST' };
  await world.control('ams1', 'POST', '/faults', [{ when: { ...struck, times: 1 }, action: { do: 'kill-task' } }]);
  const broken = await world.apply('mirror', farm('mirror', 2, '', 'ams1'), jonas);
  await reaches(world, broken, 'blocked');
  tell('an operation that runs');
  await world.control('fra1', 'POST', '/faults', [{ when: { ...struck, times: 1 }, action: { do: 'hang-task' } }]);
  const running = await world.apply('batch', farm('batch', 3, '  report:\n    count: 2\n    image: debian-12\n    memory: 512 MiB\n    disk: 4 GiB\n    nics: { eth0: { network: backend } }\n    after: [batch]\n'), maria);
  await until('some jobs of it are done', async () => ((await world.api('GET', `/v1/operations/${running}`)).jobs_by_state.done ?? 0) >= 2);
  return { market, broken, running };
}

/** Every view: a name, where it is, and what a person does there first. In a smaller world one stack stands for all. */
export async function views(world, site = 'fra1', only = '') {
  const of = (stack) => only || stack;
  const list = async (path) => (await world.api('GET', path)).items ?? [];
  const operations = await list('/v1/operations?limit=100');
  const plans = await list('/v1/plans?limit=100');
  const guests = await list('/v1/guests?limit=200');
  const found = (items, is) => items.find(is)?.id ?? 'none';
  const { paths } = await world.api('GET', '/openapi.json');
  // Views whose routes the server has.
  const served = (...names) => names.filter((name) => `/v1/${name}` in paths).map((name) => [name, `#/${name}`]);
  const operation = (is) => `#/operations/${found(operations, is)}`;
  const plan = (is) => `#/plans/${found(plans, is)}`;
  return [
    ['overview', '#/'],
    ['topology', '#/topology'],
    ['sites', '#/sites'],
    ['site', `#/sites/${site}`],
    ['site-new', '#/new/site'],
    ['site-edit', `#/sites/${site}/edit`],
    ['stacks', '#/stacks'],
    ['stack', `#/stacks/${of('shop')}`],
    ['stack-file', `#/stacks/${of('market')}/file`],
    ['stack-revisions', `#/stacks/${of('shop')}/revisions`],
    ['stack-proof', `#/stacks/${of('market')}/proof`],
    ['stack-drift', `#/stacks/${of('shop')}/drift`],
    ['stack-history', `#/stacks/${of('shop')}/history`],
    ['plans', '#/plans'],
    ['plan', plan((one) => one.stack === of('shop') && one.state === 'open')],
    ['plan-destroy', plan((one) => one.stack === of('wiki') && one.destroy)],
    ['plan-applied', plan((one) => one.stack === of('market'))],
    ['operations', '#/operations'],
    ['operation-running', operation((one) => one.stack === of('batch'))],
    ['operation-blocked', operation((one) => one.stack === of('mirror'))],
    ['operation-done', operation((one) => one.stack === of('market'))],
    ['guests', '#/guests'],
    ['guest', `#/guests/${found(guests, (one) => one.stack === of('market') && (only || one.name === 'db'))}`, async (page) => {
      await page.getByLabel('From').fill('10.30.0.51');
      await page.getByLabel('Port').fill('5432');
      await page.getByRole('button', { name: 'Explain' }).click();
      await page.locator('[data-verdict]').waitFor();
    }],
    ['guest-drifted', `#/guests/${found(guests, (one) => one.stack === of('shop'))}`],
    ['editor', `#/stacks/${of('shop')}/edit`, (page) => page.getByRole('heading', { name: 'Plan for shop' }).waitFor()],
    ['editor-new', '#/new/stack', async (page) => {
      await page.locator('[data-checked="ok"], [data-checked="errors"]').waitFor();
      if (!only) await page.getByRole('heading', { name: 'Plan for shop' }).waitFor();
    }],
    ['search', '#/', async (page) => {
      await page.keyboard.press('Control+k');
      await page.keyboard.type('web');
      await page.locator('dialog[open] li', { hasText: 'VMID' }).first().waitFor();
    }],
    ['dns', '#/dns'],
    ...(only ? [] : [['dns-zone', '#/dns/market.example']]),
    ['secrets', '#/secrets', async (page) => {
      await page.getByRole('button', { name: 'market/db' }).click();
      await page.getByRole('heading', { name: 'Delivered to' }).waitFor();
    }],
    ['leases', '#/leases'],
    ...served('agents', 'schedules'),
    ['access', '#/access'],
    ['access-users', '#/access/users'],
    ['access-tokens', '#/access/tokens'],
    ['access-grants', '#/access/grants'],
    ['audit', '#/audit'],
    ...served('webhooks', 'quotas'),
    ['me', '#/me'],
  ];
}

// `node furnished.mjs PROGRAM FOLDER` stays up and prints where everything is.
if (process.argv[1]?.endsWith('furnished.mjs')) {
  const [program, dir] = process.argv.slice(2);
  const world = new World({ program, dir });
  process.on('SIGTERM', () => world.end().then(() => process.exit(0)));
  process.on('SIGINT', () => world.end().then(() => process.exit(0)));
  try {
    const made = await furnish(world, (what) => console.error(what));
    console.log(JSON.stringify({ url: world.url, data: world.data, token: world.token, pid: process.pid, ...made }));
  } catch (error) {
    console.error(error, world.server?.err);
    await world.end();
    process.exit(1);
  }
}
