// The client of the HTTP interface: one place that sends the CSRF token and Idempotency-Keys and reads problem documents.
import type { Page, Problem } from './types';

/** A refusal of the server, or a failure to reach it. */
export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly headers: Headers = new Headers(),
  ) {
    super(problem.detail ?? problem.title);
  }
  get status(): number {
    return this.problem.status;
  }
  get code(): string {
    return this.problem.code;
  }
}

export type Answer<T> = { body: T; etag: string | null; status: number; location: string | null };
export type Send = { body?: unknown; ifMatch?: string | null; key?: string; signal?: AbortSignal };

let csrf: string | null = null;
let onSignedOut: () => void = () => {};

/** Takes the token that every change must carry; `null` when nobody is signed in. */
export function setCsrf(token: string | null): void {
  csrf = token;
}

/** Called once an answer says that nobody is signed in any more. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

/** A name for one wish of the person: sending it again under the same name does it only once. */
export function newKey(): string {
  return crypto.randomUUID();
}

/** Turns anything thrown into a problem that can be shown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  return { title: 'The page failed', status: 0, code: '', detail: error instanceof Error ? error.message : String(error) };
}

async function readProblem(response: Response): Promise<Problem> {
  const fallback: Problem = { title: response.statusText || 'Refused', status: response.status, code: '' };
  try {
    const body = (await response.json()) as Partial<Problem>;
    return { ...fallback, ...body };
  } catch {
    return { ...fallback, detail: `the server answered ${response.status} without saying why` };
  }
}

function headersFor(method: string, send: Send): Headers {
  const headers = new Headers({ Accept: 'application/json' });
  if (send.body !== undefined) headers.set('Content-Type', 'application/json');
  if (method === 'GET') return headers;
  if (csrf) headers.set('X-CSRF-Token', csrf);
  headers.set('Idempotency-Key', send.key ?? newKey());
  if (send.ifMatch) headers.set('If-Match', send.ifMatch);
  return headers;
}

/** Sends one request and gives back the whole answer. */
export async function request<T>(method: string, path: string, send: Send = {}): Promise<Answer<T>> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: headersFor(method, send),
      body: send.body === undefined ? undefined : JSON.stringify(send.body),
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      signal: send.signal,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError({ title: 'The server cannot be reached', status: 0, code: '', detail: 'no answer came; it is tried again as soon as the connection is back', hints: [] });
  }
  if (!response.ok) {
    const problem = await readProblem(response);
    // Only the code of "nobody is signed in" ends the session: a wrong password is a 401 of the sign-in form itself.
    if (response.status === 401 && !path.startsWith('/v1/session') && !path.startsWith('/v1/setup')) onSignedOut();
    throw new ApiError(problem, response.headers);
  }
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return {
    body: (text && isJson ? JSON.parse(text) : text) as T,
    etag: response.headers.get('etag'),
    status: response.status,
    location: response.headers.get('location'),
  };
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request<T>('GET', path, { signal })).body;
}

export async function post<T>(path: string, body: unknown = {}, key?: string): Promise<T> {
  return (await request<T>('POST', path, { body, key })).body;
}

/** The version of a thing as it is now, for `If-Match` of a change that is about to be asked for. */
export async function etagOf(path: string, signal?: AbortSignal): Promise<string | null> {
  return (await request('GET', path, { signal })).etag;
}

/** `/v1/stacks/{}/diff` with names escaped and a query of what is set. */
export function path(parts: TemplateStringsArray, ...names: (string | number)[]): string {
  return parts.reduce((all, part, at) => all + part + (at < names.length ? encodeURIComponent(String(names[at])) : ''), '');
}

export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return set.length ? '?' + new URLSearchParams(set.map(([key, value]) => [key, String(value)])).toString() : '';
}

/** Most pages that a list follows by itself: beyond it a person is better served by the search. */
const PAGES_MAX = 20;
const PAGE = 200;

/** All items of a list, page by page. */
export async function all<T>(list: string, filters: Record<string, string | number | null | undefined> = {}, signal?: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: Page<T> = await get<Page<T>>(list + query({ ...filters, limit: PAGE, cursor }), signal);
    items.push(...(answer.items ?? []));
    cursor = answer.next ?? null;
    if (!cursor) break;
  }
  return items;
}

/** Starts long work and gives back its operation. */
export async function begin(path: string, body: unknown = {}, key?: string): Promise<string> {
  const answer = await request<{ operation: string }>('POST', path, { body, key });
  return answer.body.operation;
}
