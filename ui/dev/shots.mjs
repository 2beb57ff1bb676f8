// Takes pictures of the views: node dev/shots.mjs URL FOLDER [view…]. With AXE=1 it also asks axe about each.
import { mkdirSync, readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [url, folder, ...only] = process.argv.slice(2);
const VIEWS = JSON.parse(process.env.VIEWS ?? '{}');
const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
let wrong = 0;
for (const theme of (process.env.THEMES ?? 'light,dark').split(',')) {
  for (const [size, width, height] of [['desktop', 1440, 900], ['phone', 390, 844]]) {
    if (process.env.SIZES && !process.env.SIZES.includes(size)) continue;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, bypassCSP: !!process.env.AXE, ignoreHTTPSErrors: true, storageState: process.env.STATE || undefined });
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && console.log(theme, size, 'console:', message.text()));
    page.on('pageerror', (error) => console.log(theme, size, 'pageerror:', error.message));
    for (const [name, hash] of Object.entries(VIEWS)) {
      if (only.length && !only.includes(name)) continue;
      await page.goto(url + hash, { waitUntil: 'load' });
      if (hash.startsWith('#')) await page.evaluate(() => 0);
      await page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('[aria-busy="true"]'), null, { timeout: 8000 }).catch(() => console.log(name, 'still busy'));
      await page.waitForTimeout(name.includes('editor') ? 1500 : 120);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) console.log(`${name} ${size}: ${wide} px wider than the screen`);
      await page.screenshot({ path: `${folder}/${name}-${size}-${theme}.png` });
      if (process.env.AXE) {
        await page.evaluate(AXE);
        const found = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
        for (const one of found.violations) {
          wrong += 1;
          console.log(`${theme} ${size} ${name}: ${one.impact} ${one.id} ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' | ' + node.any.map((x) => x.message).join(';').slice(0, 160)).join(' || ')}`);
        }
      }
    }
    await context.close();
  }
}
await browser.close();
console.log(wrong, 'findings of axe');
