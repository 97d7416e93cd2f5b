/** What stands in the place of films while they come, where there are none, and where something went wrong. */

import { button, h } from "./dom.js";

/** As many shapes as films will come: nothing moves when they are there. */
export function skeletons(number, kind = "shelf") {
  const cards = Array.from({ length: number }, () => h("li", {}, h("div", { class: "card" },
    h("div", { class: "poster skeleton" }), h("div", { class: "skeleton line" }), h("div", { class: "skeleton line short" }))));
  return h("ul", { class: kind, "aria-hidden": true }, cards);
}

/** Nothing there, kindly: what that means, and what to do. */
export function empty(title, text, ...actions) {
  return h("div", { class: "state" }, h("h2", {}, title), h("p", {}, text), h("div", { class: "actions" }, actions));
}

/** Something went wrong: what, and what to do. */
export function failed(problem, again) {
  if (problem.status === 401) return empty("You are not signed in", "Open the link that the service printed when it started. It signs this page in.");
  if (problem.status === 404) return empty("Not found", problem.message, h("a", { class: "button", href: "?" }, "Back to your films"));
  const [title, text] = problem.status === 0
    ? ["Marquee can't be reached", "The service did not answer. Perhaps it has been stopped, or this device is offline."]
    : problem.passes
      ? ["Not available at the moment", "The database is away. What is shown elsewhere on this page goes on working; this needs it back."]
      : ["That did not work", problem.code ? problem.message : "Something in this page went wrong. Loading it anew may help."];
  return empty(title, text, button("Try again", again, { symbol: "again", class: "button" }));
}
