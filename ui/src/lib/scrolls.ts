// A box that is wider than its place can be reached and scrolled with the keyboard; one that fits is no stop on the way.

export function scrolls(box: HTMLElement): () => void {
  const look = () => {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
  };
  look();
  const watcher = new ResizeObserver(look);
  watcher.observe(box);
  if (box.firstElementChild) watcher.observe(box.firstElementChild);
  return () => watcher.disconnect();
}
