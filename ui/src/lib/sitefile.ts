// A site's file, written from what the server keeps of it: the declaration with its defaults, which is not the text that was sent.
type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
type Fields = Record<string, Value>;

/** Without what says nothing: nulls, empty lists, empty maps. */
function said(value: Value): Value {
  if (Array.isArray(value)) return value.map(said);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).map(([key, one]): [string, Value] => [key, said(one)]);
  return Object.fromEntries(kept.filter(([, one]) => one !== null && !(typeof one === 'object' && Object.keys(one).length === 0)));
}

const PLAIN = /^[A-Za-z][A-Za-z0-9_.-]*$/;
const WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i;

/** One value on one line, as YAML reads it: JSON, with plain words where they are safe. */
function flow(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{ ${Object.entries(value).map(([key, one]) => `${flow(key)}: ${flow(one)}`).join(', ')} }`;
  }
  return typeof value === 'string' && PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value);
}

/** Things by name, without the name that each repeats. */
const byName = (all: Value): Fields => Object.fromEntries(Object.entries((all ?? {}) as Fields).map(([name, one]) => [name, { ...(one as Fields), name: null }]));

/** The text of `kind: site` that declares the same. */
export function siteFile(declared: Record<string, unknown>): string {
  const { name, datacenter, endpoints, token, tls, zones, networks, ...rest } = declared as Fields;
  const trust = { ...((tls === null || typeof tls !== 'object' ? {} : tls) as Fields) };
  const { fingerprints, ...others } = trust;
  const fingerprint: Value = Array.isArray(fingerprints) && fingerprints.length === 1 ? (fingerprints[0] ?? null) : (fingerprints ?? null);
  const whole = said({
    kind: 'site', name: name ?? null, datacenter: datacenter ?? null,
    proxmox: { endpoints: endpoints ?? null, token: token ?? null, tls: { ...others, fingerprint } },
    networks: byName(networks ?? null), ...rest, dns: byName(zones ?? null),
  }) as Fields;
  const lines: string[] = [];
  for (const [key, value] of Object.entries(whole)) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) lines.push(`${key}: ${flow(value)}`);
    else lines.push(`${key}:`, ...Object.entries(value).map(([inner, one]) => `  ${flow(inner)}: ${flow(one)}`));
  }
  return `${lines.join('\n')}\n`;
}
