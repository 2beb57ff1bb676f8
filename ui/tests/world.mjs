// The real thing for tests and pictures: simulated sites, the program as a server, and whoever else belongs to it.
// Everything that is started here ends with `end()`, or with this process.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** How long something may take to come true: machines that run other tests beside are slow. */
export const PATIENCE_MS = Number(process.env.UI_PATIENCE_MS) || 120_000;
const LOOK_MS = 25;

/** Ports that the kernel gives to nobody by itself, so that a server that starts again finds its own free. */
const PORTS = { first: 20_000, count: 10_000 };

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `is` answers something, and gives that. */
export async function until(what, is, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await is();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(LOOK_MS);
  }
}

async function freePort() {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    const free = await new Promise((done) => {
      const server = createServer();
      server.once('error', () => done(false));
      server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
    });
    if (free) return port;
  }
}

/** One request, with whatever certificate the server of this world has. */
export function send(url, { method = 'GET', headers = {}, body, ca, trust = true } = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const given = text === undefined ? headers : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), ...headers };
  return new Promise((done, failed) => {
    const asked = (url.startsWith('https:') ? https : http).request(url, { method, headers: given, ca, rejectUnauthorized: trust, agent: false }, (response) => {
      let all = '';
      response.setEncoding('utf8');
      response.on('data', (part) => (all += part));
      response.on('error', failed);
      response.on('end', () => {
        let json = null;
        try {
          json = JSON.parse(all);
        } catch {
          // Not every answer is JSON.
        }
        done({ status: response.statusCode, headers: response.headers, text: all, json });
      });
    });
    asked.on('error', failed);
    asked.end(text);
  });
}

export class World {
  #children = new Set();
  #key = 0;
  sites = {};
  said = '';

  constructor({ program, dir, pace = 20, env = {} }) {
    this.program = program;
    this.dir = dir;
    this.data = join(dir, 'data');
    this.env = { PATH: '/usr/bin:/bin', HOME: dir, USER: 'tester', RAPIDLAUNCH_DATA: this.data, RAPIDLAUNCH_PACE: String(pace), ...env };
    this.pace = pace;
    mkdirSync(dir, { recursive: true });
  }

  path(...parts) {
    return join(this.dir, ...parts);
  }

  /** Starts the program; it dies with this process. */
  spawn(args, { keep = true } = {}) {
    const child = spawn(this.program, args, { cwd: this.dir, env: { ...this.env, RAPIDLAUNCH_PARENT: String(process.pid) }, stdio: ['ignore', 'pipe', 'pipe'] });
    child.out = '';
    child.err = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (child.out += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (child.err += text));
    child.ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
    child.ended.then((how) => (child.how = how));
    if (keep) this.#children.add(child);
    return child;
  }

  /** Runs the program to its end and gives what it printed. */
  async run(...args) {
    const child = this.spawn(args);
    const { code } = await child.ended;
    this.#children.delete(child);
    if (code !== 0) throw new Error(`rapidlaunch ${args.join(' ')}: exit code ${code}\n${child.out}\n${child.err}`);
    return child.out;
  }

  /** Takes a simulated site that runs already. */
  take(name, { urls, fingerprint, token, control }) {
    this.sites[name] = { name, urls, fingerprint, token, control };
    return this.sites[name];
  }

  /** Starts a simulated site. */
  async site(name, { seed = 1, state = null, nodes = 3 } = {}) {
    const args = ['sim', '--listen', '127.0.0.1:0', '--seed', String(seed), '--speed', String(this.pace)];
    if (state) {
      writeFileSync(this.path(`${name}.state.json`), JSON.stringify(state));
      args.push('--state', this.path(`${name}.state.json`));
    } else args.push('--nodes', String(nodes));
    const child = this.spawn(args);
    const line = await until(`the simulated site ${name} is ready`, () => child.out.includes('\n') && child.out.split('\n')[0]);
    return this.take(name, JSON.parse(line));
  }

  /** Asks the simulator itself, past the API of the site. */
  async control(site, method, path, body) {
    const answer = await send(this.sites[site].control + path, { method, body });
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** Takes a server that runs already. */
  join(url, data) {
    const { token, authority } = JSON.parse(readFileSync(join(data, 'api/local.json'), 'utf8'));
    Object.assign(this, { url, token, authority });
  }

  /** Asks the API of a site, as somebody else would. */
  async proxmox(site, method, path, body) {
    const { urls, token } = this.sites[site];
    const answer = await send(`${urls[0]}/api2/json${path}`, { method, body, trust: false, headers: { Authorization: `PVEAPIToken=${token}` } });
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  }

  /** Starts the server, on the port it had before. */
  async serve(...args) {
    this.port ??= await freePort();
    const door = join(this.data, 'api/local.json');
    rmSync(door, { force: true });
    this.server = this.spawn(['serve', '--listen', `127.0.0.1:${this.port}`, ...args]);
    await until('the server says where it is', () => existsSync(door) || this.server.how);
    if (this.server.how) throw new Error(`the server ended: ${this.server.err}`);
    const { url, token, authority } = JSON.parse(readFileSync(door, 'utf8'));
    Object.assign(this, { url, token, authority });
    return this.server;
  }

  /** The link of the first set-up, as the server has printed it. */
  setupLink() {
    return until('the server prints the link of the set-up', () => (this.server.out + this.server.err).match(/https:\S+\/#\/setup\?token=\S+/)?.[0]);
  }

  /** Ends the server: `SIGKILL` as a machine that fails would, `SIGTERM` as a person would. */
  async stop(signal = 'SIGTERM') {
    this.server.kill(signal);
    await this.server.ended;
    this.#children.delete(this.server);
  }

  /** One request with everything allowed. */
  async ask(method, path, body, { token = this.token, ...headers } = {}) {
    this.#key += 1;
    const keyed = method === 'POST' ? { 'Idempotency-Key': `world-${process.pid}-${Date.now()}-${this.#key}` } : {};
    return send(this.url + path, { method, body, ca: this.authority, headers: { Authorization: `Bearer ${token}`, ...keyed, ...headers } });
  }

  /** The same, and it must go well. */
  async api(method, path, body, headers) {
    const answer = await this.ask(method, path, body, headers);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** Waits until an operation is as wanted. */
  settled(id, states = ['done']) {
    return until(`operation ${id} is ${states}`, async () => {
      const operation = await this.api('GET', `/v1/operations/${id}`);
      if (states.includes(operation.state)) return operation;
      if (['failed', 'stuck', 'blocked', 'cancelled'].includes(operation.state)) throw new Error(`operation ${id} is ${operation.state}: ${JSON.stringify(operation.jobs)}`);
      return null;
    });
  }

  /** Plans and applies a stack file, and gives the operation. */
  async apply(name, text, token) {
    const plan = await this.api('POST', '/v1/plans', { files: [{ name: `${name}.yaml`, text }] }, { token });
    return (await this.api('POST', `/v1/plans/${plan.id}/apply`, {}, { token })).operation;
  }

  /** Starts the agent of a node, with the simulated tools of Proxmox VE beside it. */
  agent(site, node, address, joinToken) {
    const home = this.path('nodes', `${site}-${node}`);
    const [tools, trees] = [join(home, 'tools'), this.path('nodes', `${site}-containers`)];
    for (const dir of [tools, trees]) mkdirSync(dir, { recursive: true });
    const control = this.sites[site].control.replace('http://', '').replace(/\/$/, '');
    writeFileSync(join(tools, 'pct.json'), JSON.stringify({ control, node, trees }));
    for (const tool of ['pct', 'pvesh']) symlinkSync(this.program, join(tools, tool));
    const token = join(home, 'token');
    writeFileSync(token, joinToken);
    chmodSync(token, 0o600);
    return this.spawn(['agent', '--server', `https://${address}`, '--data', join(home, 'agent'), '--pct', join(tools, 'pct'), '--pvesh', join(tools, 'pvesh'), '--lock-dir', '', '--token-file', token]);
  }

  async end() {
    const children = [...this.#children];
    for (const child of children) child.kill('SIGTERM');
    const hard = setTimeout(() => children.forEach((child) => child.kill('SIGKILL')), 10_000);
    await Promise.all(children.map((child) => child.ended));
    clearTimeout(hard);
  }
}

export { freePort };
