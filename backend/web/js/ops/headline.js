/** The one thing an operator wants to know, in words, and what to do where not all is well. */

import { h, icon } from "../dom.js";
import { count } from "../words.js";
import { clock, percent } from "./words.js";

const TITLES = { well: "All is well", look: "Needs a look", trouble: "Trouble" };

export class Headline {
  #shown = "";
  #title = h("h1", { tabindex: -1 }, "Looking …");
  #reasons = h("ul", { class: "reasons" });
  #sum = h("p", { class: "headline-sum" });
  #at = h("p", { class: "headline-at" });
  #sign = h("div", { class: "headline-sign", "aria-hidden": true });
  element = h("section", { class: "headline", "aria-label": "How it is" },
    this.#sign, h("div", { class: "headline-words", role: "status" }, this.#title, this.#sum, this.#reasons), this.#at);

  /** Say it; what has not changed is left alone, so that nobody is read the same again. */
  update({ level, reasons }, facts) {
    const known = Math.max(0, ...Object.values(facts).map((fact) => fact.good ?? 0));
    const isAsked = ["ready", "stats"].every((name) => facts[name]?.good || facts[name]?.problem);
    this.#at.textContent = known ? `As of ${new Date(known).toLocaleTimeString("en", { hour12: false })}` : "";
    if (!isAsked) return;
    const said = JSON.stringify([level, reasons]);
    this.#sum.textContent = level === "well" ? summary(facts) : "";
    if (said === this.#shown) return;
    this.#shown = said;
    this.element.dataset.level = level;
    this.#sign.replaceChildren(icon(level));
    this.#title.textContent = TITLES[level];
    document.title = `${TITLES[level]} – Marquee`;
    this.#reasons.replaceChildren(...reasons.map(({ level: own, what, todo }) =>
      h("li", { "data-level": own }, h("strong", {}, what), " ", h("span", {}, todo))));
  }
}

/** In a sentence, what it is that is well. */
function summary({ stats, jobs }) {
  const known = stats?.value;
  if (!known) return "";
  const share = known.with_embeddings === known.total_movies ? "all" : percent(known.with_embeddings / known.total_movies);
  const last = Object.values(known.jobs).map((run) => run.ended_at).filter(Boolean).sort().at(-1);
  const next = jobs?.value?.jobs.map((job) => job.next_at).sort()[0];
  return [
    `The database answers. ${count(known.total_movies, "film")}, ${share} found by meaning.`,
    last && `The last job ended at ${clock(last)}${next ? `; the next is due at ${clock(next)}` : ""}.`,
  ].filter(Boolean).join(" ");
}
