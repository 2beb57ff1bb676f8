// The server reads a stack back by itself after each apply; the event `stack.proof` says when it has.
import { ApiError, get, path } from './api';
import { listen } from './events.svelte';
import type { Proof } from './types';

/** The last proof of a stack; `null` when there is none. */
export async function lastProof(stack: string, signal?: AbortSignal): Promise<Proof | null> {
  try {
    return await get<Proof>(path`/v1/stacks/${stack}/proof`, signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/**
 * Calls back with the last proof of a stack that was made after a time of the server: now if there is one, and whenever an event
 * tells of one. Answers how to stop.
 */
export function followProof(stack: string, after: number, found: (proof: Proof) => void): () => void {
  const abort = new AbortController();
  const look = async () => {
    const proof = await lastProof(stack, abort.signal).catch(() => null);
    if (!abort.signal.aborted && proof && proof.at_ms >= after) found(proof);
  };
  const unlisten = listen((h) => {
    if (h.type === 'resync' || (h.kind === 'stack.proof' && h.stack === stack)) void look();
  });
  void look();
  return () => {
    unlisten();
    abort.abort();
  };
}
