// Who is signed in, and what they may do. The server decides; the page only leaves out what would be refused.
import { ApiError, get, request, setCsrf, whenSignedOut } from './api';
import { follow, unfollow, whenRefused } from './events.svelte';
import type { Role, Session } from './types';

export type Right = 'read' | 'operate' | 'deploy' | 'approve' | 'admin';

const RIGHTS: Record<Role, Right[]> = {
  viewer: ['read'],
  operator: ['read', 'operate'],
  deployer: ['read', 'operate', 'deploy'],
  approver: ['read', 'approve'],
  admin: ['read', 'operate', 'deploy', 'approve', 'admin'],
};

export const session = $state({ now: null as Session | null, asked: false, ended: false });

export function begin(now: Session): void {
  session.now = now;
  session.asked = true;
  session.ended = false;
  setCsrf(now.csrf);
  follow();
}

function end(ended: boolean): void {
  setCsrf(null);
  unfollow();
  session.now = null;
  session.ended = ended;
}

const ended = () => {
  if (session.now) end(true);
};
whenSignedOut(ended);
whenRefused(ended);

/** Asks who is signed in. Anything but a clear "nobody" is thrown, so that an unreachable server does not look like signed out. */
export async function ask(): Promise<void> {
  try {
    begin(await get<Session>('/v1/session'));
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    session.asked = true;
  }
}

export async function signOut(): Promise<void> {
  await request('DELETE', '/v1/session');
  end(false);
}

const covers = (grant: string, path: string) => grant === '/' || path === grant || path.startsWith(grant + '/');

/** Whether the person may do this at a path such as `/stacks/shop`. */
export function may(right: Right, ...paths: string[]): boolean {
  return (session.now?.grants ?? []).some((grant) => RIGHTS[grant.role]?.includes(right) && paths.some((path) => covers(grant.path, path)));
}

/** Whether the person may do this anywhere at all. */
export function mayAnywhere(right: Right): boolean {
  return (session.now?.grants ?? []).some((grant) => RIGHTS[grant.role]?.includes(right));
}
