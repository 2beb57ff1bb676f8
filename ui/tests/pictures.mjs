// Pictures of every view in both themes: `node tests/pictures.mjs PROGRAM FOLDER [VIEW…]`, or `make screenshots`.
// With URL and DATA set, of a server that `furnished.mjs` has started; with PHONE=1 also on a small screen; PNG=1 gives PNG.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { axe, browse, go, person, settled, signIn } from './browser.mjs';
import { PASSWORD, PEOPLE, furnish, views } from './furnished.mjs';
import { World } from './world.mjs';

const [program, folder, ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const dir = mkdtempSync(join(tmpdir(), 'rapidlaunch-pictures-'));
const world = new World({ program, dir });
let failed = false;
try {
  if (process.env.URL) world.join(process.env.URL, process.env.DATA);
  else await furnish(world, (what) => console.error(`pictures: ${what}`));
  const browser = await browse();
  const sizes = [['', 1440, 900], ...(process.env.PHONE ? [['-phone', 390, 844]] : [])];
  for (const theme of ['light', 'dark']) {
    for (const [size, width, height] of sizes) {
      const { context, page, wrong } = await person(browser, world.url, { theme, width, height });
      const chromium = await context.newCDPSession(page);
      const shot = async (name) => {
        const format = process.env.PNG ? { format: 'png' } : { format: 'webp', quality: 82 };
        const { data } = await chromium.send('Page.captureScreenshot', format);
        writeFileSync(join(folder, `${name}${size}-${theme}.${format.format}`), Buffer.from(data, 'base64'));
      };
      const wanted = (name) => !only.length || only.includes(name);
      await page.goto(world.url);
      await settled(page);
      if (wanted('sign-in')) await shot('sign-in');
      await signIn(page, world.url, Object.keys(PEOPLE)[0], PASSWORD);
      for (const [name, hash, act] of await views(world)) {
        if (!wanted(name)) continue;
        await go(page, hash).then(() => act?.(page)).catch((error) => wrong.push(`${name}: ${error.message}`));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) wrong.push(`${name}: ${wide} pixels wider than the screen`);
        for (const one of await axe(page)) wrong.push(`${name}: axe: ${one}`);
        await shot(name);
        await page.keyboard.press('Escape');
        await page.mouse.move(0, 0);
      }
      for (const one of wrong) console.error(`${theme}${size}: ${one}`);
      failed ||= wrong.length > 0;
      await context.close();
    }
  }
  await browser.close();
} finally {
  await world.end();
  rmSync(dir, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
