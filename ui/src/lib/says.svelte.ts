// Short words to the person: what was done, or what went wrong with it. Read out by screen readers.
import { problemOf } from './api';
import type { Problem } from './types';

export type Saying = { id: number; text: string; problem?: Problem; link?: { href: string; text: string } };

/** Sayings that are shown at once; older ones make room. */
const SHOWN_MAX = 4;
const STAYS_MS = 6_000;

export const says = $state({ list: [] as Saying[] });
let next = 1;

function add(saying: Omit<Saying, 'id'>): number {
  const id = next++;
  says.list = [...says.list, { ...saying, id }].slice(-SHOWN_MAX);
  return id;
}

export function say(text: string, link?: { href: string; text: string }): void {
  const id = add({ text, link });
  setTimeout(() => hush(id), STAYS_MS);
}

/** A failure stays until it is put away. */
export function complain(error: unknown, what: string): void {
  add({ text: what, problem: problemOf(error) });
}

export function hush(id: number): void {
  says.list = says.list.filter((saying) => saying.id !== id);
}
