// One clock for every "3 min ago" and every running time on the page.
export const now = $state({ ms: Date.now() });
setInterval(() => {
  if (!document.hidden) now.ms = Date.now();
}, 1000);
