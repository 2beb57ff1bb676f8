// Where in a stack file a position is, and what the JSON Schema offers there. Line-based, so that it works on text that
// is half written and does not parse.

export type Schema = Record<string, unknown> & { $defs?: Record<string, Schema>; properties?: Record<string, Schema> };
export type Spot = { path: string[]; at: 'key' | 'value'; key?: string; word: string; siblings: string[]; flow: boolean };
export type Offer = { label: string; detail: string; info: string; kind: 'key' | 'value'; opens: boolean };

const KEY = /^(\s*)((?:- +)*)(?:"([^"]+)"|'([^']+)'|([\w.@/-]+)):(?:\s|$)/;

type Row = { indent: number; key: string | null; items: number; rest: string };

function row(line: string): Row | null {
  if (/^\s*(#|$)/.test(line)) return null;
  const match = KEY.exec(line);
  if (match) {
    const items = (match[2] ?? '').split('-').length - 1;
    const indent = (match[1] ?? '').length + (match[2] ?? '').length;
    return { indent, key: match[3] ?? match[4] ?? match[5] ?? '', items, rest: line.slice(match[0].length) };
  }
  const item = /^(\s*)((?:- +)+)/.exec(line);
  if (item) return { indent: item[0].length, key: null, items: (item[2] ?? '').split('-').length - 1, rest: line.slice(item[0].length) };
  return { indent: line.length - line.trimStart().length, key: null, items: 0, rest: line.trimStart() };
}

/** Keys open within `{ … }` and `[ … ]` before the end of the text, and what is being written there. */
function flowOf(text: string): { path: string[]; siblings: string[]; open: boolean; tail: string } {
  const stack: { path: string[]; siblings: string[] }[] = [];
  let path: string[] = [];
  let siblings: string[] = [];
  let token = '';
  let quote = '';
  for (const char of text) {
    if (quote) {
      if (char === quote) quote = '';
      token += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      token += char;
    } else if (char === '{' || char === '[') {
      const key = /([\w.@/-]+)\s*:\s*$/.exec(token)?.[1];
      stack.push({ path, siblings: key ? [...siblings, key] : siblings });
      path = [...path, ...(key ? [key] : []), ...(char === '[' ? ['[]'] : [])];
      siblings = [];
      token = '';
    } else if (char === '}' || char === ']') {
      const before = stack.pop();
      path = before?.path ?? [];
      siblings = before?.siblings ?? [];
      token = '';
    } else if (char === ',') {
      const key = /^\s*([\w.@/-]+)\s*:/.exec(token)?.[1];
      if (key) siblings = [...siblings, key];
      token = '';
    } else token += char;
  }
  return { path, siblings, open: stack.length > 0, tail: token };
}

/** The document of the file that holds the line, as its first and last line. */
function documentAround(lines: string[], at: number): [number, number] {
  let first = at;
  while (first > 0 && !/^---/.test(lines[first - 1] ?? '')) first -= 1;
  let last = at;
  while (last + 1 < lines.length && !/^---/.test(lines[last + 1] ?? '')) last += 1;
  return [first, last];
}

export function kindAt(lines: string[], at: number): string | null {
  const [first, last] = documentAround(lines, at);
  for (let n = first; n <= last; n += 1) {
    const match = /^kind:\s*"?(\w+)/.exec(lines[n] ?? '');
    if (match) return match[1] ?? null;
  }
  return null;
}

/** The spot at a column of a line, from 0. */
export function spot(lines: string[], at: number, column: number): Spot {
  const before = (lines[at] ?? '').slice(0, column);
  const [first, last] = documentAround(lines, at);
  const here = row(before) ?? { indent: before.length, key: null, items: 0, rest: '' };
  const path: string[] = [];
  const parents: string[] = [];
  let indent = here.indent;
  let wantsItem = here.items > 0;
  for (let n = at - 1; n >= first && (indent > 0 || wantsItem); n -= 1) {
    const above = row(lines[n] ?? '');
    if (!above) continue;
    const dash = above.items > 0 ? (lines[n] ?? '').indexOf('-') : -1;
    const ours = wantsItem ? above.key !== null && above.items === 0 && above.indent <= before.indexOf('-') : above.key !== null && above.indent < indent;
    if (above.items > 0 && !wantsItem && above.indent === indent && dash < indent) {
      // A sibling key that stands behind the dash of the same item.
      wantsItem = true;
      indent = dash + 1;
      parents.unshift('[]');
      continue;
    }
    if (ours) {
      if (wantsItem && parents[0] !== '[]') parents.unshift('[]');
      parents.unshift(above.key ?? '');
      indent = above.indent;
      wantsItem = above.items > 0;
      if (wantsItem) {
        parents.unshift('[]');
        indent = dash + 1;
      }
    }
  }
  path.push(...parents);

  const inline = here.key !== null ? here.rest : before.slice(before.length - here.rest.length);
  const flow = flowOf(inline);
  const siblings: string[] = [];
  if (flow.open) {
    if (here.key !== null) path.push(here.key);
    path.push(...flow.path);
    siblings.push(...flow.siblings);
    const pair = /^\s*([\w.@/-]+)\s*:\s*(.*)$/.exec(flow.tail);
    if (pair) return { path, at: 'value', key: pair[1], word: pair[2] ?? '', siblings, flow: true };
    const isItem = path.at(-1) === '[]';
    return { path: isItem ? path.slice(0, -1) : path, at: isItem ? 'value' : 'key', key: isItem ? '[]' : undefined, word: flow.tail.trimStart(), siblings, flow: true };
  }
  if (here.key !== null) return { path, at: 'value', key: here.key, word: here.rest.trimStart(), siblings, flow: false };
  for (let n = first; n <= last; n += 1) {
    const other = row(lines[n] ?? '');
    if (n !== at && other?.key && other.indent === here.indent && between(lines, n, at, here.indent)) siblings.push(other.key);
  }
  return { path, at: 'key', word: here.rest, siblings, flow: false };
}

/** No line between the two is less indented, so that both belong to one mapping. */
function between(lines: string[], a: number, b: number, indent: number): boolean {
  for (let n = Math.min(a, b) + 1; n < Math.max(a, b); n += 1) {
    const one = row(lines[n] ?? '');
    if (one && (one.indent < indent || one.items > 0)) return false;
  }
  return true;
}

function variants(root: Schema, schema: Schema | undefined, depth = 0): Schema[] {
  if (!schema || depth > 8) return [];
  const ref = schema.$ref;
  if (typeof ref === 'string') {
    const target = root.$defs?.[ref.replace('#/$defs/', '')];
    return [{ ...schema, $ref: undefined }, ...variants(root, target, depth + 1)];
  }
  const more = [...((schema.anyOf as Schema[]) ?? []), ...((schema.oneOf as Schema[]) ?? []), ...((schema.allOf as Schema[]) ?? [])];
  return [schema, ...more.flatMap((one) => variants(root, one, depth + 1))];
}

function step(root: Schema, from: Schema[], key: string): Schema[] {
  return from.flatMap((schema) => {
    if (key === '[]') return schema.items ? variants(root, schema.items as Schema) : [];
    const known = schema.properties?.[key];
    if (known) return variants(root, known);
    const other = schema.additionalProperties;
    return other && typeof other === 'object' ? variants(root, other as Schema) : [];
  });
}

/** What may stand at a spot. */
export function offers(root: Schema, kind: string | null, where: Spot): Offer[] {
  const top = kind === 'site' ? root.$defs?.Site : kind === 'stack' ? root.$defs?.Stack : root;
  let schemas = variants(root, top);
  for (const key of where.path) schemas = step(root, schemas, key);
  if (where.at === 'value') {
    const found = new Map<string, Offer>();
    for (const schema of step(root, schemas, where.key ?? '')) {
      const words = [...((schema.enum as unknown[]) ?? []), ...('const' in schema ? [schema.const] : []), ...(schema.type === 'boolean' ? [true, false] : []), ...((schema.examples as unknown[]) ?? []), ...('default' in schema && typeof schema.default !== 'object' ? [schema.default] : [])];
      for (const word of words) found.set(String(word), { label: String(word), detail: '', info: String(schema.description ?? ''), kind: 'value', opens: false });
    }
    return [...found.values()];
  }
  const found = new Map<string, Offer>();
  for (const schema of schemas) {
    const needed = (schema.required as string[]) ?? [];
    for (const [name, one] of Object.entries(schema.properties ?? {})) {
      if (where.siblings.includes(name) || found.has(name)) continue;
      const all = variants(root, one);
      const type = all.map((variant) => variant.type).find((t) => typeof t === 'string') as string | undefined;
      const info = all.map((variant) => variant.description).find((d) => typeof d === 'string') as string | undefined;
      found.set(name, { label: name, detail: needed.includes(name) ? `${type ?? ''} required`.trim() : (type ?? ''), info: info ?? '', kind: 'key', opens: type === 'object' });
    }
  }
  return [...found.values()];
}
