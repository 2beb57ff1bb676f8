// The server reads a stack back by itself after each apply, and no event says when it is done: it is asked for a few times, ever later.
import { ApiError, get, path } from './api';
import type { Proof } from './types';

/** Pauses before each look; together about two minutes, in which a large stack is read back. */
const PAUSES_MS = [0, 300, 700, 1_500, 3_000, 6_000, 12_000, 30_000, 60_000];

/** The last proof of a stack; `null` when there is none. */
export async function lastProof(stack: string, signal?: AbortSignal): Promise<Proof | null> {
  try {
    return await get<Proof>(path`/v1/stacks/${stack}/proof`, signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** Calls back with the first proof that was made after a time of the server, as soon as there is one. Answers how to stop. */
export function awaitProof(stack: string, after: number, found: (proof: Proof) => void): () => void {
  const abort = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (n: number) => {
    timer = setTimeout(async () => {
      const proof = await lastProof(stack, abort.signal).catch(() => null);
      if (abort.signal.aborted) return;
      if (proof && proof.at_ms >= after) found(proof);
      else if (n + 1 < PAUSES_MS.length) look(n + 1);
    }, PAUSES_MS[n]);
  };
  look(0);
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}
