// Goal: what is shown stays true when the server is killed and started again in mid-view, and when the page has fallen behind;
// the search and the keyboard lead everywhere. Method: SIGKILL, and a stream that is let through with a number it has never seen.
import { PASSWORD, begun, flow, stack } from './flow.mjs';
import { settled, signIn } from './browser.mjs';

await flow(async ({ world, siteFile, someone, step }) => {
  await begun(world, siteFile);
  await world.settled(await world.apply('shop', stack('shop', 2)));
  const { page } = await someone('maria');
  await signIn(page, world.url, 'maria', PASSWORD);

  step('killed and started again in mid-view');
  await page.goto(`${world.url}/#/operations`);
  await page.getByRole('link', { name: /^apply shop/ }).waitFor();
  await world.stop('SIGKILL');
  await page.getByText('Reconnecting…').waitFor();
  await world.serve();
  await page.getByText('Live', { exact: true }).waitFor();
  await world.settled(await world.apply('wiki', stack('wiki', 1)));
  await page.getByRole('row', { name: /apply wiki.*done/ }).waitFor();

  step('fallen behind');
  let through = false;
  let asked = '';
  await page.route('**/v1/events', async (route) => {
    const headers = await route.request().allHeaders();
    if (!through) return route.abort();
    asked ||= headers['last-event-id'] ?? '';
    // A number that this server has never given out: it cannot replay from there.
    return route.continue({ headers: { ...headers, 'last-event-id': '999999999-0' } });
  });
  await world.stop('SIGKILL');
  await page.getByText('Reconnecting…').waitFor();
  await world.serve();
  await world.settled(await world.apply('blog', stack('blog', 1)));
  // The row may come from a reading that was under way: what shows the resync is that the stream is let through and all is read anew.
  const anew = page.waitForRequest((request) => through && asked !== '' && new URL(request.url()).pathname === '/v1/operations');
  through = true;
  await anew;
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByRole('row', { name: /apply blog.*done/ }).waitFor();
  if (!/^\d+-\d+$/.test(asked)) throw new Error(`the page went on from ${JSON.stringify(asked)}`);
  await page.unroute('**/v1/events');

  step('searched, by keyboard alone');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('web-2');
  await page.locator('dialog[open] li', { hasText: 'VMID' }).first().waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'web-2', level: 1 }).waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.getByRole('heading', { name: 'Stacks', level: 1 }).waitFor();
  await settled(page);
  // From the top of the content to the first stack, its tabs, and the last of them.
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
  const tabTo = async (name) => {
    for (let n = 0; n < 60; n += 1) {
      await page.keyboard.press('Tab');
      if (name.test(await focused())) return;
    }
    throw new Error(`the keyboard does not lead to ${name}`);
  };
  await tabTo(/^blog$/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'blog', level: 1 }).waitFor();
  await settled(page);
  await tabTo(/^Plan again$/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Plan for blog', level: 1 }).waitFor();
  await page.getByText('Nothing is to be done').waitFor();
  await tabTo(/^Discard$/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await tabTo(/^Discard$/);
  await page.keyboard.press('Enter');
  await tabTo(/^Discard$/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByText('discarded', { exact: true }).first().waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await page.keyboard.press('Escape');
});
