// The one stream of events that keeps every view true. No view asks by the clock.
//
// Read with `fetch` rather than `EventSource`: that one drops every event whose name it was not told before, hides why a
// stream was refused, and never notices a connection that went silent.
import type { ChangeEvent, EngineEvent } from './types';

export type Happening = {
  type: 'engine' | 'change' | 'resync';
  kind: string;
  operation?: string;
  stack?: string;
  path?: string;
  job?: string | null;
  at_ms?: number;
  seq?: number;
  data: unknown;
};
type Listener = (happening: Happening) => void;
type Frame = { id: string; event: string; data: string };

/** What the page shows about its connection. `resyncs` counts how often everything was fetched anew. */
export const stream = $state({ state: 'idle' as 'idle' | 'connecting' | 'open' | 'lost', lastId: '', resyncs: 0 });

const RETRY_FIRST_MS = 300;
/** Longest wait between two attempts: a person who brings a server back should not have to wait longer. */
const RETRY_MAX_MS = 5_000;
/** The server writes a line at least every 15 s; three missed ones mean that nobody is there. */
const SILENCE_MAX_MS = 45_000;

const listeners = new Set<Listener>();
let abort: AbortController | null = null;
let retry: ReturnType<typeof setTimeout> | null = null;
let wait = RETRY_FIRST_MS;
let refused: () => void = () => {};

/** Calls back for everything that happens until the returned function is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Called when the stream is refused because nobody is signed in. */
export function whenRefused(act: () => void): void {
  refused = act;
}

function tell(happening: Happening): void {
  for (const listener of [...listeners]) listener(happening);
}

function resync(data: unknown = null): void {
  stream.resyncs += 1;
  tell({ type: 'resync', kind: 'resync', data });
}

function heard(frame: Frame): void {
  if (frame.id) stream.lastId = frame.id;
  let data: unknown = null;
  try {
    data = JSON.parse(frame.data);
  } catch {
    // A line that is not JSON still says that something happened.
  }
  if (frame.event === 'resync') return resync(data);
  if (frame.event === 'change') {
    const change = data as ChangeEvent | null;
    return tell({ type: 'change', kind: change?.action ?? 'change', path: change?.path, seq: change?.seq, at_ms: change?.at_ms, data });
  }
  const engine = data as EngineEvent | null;
  tell({
    type: 'engine', kind: engine?.kind ?? frame.event, operation: engine?.operation, stack: engine?.stack, job: engine?.job,
    seq: engine?.seq, at_ms: engine?.at_ms, data,
  });
}

/** Cuts the text of a stream into events (WHATWG HTML, server-sent events). */
export class Frames {
  #rest = '';
  take(text: string): Frame[] {
    const frames: Frame[] = [];
    const blocks = (this.#rest + text).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const frame: Frame = { id: '', event: 'message', data: '' };
      const data: string[] = [];
      for (const line of block.split(/\r?\n/)) {
        const cut = line.indexOf(':');
        if (cut === 0) continue;
        const field = cut < 0 ? line : line.slice(0, cut);
        const value = cut < 0 ? '' : line.slice(cut + 1).replace(/^ /, '');
        if (field === 'id') frame.id = value;
        else if (field === 'event') frame.event = value;
        else if (field === 'data') data.push(value);
      }
      frame.data = data.join('\n');
      if (data.length > 0 || frame.event !== 'message') frames.push(frame);
    }
    return frames;
  }
}

async function read(mine: AbortController): Promise<void> {
  const headers = new Headers({ Accept: 'text/event-stream' });
  if (stream.lastId) headers.set('Last-Event-ID', stream.lastId);
  const response = await fetch('/v1/events', { headers, cache: 'no-store', signal: mine.signal });
  if (response.status === 401) {
    refused();
    return;
  }
  if (!response.ok || !response.body) throw new Error(`the stream was refused with ${response.status}`);
  // Without a number to go on from, what happened while nobody listened was never told.
  const missed = stream.state === 'lost' && !stream.lastId;
  stream.state = 'open';
  wait = RETRY_FIRST_MS;
  if (missed) resync();
  const frames = new Frames();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const silence = setTimeout(() => mine.abort(), SILENCE_MAX_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) throw new Error('the stream ended');
    for (const frame of frames.take(value)) heard(frame);
  }
}

function open(): void {
  retry = null;
  const mine = new AbortController();
  abort = mine;
  if (stream.state !== 'lost') stream.state = 'connecting';
  read(mine).catch(() => {
    if (abort !== mine) return;
    stream.state = 'lost';
    retry = setTimeout(open, wait);
    wait = Math.min(wait * 2, RETRY_MAX_MS);
  });
}

/** Begins to follow; called once somebody is signed in. */
export function follow(): void {
  if (abort || retry) return;
  wait = RETRY_FIRST_MS;
  open();
}

/** Stops; called when nobody is signed in any more. */
export function unfollow(): void {
  if (retry) clearTimeout(retry);
  retry = null;
  const old = abort;
  abort = null;
  old?.abort();
  stream.state = 'idle';
  stream.lastId = '';
}

/** Tries at once, for a person who does not want to wait. */
export function reconnect(): void {
  if (stream.state !== 'lost' || !retry) return;
  clearTimeout(retry);
  wait = RETRY_FIRST_MS;
  open();
}

addEventListener('online', reconnect);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) reconnect();
});
