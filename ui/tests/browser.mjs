// Debian's Chromium, watched: whatever the page says on its console, asks of other hosts or is refused by its policy is kept.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { PATIENCE_MS as LIMIT_MS, until } from './world.mjs';

// Tests find the packages in a folder of their own (`UI_PACKAGES`), people in ui/node_modules.
const require = createRequire(process.env.UI_PACKAGES ? `${process.env.UI_PACKAGES}/package.json` : import.meta.url);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const CHROMIUM = '/usr/bin/chromium';

export async function browse() {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt install chromium`);
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'], timeout: LIMIT_MS });
}

/** A person at a browser of their own. `wrong` fills with what should not have happened. */
export async function person(browser, url, { theme = 'light', width = 1440, height = 900 } = {}) {
  // The certificate comes from the server's own authority, which Chromium is not told of.
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`the page failed: ${error.stack}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    const text = message.text();
    // Chromium itself notes each refused or broken request; the page shows those to the person.
    if (/^Failed to load resource/.test(text)) return;
    wrong.push(`console: ${text}`);
  });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${(event.composedPath()[0]?.outerHTML ?? "").slice(0, 300)}`)));
  const host = new URL(url).host;
  context.on('request', (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== 'data:' && asked.host !== host) wrong.push(`another host was asked: ${request.url()}`);
  });
  return { context, page, wrong };
}

export async function signIn(page, url, name, password) {
  await page.goto(`${url}/#/`);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('Live', { exact: true }).waitFor();
}

/** Waits until a view has read all that it shows. */
export async function settled(page) {
  await page.locator('h1').first().waitFor();
  // Asked from here: what waits inside of the page needs an `eval` that the page's policy forbids.
  await until('the view has read all that it shows', () => page.evaluate(() => !document.querySelector('[aria-busy="true"], [data-editor="loading"]')));
}

/** Goes to a view of the page. */
export async function go(page, hash) {
  await page.evaluate((to) => { location.hash = to; }, hash);
  await settled(page);
}

/** What axe finds, each as a line. */
export async function axe(page) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.map((one) => `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} (${node.any.map((why) => why.message).join('; ').slice(0, 160)})`).join(' | ')}`);
}
