// How each state looks: a shape, a tone and a word.
export type Tone = 'ok' | 'warn' | 'bad' | 'busy' | 'plain';
export type Shape = 'disc' | 'ring' | 'half' | 'check' | 'cross' | 'warning' | 'square' | 'diamond' | 'dash' | 'dashes';
export type Look = { tone: Tone; shape: Shape; word: string };

const LOOKS: Record<string, [Tone, Shape, string?]> = {
  // guests and nodes
  running: ['ok', 'disc'], stopped: ['plain', 'ring'], unknown: ['warn', 'dashes'], gone: ['bad', 'cross'], reserved: ['plain', 'ring', 'not made yet'],
  online: ['ok', 'disc'], offline: ['bad', 'cross'], connected: ['ok', 'disc'], disconnected: ['bad', 'cross'],
  // operations and jobs
  working: ['busy', 'half', 'running'], waiting: ['plain', 'dashes'], ready: ['plain', 'ring'], backoff: ['warn', 'half', 'tries again'],
  blocked: ['warn', 'square'], parked: ['warn', 'square'], done: ['ok', 'check'], failed: ['bad', 'cross'], cancelled: ['plain', 'dash'],
  skipped: ['plain', 'dash'], stuck: ['bad', 'warning'], unwinding: ['warn', 'half'],
  // steps
  intent: ['busy', 'half', 'announced'], submitted: ['busy', 'half', 'under way'], withdrawn: ['plain', 'dash', 'refused'],
  // stacks
  applied: ['ok', 'check'], applying: ['busy', 'half'], draft: ['plain', 'ring'], new: ['plain', 'ring'], destroyed: ['plain', 'dash'], destroying: ['busy', 'half'],
  // plans
  open: ['busy', 'ring'], approved: ['ok', 'check'], discarded: ['plain', 'dash'], expired: ['plain', 'dash'],
  // checks, proofs, drift
  ok: ['ok', 'check'], proven: ['ok', 'check'], unproven: ['bad', 'cross', 'not proven'], drift: ['warn', 'diamond'], clean: ['ok', 'check', 'no drift'],
  warning: ['warn', 'warning'], error: ['bad', 'cross'], info: ['plain', 'disc'],
  accept: ['ok', 'check'], drop: ['bad', 'cross'], reject: ['bad', 'cross'], unclear: ['warn', 'warning'],
  active: ['ok', 'disc'], paused: ['plain', 'ring'], delivered: ['ok', 'check'], pending: ['busy', 'half'], revoked: ['bad', 'cross'],
};

export function look(state: string): Look {
  const [tone, shape, word] = LOOKS[state.toLowerCase()] ?? ['plain', 'dashes'];
  return { tone, shape, word: word ?? state.toLowerCase().replaceAll('_', ' ') };
}

/** `running` is good for a guest and merely under way for an operation. */
export function workState(state: string): string {
  return state === 'running' ? 'working' : state;
}
