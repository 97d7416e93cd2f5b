/** Where we are: everything that a view shows stands in the address, so links, reload and the back button work. */

/** Tells of `moved`, with whether a step was new. */
export const moves = new EventTarget();

/** The parameters of the address. */
export const params = () => new URLSearchParams(location.search);

/** The address with only these parameters; what is empty is left out. */
export function to(wanted = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) if (value !== "" && value !== null && value !== undefined) search.set(name, value);
  return `${location.pathname}${search.size ? `?${search}` : ""}`;
}

/** The address as it is, but for some parameters. */
export const changed = (changes) => to({ ...Object.fromEntries(params()), ...changes });

let shown = location.search;

/** Goes there; `replace` makes no step of it. */
export function go(url, { replace = false } = {}) {
  if (replace) history.replaceState(history.state, "", url);
  else {
    remember();
    history.pushState({}, "", url);
  }
  shown = location.search;
  moves.dispatchEvent(new CustomEvent("moved", { detail: { back: false } }));
}

/** Keeps how far the page was scrolled, for whoever comes back. */
function remember() {
  history.replaceState({ ...history.state, scrolled: scrollY }, "");
}

/** Lets links of the page and the back button work without a load. */
export function listen() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => {
    // A step within the page, as by the link that skips to the films, is none to another view.
    if (shown === location.search) return;
    shown = location.search;
    moves.dispatchEvent(new CustomEvent("moved", { detail: { back: true } }));
  });
  addEventListener("pagehide", remember);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.target || link.download || !isOurs(new URL(link.href))) return;
    event.preventDefault();
    go(link.href);
  });
}

const isOurs = (url) => url.origin === location.origin && url.pathname === location.pathname && !url.hash;
