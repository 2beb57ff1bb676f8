// Where the person is: everything is in the URL's hash, so that a link, a bookmark and the back button hold it.

export type Route = { path: string[]; query: URLSearchParams };

function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

export const at = $state({ route: parse(location.hash) });

addEventListener('hashchange', () => {
  at.route = parse(location.hash);
});

/** A link within the page. */
export function href(parts: (string | number)[], query: Record<string, string | number | null | undefined> = {}): string {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const tail = set.length ? '?' + new URLSearchParams(set.map(([key, value]) => [key, String(value)])).toString() : '';
  return '#/' + parts.map((part) => encodeURIComponent(String(part))).join('/') + tail;
}

export function go(target: string): void {
  location.hash = target.replace(/^#/, '');
}

/** Goes on once something is done, unless the person has gone elsewhere meanwhile. */
export function onwards(): (target: string) => void {
  const from = location.hash;
  return (target) => {
    if (location.hash === from) go(target);
  };
}

/** Goes there in place of where one is: the back button does not lead here again. */
export function replace(target: string): void {
  history.replaceState(null, '', target);
  at.route = parse(location.hash);
}

/** Changes one value of the query without a new entry in the history, as for a filter that is typed. */
export function setQuery(values: Record<string, string | null>): void {
  const query = new URLSearchParams(at.route.query);
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === '') query.delete(key);
    else query.set(key, value);
  }
  const tail = query.size ? '?' + query.toString() : '';
  replace('#/' + at.route.path.map(encodeURIComponent).join('/') + tail);
}

/** Where a path of the interface, such as `/stacks/shop`, is shown. */
export function viewOf(path: string): string {
  const [kind = '', ...rest] = path.replace(/^\/(v1\/)?/, '').split('/');
  const name = rest.join('/');
  const known = ['stacks', 'sites', 'operations', 'plans', 'guests', 'secrets', 'agents', 'schedules', 'webhooks', 'quotas', 'users', 'tokens', 'grants'];
  if (kind === 'zones' || kind === 'records' || kind === 'dns') return href(name ? ['dns', rest[0] ?? ''] : ['dns']);
  if (['users', 'tokens', 'grants'].includes(kind)) return href(['access', kind]);
  if (['secrets', 'agents', 'schedules', 'webhooks', 'quotas'].includes(kind)) return href([kind], { q: name });
  return known.includes(kind) ? href(name ? [kind, name] : [kind]) : href([]);
}
