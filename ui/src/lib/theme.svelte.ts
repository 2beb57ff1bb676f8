// Light, dark, or whatever the system says. Kept in the browser alone.
export type Theme = 'system' | 'light' | 'dark';
const KEY = 'rapidlaunch.theme';

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

export const theme = $state({ choice: stored() });

export function show(): void {
  const root = document.documentElement;
  if (theme.choice === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme.choice;
}

export function choose(choice: Theme): void {
  theme.choice = choice;
  if (choice === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  show();
}
