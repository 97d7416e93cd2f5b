/** A line under the header while not all is well: what that means, and what can be done. */

import { service } from "./api.js";
import { button, h } from "./dom.js";
import { flush, outbox, waiting } from "./outbox.js";
import { count } from "./words.js";

let degraded = false;

/** Begins to tell. */
export function listen() {
  service.addEventListener("degraded", ({ detail }) => {
    if (detail !== degraded) {
      degraded = detail;
      show();
    }
  });
  outbox.addEventListener("waiting", show);
  addEventListener("online", flush);
}

function show() {
  const lines = [];
  if (degraded) lines.push(h("p", {}, "The database is away for a moment. Films still come, from files that know what you did up to a minute ago."));
  if (waiting()) {
    lines.push(h("p", {}, `${count(waiting(), "tap is", "taps are")} not stored yet. They are kept on this device, and tried again by themselves.`),
      button("Try again now", flush, { symbol: "again", class: "plain" }));
  }
  document.getElementById("notices").replaceChildren(...(lines.length ? [h("div", { class: "notice" }, lines)] : []));
}
