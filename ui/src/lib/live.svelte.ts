// A thing read from the server that stays true: read once, and again when an event says that it may have changed.
import { onDestroy } from 'svelte';
import { problemOf } from './api';
import { type Happening, listen } from './events.svelte';
import type { Problem } from './types';

/** Events come in bursts; one reading answers a burst. */
const GATHER_MS = 120;
/** Shortest time between two readings of one thing, so that a busy engine does not make a busy page. */
const BETWEEN_MS = 500;

export class Live<T> {
  value = $state.raw<T | undefined>(undefined);
  problem = $state.raw<Problem | null>(null);
  loading = $state(true);
  #read: (signal: AbortSignal) => Promise<T>;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #last = 0;
  #again = false;
  #gone = false;

  constructor(read: (signal: AbortSignal) => Promise<T>) {
    this.#read = read;
  }

  /** Reads now; a reading under way is given up, as it may tell of an older state. */
  async refresh(): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#last = Date.now();
    try {
      const value = await this.#read(abort.signal);
      if (abort.signal.aborted) return;
      this.value = value;
      this.problem = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = problemOf(error);
    } finally {
      if (this.#abort === abort) {
        this.#abort = null;
        this.loading = false;
        if (this.#again) {
          this.#again = false;
          this.soon();
        }
      }
    }
  }

  /** Reads in a moment, together with whatever else asks for it until then. */
  soon(): void {
    if (this.#gone || this.#timer) return;
    if (this.#abort) {
      this.#again = true;
      return;
    }
    const wait = Math.max(GATHER_MS, this.#last + BETWEEN_MS - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.refresh();
    }, wait);
  }

  stop(): void {
    this.#gone = true;
    this.#abort?.abort();
    if (this.#timer) clearTimeout(this.#timer);
  }
}

/** Whether an event may have changed the thing. `resync` changes everything and is not asked about. */
export type Concerns = (happening: Happening) => boolean;

export const anything: Concerns = () => true;
/** Changes that people made whose action or path begins with one of these words. */
export const changes =
  (...words: string[]): Concerns =>
  (h) =>
    h.type === 'change' && words.some((word) => h.kind.startsWith(word) || (h.path ?? '').startsWith(word));
/** The state of operations and stacks as a whole, not each step. */
export const operations: Concerns = (h) => h.type === 'engine' && /^(operation|job|stack)\./.test(h.kind);

/** A live thing for as long as the component that makes it is shown. */
export function live<T>(read: (signal: AbortSignal) => Promise<T>, concerns: Concerns = anything): Live<T> {
  const thing = new Live(read);
  void thing.refresh();
  const unlisten = listen((happening) => {
    if (happening.type === 'resync' || concerns(happening)) thing.soon();
  });
  onDestroy(() => {
    unlisten();
    thing.stop();
  });
  return thing;
}
