// A server of made-up answers, for working on the page without Proxmox and without the program. `npm run mock` and open it.
// Plain HTTP on loopback; any password signs in, except `wrong`.
import { createReadStream, existsSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import * as world from './world.mjs';

const DIST = new URL('../dist/', import.meta.url).pathname;
const SCHEMA = new URL('../../schema/stack-file.schema.json', import.meta.url).pathname;
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

let signedIn = process.env.MOCK_SIGNED_IN !== '0';
let seq = 100;
const followers = new Set();
const log = [];
const tell = (event, data) => {
  seq += 1;
  const frame = { id: `${seq}-${seq}`, event, data: { seq, at_ms: Date.now(), ...data } };
  log.push(frame);
  for (const follower of followers) send(follower, frame);
};
const send = (response, frame) => response.write(`id: ${frame.id}\nevent: ${frame.event}\ndata: ${JSON.stringify(frame.data)}\n\n`);
const change = (action, path) => tell('change', { actor: 'admin', action, path });

const page = (items) => ({ items, next: null });
const problem = (status, code, title, detail, hints = []) => ({ status, type: 'application/problem+json', body: { type: `/errors/${code}`, title, status, code, detail, hints, request: 'req-01' } });
const missing = (what) => problem(404, 'RL0503', 'Not found', `there is no ${what}`);
const session = () => ({ user: { name: 'admin' }, csrf: 'mock-csrf', grants: [{ role: 'admin', path: '/' }] });

const routes = [
  ['GET', /^\/v1\/sign-in$/, () => ({ password: true, oidc: { name: 'Keycloak' }, setup_needed: false })],
  ['GET', /^\/v1\/session$/, () => (signedIn ? session() : problem(401, 'RL0501', 'Not signed in', 'nobody is signed in'))],
  ['POST', /^\/v1\/session$/, (_, body) => {
    if (body.password === 'wrong') return problem(401, 'RL0501', 'Not signed in', 'name or password are wrong', ['after five wrong passwords a pause follows']);
    signedIn = true;
    return session();
  }],
  ['DELETE', /^\/v1\/session$/, () => { signedIn = false; return null; }],
  ['POST', /^\/v1\/setup$/, () => { signedIn = true; return session(); }],
  ['GET', /^\/v1\/overview$/, () => world.overview()],
  ['GET', /^\/v1\/topology$/, () => world.topology()],
  ['GET', /^\/v1\/schema$/, () => JSON.parse(readFileSync(SCHEMA, 'utf8'))],
  ['GET', /^\/v1\/stacks$/, () => page(world.stacks.map(world.stackRow))],
  ['GET', /^\/v1\/stacks\/([^/]+)$/, ([name]) => { const stack = world.stacks.find((one) => one.name === name); return stack ? world.stackWhole(stack) : missing(`stack \`${name}\``); }],
  ['PATCH', /^\/v1\/stacks\/([^/]+)$/, ([name], body) => { const stack = world.stacks.find((one) => one.name === name); Object.assign(stack, body); change('stack.protect', `/stacks/${name}`); return world.stackWhole(stack); }],
  ['GET', /^\/v1\/stacks\/([^/]+)\/revisions$/, ([name]) => page(Array.from({ length: world.stacks.find((one) => one.name === name).revision }, (_, n) => ({ revision: n + 1, at_ms: Date.now() - (9 - n) * 8e7, actor: ['alice', 'bo'][n % 2], operation: world.operations[3].id })))],
  ['GET', /^\/v1\/stacks\/[^/]+\/diff$/, (_, __, query) => ({ from: 3, to: 4, text: `--- revision ${query.get('from')}\n+++ revision ${query.get('to')}\n@@ -6,7 +6,7 @@\n   web:\n-    count: 2\n+    count: 3\n     image: debian-12\n-    memory: 512 MiB\n+    memory: 1 GiB\n     disk: 8 GiB\n` })],
  ['POST', /^\/v1\/stacks\/([^/]+)\/verify$/, ([name]) => world.proofOf(name, Date.now())],
  ['GET', /^\/v1\/stacks\/([^/]+)\/proof$/, ([name]) => (name === 'lab' ? missing('proof') : world.proofOf(name))],
  ['GET', /^\/v1\/stacks\/([^/]+)\/drift$/, ([name]) => page(world.driftOf(name))],
  ['POST', /^\/v1\/validate$/, (_, body) => { const text = body.files[0].text; const line = text.split('\n').findIndex((one) => one.includes('coress')); return line < 0 ? { ok: true, diagnostics: [] } : { ok: false, diagnostics: [{ code: 'RL0104', severity: 'error', file: body.files[0].name, line: line + 1, column: text.split('\n')[line].indexOf('coress') + 1, span: { start: 0, end: 6 }, message: 'a container has no key `coress`', label: 'unknown key', help: 'did you mean `cores`?', related: [] }] }; }],
  ['POST', /^\/v1\/plans\/preview$/, () => world.previewOf('shop')],
  ['POST', /^\/v1\/plans$/, (_, body) => { const plan = { ...world.plans[0], id: `plan${seq}`, author: 'admin', stack: body.stack ?? 'shop', needs_approval: false, destroy: !!body.destroy }; world.plans.unshift(plan); change('plan.create', `/plans/${plan.id}`); return { status: 201, body: plan }; }],
  ['GET', /^\/v1\/plans$/, () => page(world.plans)],
  ['GET', /^\/v1\/plans\/([^/]+)$/, ([id]) => world.plans.find((one) => one.id === id) ?? missing('plan')],
  ['POST', /^\/v1\/plans\/([^/]+)\/approve$/, ([id]) => { const plan = world.plans.find((one) => one.id === id); Object.assign(plan, { approved_by: 'admin', state: 'approved' }); change('plan.approve', `/plans/${id}`); return plan; }],
  ['POST', /^\/v1\/plans\/([^/]+)\/apply$/, ([id]) => { Object.assign(world.plans.find((one) => one.id === id), { state: 'applied', operation: world.operations[0].id }); return { status: 202, body: { operation: world.operations[0].id } }; }],
  ['DELETE', /^\/v1\/plans\/([^/]+)$/, ([id]) => { Object.assign(world.plans.find((one) => one.id === id), { state: 'discarded' }); change('plan.discard', `/plans/${id}`); return null; }],
  ['GET', /^\/v1\/operations$/, (_, __, query) => page(world.operations.filter((one) => (!query.get('stack') || one.stack === query.get('stack')) && (!query.get('state') || one.state === query.get('state'))).map(({ jobs: ___, ...one }) => one))],
  ['GET', /^\/v1\/operations\/([^/]+)$/, ([id]) => world.operations.find((one) => one.id === id) ?? missing('operation')],
  ['GET', /^\/v1\/operations\/([^/]+)\/events$/, ([id]) => page((world.operations.find((one) => one.id === id)?.jobs ?? []).flatMap((job, n) => [{ seq: n * 3, at_ms: Date.now() - 40_000 + n * 900, job: job.id, kind: 'job.started', body: {} }, ...job.steps.map((step, m) => ({ seq: n * 3 + m + 0.1, at_ms: step.at_ms, job: job.id, kind: `step.${step.state}`, body: { step: step.name, upid: step.upid } }))]))],
  ['POST', /^\/v1\/operations\/([^/]+)\/(cancel|retry)$/, ([id, what]) => { const one = world.operations.find((other) => other.id === id); if (what === 'cancel') one.cancelled_by = 'admin'; tell('operation.state', { operation: id, stack: one.stack, kind: 'operation.state', body: {} }); return { status: 202, body: { operation: id } }; }],
  ['GET', /^\/v1\/guests$/, (_, __, query) => page(world.guests.filter((one) => !query.get('stack') || one.stack === query.get('stack')))],
  ['GET', /^\/v1\/guests\/([^/]+)$/, ([id]) => { const guest = world.guests.find((one) => one.id === id); if (!guest) return missing('guest'); const applied = world.previewOf('shop').actions[0].kind.guest; return { ...guest, applied: { ...applied, name: guest.name }, observed: { status: guest.state, lock: null, config: { fields: { hostname: guest.name, cores: '2', memory: '1024', rootfs: 'size=8G,storage=local-zfs', net0: `bridge=vmbr0,firewall=1,gw=10.20.0.1,hwaddr=52:5D:12:6A:25:FD,ip=${guest.addresses[0]}/24,name=eth0,type=veth`, tags: 'rl-4b3fff3t4dq3', description: 'rapidlaunch: guest=4b3fff3t4dq3xcxpcd21 stack=shop' } } }, tasks: [{ upid: 'UPID:pve1:1', kind: 'vzcreate', status: 'OK', user: 'root@pam!rapidlaunch', started_at_ms: Date.now() - 18e6 }, { upid: 'UPID:pve1:2', kind: 'vzstart', status: 'OK', user: 'root@pam!rapidlaunch', started_at_ms: Date.now() - 17.9e6 }] }; }],
  ['GET', /^\/v1\/guests\/[^/]+\/snapshots$/, () => page([{ name: 'before-upgrade' }, { name: 'monday' }])],
  ['POST', /^\/v1\/guests\/[^/]+\/actions$/, () => ({ status: 202, body: { operation: world.operations[2].id } })],
  ['POST', /^\/v1\/firewall\/explain$/, (_, body) => world.explanation(body)],
  ['GET', /^\/v1\/zones\/[^/]+\/records$/, () => page(world.lists.records)],
  ['GET', /^\/v1\/secrets\/(.+)$/, ([name]) => ({ name: decodeURIComponent(name), versions: [{ version: 1, at_ms: Date.now() - 9e8 }, { version: 2, at_ms: Date.now() - 5e8 }, { version: 3, at_ms: Date.now() - 1e8 }], delivered: [{ guest: 'db-1', path: '/run/secrets/db-password', version: 3, at_ms: Date.now() - 1e8 }] })],
  ['GET', /^\/v1\/sites\/([^/]+)$/, ([name]) => world.lists['/v1/sites'].find((one) => one.name === name) ?? missing('site')],
  ['POST', /^\/v1\/sites\/[^/]+\/check$/, () => ({ ok: false, items: [{ name: 'endpoint https://pve1.fra1.example:8006', ok: true, found: 'Proxmox VE 9.1.6, answered in 74 ms', hint: null }, { name: 'cluster', ok: true, found: '4 nodes, 18 guests, quorate', hint: null }, { name: 'privileges', ok: false, found: '1 of 51 is missing: VM.Snapshot on /vms', hint: 'pveum acl modify /vms --tokens root@pam!rapidlaunch --roles PVEVMAdmin' }] })],
  ['GET', /^\/v1\/webhooks\/[^/]+\/deliveries$/, () => page([{ n: 3, at_ms: Date.now() - 9e5, event: 'operation.state', state: 'delivered', status: 200, attempts: 1 }, { n: 2, at_ms: Date.now() - 9e6, event: 'operation.state', state: 'failed', status: 503, attempts: 8, error: 'the receiver answered 503' }])],
  ['POST', /^\/v1\/audit\/verify$/, () => ({ ok: true, entries: 118 })],
  ['POST', /^\/v1\/tokens$/, () => ({ status: 201, body: { token: 'rlt_abcd_0123456789abcdef0123456789abcdef' } })],
  ['GET', /^\/v1\/search$/, (_, __, query) => { const q = (query.get('q') ?? '').toLowerCase(); return page([...world.guests.filter((one) => `${one.name} ${one.addresses} ${one.vmid}`.includes(q)).map((one) => ({ kind: 'guest', name: one.name, path: `/guests/${one.id}`, text: `${one.stack}, ${one.addresses[0]}` })), ...world.stacks.filter((one) => one.name.includes(q)).map((one) => ({ kind: 'stack', name: one.name, path: `/stacks/${one.name}`, text: one.state }))].slice(0, 20)); }],
  ['GET', /^(\/v1\/[a-z]+)$/, ([path]) => (world.lists[path] ? page(world.lists[path]) : missing('route'))],
  [/^(POST|PUT|PATCH|DELETE)$/, /^\/v1\//, () => ({})],
];

function answer(request, response, text) {
  const url = new URL(request.url, 'http://mock');
  if (url.pathname === '/v1/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': hello\n\n');
    const after = Number(String(request.headers['last-event-id'] ?? url.searchParams.get('after') ?? '').split('-')[0]);
    if (after) for (const frame of log.filter((one) => one.data.seq > after)) send(response, frame);
    followers.add(response);
    request.on('close', () => followers.delete(response));
    return;
  }
  for (const [method, pattern, act] of routes) {
    const match = pattern.exec(url.pathname);
    if (!match || !(typeof method === 'string' ? method === request.method : method.test(request.method))) continue;
    const made = act(match.slice(1).map(decodeURIComponent), text ? JSON.parse(text) : {}, url.searchParams);
    const wrapped = made !== null && typeof made === 'object' && 'status' in made && 'body' in made ? made : { status: made === null ? 204 : 200, body: made };
    response.writeHead(wrapped.status, { 'content-type': wrapped.type ?? 'application/json', etag: '"1"' });
    response.end(wrapped.body === null ? undefined : JSON.stringify(wrapped.body));
    return;
  }
  const name = normalize(url.pathname === '/' || !extname(url.pathname) ? '/index.html' : url.pathname);
  const file = join(DIST, name);
  if (!existsSync(file)) return void response.writeHead(404).end();
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': CSP });
  createReadStream(file).pipe(response);
}

const server = createServer((request, response) => {
  let text = '';
  request.on('data', (chunk) => (text += chunk));
  request.on('end', () => {
    try {
      answer(request, response, text);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
setInterval(() => followers.forEach((one) => one.write(': \n\n')), 15_000);
