// Goal: every view works against the real server: nothing is busy for ever, axe finds nothing serious in either theme or on a phone,
// nothing is wider than the screen, and nothing unexpected is refused. Method: each view in turn, in one browser.
import { axe, go, signIn } from './browser.mjs';
import { PASSWORD, begun, flow, stack, user } from './flow.mjs';
import { views } from './furnished.mjs';

await flow(async ({ world, siteFile, someone, step }) => {
  await begun(world, siteFile);
  await user(world, 'jonas', 'deployer');
  const shop = stack('shop', 2, '    firewall: { rules: [{ allow: https, on: eth0, from: anywhere }] }\n');
  await world.settled(await world.apply('shop', shop));
  await world.settled(await world.apply('shop', shop.replace('256', '512')));
  await world.api('POST', '/v1/plans', { files: [{ name: 'shop.yaml', text: stack('shop', 3) }] });
  await world.api('POST', '/v1/plans', { stack: 'shop', destroy: true });
  const guests = (await world.api('GET', '/v1/guests')).items;
  await world.control('lab', 'POST', '/guests', { vmid: guests[0].vmid, config: { memory: '2048' } });
  // Whatever the description of the server names must be answered.
  const { paths } = await world.api('GET', '/openapi.json');
  const served = Object.keys(paths).map((path) => new RegExp(`^${path.replace(/\{[^}]*\}/g, '[^/]+')}$`));
  const looks = [['light', 1440, 900], ['dark', 390, 844]];
  for (const [theme, width, height] of looks) {
    const one = await someone(`${theme}, ${width} pixels`, { theme, width, height });
    one.page.on('response', (response) => {
      const path = new URL(response.url()).pathname;
      if (response.status() >= 400 && path !== '/v1/session' && served.some((one) => one.test(path))) one.wrong.push(`${response.status()} ${response.request().method()} ${path}`);
    });
    await signIn(one.page, world.url, 'maria', PASSWORD);
    for (const [name, hash] of await views(world, 'lab', 'shop')) {
      step(`${theme} ${name}`);
      await go(one.page, hash);
      const wide = await one.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) one.wrong.push(`${name}: ${wide} pixels wider than the screen`);
      for (const found of await axe(one.page)) one.wrong.push(`${name}: axe: ${found}`);
    }
  }
});
