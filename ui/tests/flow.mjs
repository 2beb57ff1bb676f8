// What each flow shares: the world that the Rust test has prepared, the server, a browser, and what must hold at the end.
import { browse, person } from './browser.mjs';
import { World, send } from './world.mjs';

/** Console lines that a flow brings about on purpose may be named by whoever does. */
export async function flow(act) {
  const given = JSON.parse(process.env.UI_WORLD);
  const world = new World({ program: given.program, dir: given.dir, pace: given.pace });
  const site = world.take('lab', given.site);
  const people = [];
  let browser;
  let code = 1;
  const step = (what) => console.log(what);
  try {
    await world.serve();
    browser = await browse();
    const someone = async (name, options) => {
      const one = { name, ...(await person(browser, world.url, options)) };
      people.push(one);
      return one;
    };
    await act({ world, site, siteFile: given.site_file, someone, step });
    const wrong = people.flatMap((one) => one.wrong.map((what) => `${one.name}: ${what}`));
    if (wrong.length) throw new Error(`what should not have happened:\n${wrong.join('\n')}`);
    await world.stop();
    if (world.server.how.code !== 0) throw new Error(`the server ended with ${JSON.stringify(world.server.how)}`);
    code = 0;
  } catch (error) {
    console.error(error);
    for (const one of people) {
      console.error(`--- what ${one.name} saw at ${one.page.url().replace(/token=\S+/, 'token=…')}`);
      console.error(await one.page.evaluate(() => document.body.innerText).catch(String));
      console.error(one.wrong.join('\n'));
    }
    console.error('--- what the server said\n', (world.server?.err ?? '').replace(/token=\S+/g, 'token=…').slice(-4000));
  } finally {
    await browser?.close().catch(() => {});
    await world.end();
  }
  process.exit(code);
}

export const PASSWORD = 'correct horse battery';

/** The first user and the site, by the interface: flows that are about something else begin here. */
export async function begun(world, siteFile) {
  const token = (await world.setupLink()).split('token=')[1];
  await send(`${world.url}/v1/setup`, { method: 'POST', ca: world.authority, body: { token, name: 'maria', password: PASSWORD } });
  await world.api('POST', '/v1/sites', { text: siteFile, token: world.sites.lab.token });
}

/** A user with a role everywhere. */
export async function user(world, name, role) {
  await world.api('POST', '/v1/users', { name, password: PASSWORD });
  await world.api('POST', '/v1/grants', { to: `user:${name}`, role, path: '/' });
}

export const stack = (name, count, more = '') =>
  `kind: stack\nname: ${name}\nsite: lab\ncontainers:\n  web:\n    count: ${count}\n    image: debian-12\n    cores: 1\n    memory: 256 MiB\n    disk: 1 GiB\n    nics: { eth0: { network: lan } }\n${more}`;

/** Replaces what is in the editor of the page by pasting. */
export async function paste(page, text) {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator('[data-editor="ready"] .cm-content').click();
  await page.evaluate((all) => navigator.clipboard.writeText(all), text);
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Control+v');
}
