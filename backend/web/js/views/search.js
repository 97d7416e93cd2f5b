/** Films by title and by meaning, as one types. */

import { load } from "../acts.js";
import { ask } from "../api.js";
import { grid } from "../card.js";
import { h, say } from "../dom.js";
import { filters } from "../filters.js";
import { empty, failed, skeletons } from "../states.js";
import { count } from "../words.js";

export const title = "Search";

/** What was found; what was found before stays until then. */
export default async function show({ place, params, signal }) {
  const words = params.get("q");
  load();
  const heading = h("h1", { tabindex: -1 }, "Films for “", h("bdi", {}, words), "”");
  if (place.querySelector(".found")) place.querySelector("h1").replaceWith(heading);
  else place.replaceChildren(h("section", { class: "found" }, heading, h("p", { class: "lead" }, "By title, and by what they are about."), skeletons(12, "grid")));
  const found = place.querySelector(".found");
  found.setAttribute("aria-busy", "true");
  try {
    const answer = await ask("search", { params: { q: words, n: 30, ...filters(params) }, signal });
    const lead = h("p", { class: "lead" }, note(answer));
    found.replaceChildren(heading, lead, answer.results.length
      ? grid(answer.results, { recommendation_id: answer.recommendation_id })
      : empty("Nothing was found", "Try fewer words, or say what happens in the film: “two strangers meet on a train”."));
    say(`${count(answer.results.length, "film")} found`);
  } catch (problem) {
    if (signal.aborted) return;
    found.replaceChildren(heading, failed(problem, () => show({ place, params, signal })));
  }
  found.removeAttribute("aria-busy");
}

function note({ degraded, source }) {
  if (!degraded) return "By title, and by what they are about.";
  return source === "pgvector" ? "By title only: the language model is still being loaded, which takes some seconds." : "From files, while the database is away.";
}
