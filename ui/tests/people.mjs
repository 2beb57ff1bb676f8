// Goal: a second factor is set up and asked for; a protected stack's plan waits for another person; the firewall explains itself;
// a running operation is cancelled.
// Method: three people in browsers of their own, codes as an authenticator makes them (RFC 6238), a task of the site that hangs.
import { createHmac } from 'node:crypto';
import { PASSWORD, begun, flow, stack, user } from './flow.mjs';
import { settled, signIn } from './browser.mjs';

const STEP_MS = 30_000;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** The code of a 30-second step, from a key in base 32. */
function code(key, step) {
  const bits = [...key.replace(/[\s=]/g, '').toUpperCase()].map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', bytes).update(counter).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

await flow(async ({ world, siteFile, someone, step }) => {
  // Without a way in for those who look after the nodes, no site's firewall is switched on.
  await world.proxmox('lab', 'POST', '/cluster/firewall/ipset', { name: 'management' });
  for (const cidr of ['10.50.0.0/24', '127.0.0.0/8']) await world.proxmox('lab', 'POST', '/cluster/firewall/ipset/management', { cidr });
  await begun(world, `${siteFile}firewall: { enable: true, management: [lan] }\n`);
  await user(world, 'jonas', 'deployer');
  await user(world, 'lea', 'approver');
  await world.settled(await world.apply('shop', stack('shop', 1, '    firewall: { rules: [{ allow: https, on: eth0, from: anywhere }] }\n')));

  step('a second factor');
  const { page: maria } = await someone('maria');
  await signIn(maria, world.url, 'maria', PASSWORD);
  await maria.getByRole('link', { name: 'maria' }).click();
  await settled(maria);
  await maria.locator('[name="present-enrol"]').fill(PASSWORD);
  await maria.getByRole('button', { name: 'Set up' }).click();
  const key = await maria.locator('[data-once]').textContent();
  const first = Math.floor(Date.now() / STEP_MS);
  await maria.getByLabel('Code').fill(code(key, first));
  await maria.getByRole('button', { name: 'Turn on' }).click();
  await maria.getByText('Recovery codes, each good once').waitFor();
  await maria.getByRole('button', { name: 'Sign out' }).click();
  await maria.getByLabel('Name').fill('maria');
  await maria.getByLabel('Password').fill(PASSWORD);
  await maria.getByRole('button', { name: 'Sign in', exact: true }).click();
  // The server asks for the code, and each is good once: the next one.
  await maria.getByLabel('Code').fill(code(key, Math.max(first + 1, Math.floor(Date.now() / STEP_MS))));
  await maria.getByRole('button', { name: 'Sign in', exact: true }).click();
  await maria.getByText('Live', { exact: true }).waitFor();

  step('what the firewall does');
  const [guest] = (await world.api('GET', '/v1/guests')).items;
  await maria.goto(`${world.url}/#/guests/${guest.id}`);
  await maria.getByText('IN ACCEPT', { exact: false }).first().waitFor();
  const explain = async (port, verdict) => {
    await maria.getByLabel('From').fill('10.50.0.77');
    await maria.getByLabel('Port').fill(String(port));
    await maria.getByRole('button', { name: 'Explain' }).click();
    await maria.locator(`[data-verdict="${verdict}"]`).waitFor();
  };
  await explain(443, 'accept');
  await explain(8080, 'drop');

  step('a protected stack');
  await maria.goto(`${world.url}/#/stacks/shop`);
  await maria.getByRole('switch', { name: /Protected/ }).click();
  await maria.getByText('plans need the approval of another person', { exact: false }).waitFor();
  const { page: jonas } = await someone('jonas');
  await signIn(jonas, world.url, 'jonas', PASSWORD);
  await jonas.goto(`${world.url}/#/stacks/shop`);
  await jonas.getByRole('button', { name: 'Plan to destroy' }).click();
  await jonas.getByText('waits for approval').waitFor();
  if (await jonas.getByRole('button', { name: 'Apply', exact: true }).isEnabled()) throw new Error('it can be applied without approval');
  const { page: lea } = await someone('lea');
  await signIn(lea, world.url, 'lea', PASSWORD);
  await lea.goto(`${world.url}/#/plans`);
  await lea.getByRole('row', { name: /needs approval/ }).getByRole('link').first().click();
  await lea.getByRole('button', { name: 'Approve' }).click();
  await lea.getByRole('dialog').getByRole('button', { name: 'Approve' }).click();
  await lea.getByText('given by lea').waitFor();
  await jonas.reload();
  await jonas.getByText('given by lea').waitFor();
  await jonas.getByRole('button', { name: 'Apply', exact: true }).click();
  await jonas.getByLabel(/Type/).fill('shop');
  await jonas.getByRole('dialog').getByRole('button', { name: 'Destroy' }).click();
  await jonas.locator('[data-operation="done"]').waitFor();

  step('a running operation is cancelled');
  await world.control('lab', 'POST', '/faults', [{ when: { method: 'POST', path: '/nodes/*/lxc', times: 1 }, action: { do: 'hang-task' } }]);
  const running = await world.apply('wiki', stack('wiki', 2));
  await jonas.goto(`${world.url}/#/operations/${running}`);
  await jonas.locator('[data-job][data-state="running"]').first().waitFor();
  await jonas.getByRole('button', { name: 'Cancel', exact: true }).click();
  await jonas.getByRole('dialog').getByRole('button', { name: 'Cancel the operation' }).click();
  await jonas.locator('[data-operation="cancelled"]').waitFor();
});
