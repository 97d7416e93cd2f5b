/** A line at the foot of the page that says what was done and offers to undo it. */

import { button, h } from "./dom.js";

const STAYS = 7_000;
let timer = null;

/** Shows it; `action` is the label of what can be done about it, `then` does that. */
export function toast(text, { action, then } = {}) {
  const place = document.getElementById("toasts");
  const close = () => place.replaceChildren();
  const act = () => {
    close();
    then();
  };
  place.replaceChildren(h("div", { class: "toast" }, h("p", {}, text),
    action && button(action, act, { class: "plain" }),
    button("", close, { symbol: "not_interested", name: "Close", class: "plain icon-only" })));
  clearTimeout(timer);
  timer = setTimeout(close, STAYS);
  // Whoever points at it or has the focus in it is given the time.
  place.firstChild.addEventListener("pointerenter", () => clearTimeout(timer));
  place.firstChild.addEventListener("focusin", () => clearTimeout(timer));
  place.firstChild.addEventListener("pointerleave", () => { timer = setTimeout(close, STAYS); });
}
