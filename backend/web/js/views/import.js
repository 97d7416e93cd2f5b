/** What a person did elsewhere comes along: a file of Letterboxd, IMDb, Trakt or MovieLens, by drag and drop. */

import { load } from "../acts.js";
import { part, upload } from "../api.js";
import { button, h } from "../dom.js";
import { ensure } from "../person.js";
import { count } from "../words.js";

const SERVICES = { letterboxd: "Letterboxd", imdb: "IMDb", trakt: "Trakt", movielens: "MovieLens" };

/** The field to drop a file on; `done` is called once something was stored. */
export function importer(person, done) {
  const state = h("div", { class: "import-state", "aria-live": "polite" });
  const input = h("input", { type: "file", class: "visually-hidden", id: "file", accept: ".csv,.json,.zip,.gz", on: { change: () => take(input.files[0]) } });
  const take = (file) => file && send(file, state, done);
  const zone = h("div", { class: "drop" }, h("p", {}, "Drop a file of Letterboxd, IMDb, Trakt or MovieLens here, or ", input, h("label", { for: "file", class: "link" }, "choose one"), "."),
    h("p", { class: "quiet" }, "Ratings become your taste. What you have only seen counts as seen, never as disliked."));
  for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("is-over"); });
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("is-over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  return h("section", { class: "panel", "aria-labelledby": "import" }, h("h2", { id: "import" }, "Bring what you know already"), zone, state);
}

async function send(file, state, done) {
  const bar = h("progress", { max: 100, value: 0, "aria-label": `Sending ${file.name}` });
  const text = h("p", { class: "quiet" }, `Sending ${file.name} …`);
  state.replaceChildren(bar, text);
  const progress = (gone) => {
    bar.value = gone * 100;
    if (gone === 1) {
      bar.removeAttribute("value");
      text.textContent = "Looking for the films in the catalogue …";
    }
  };
  try {
    const answer = await upload(`users/${part(ensure().user_id)}/import`, file, progress);
    state.replaceChildren(summary(answer, done));
    load({ anew: true });
  } catch (problem) {
    const why = problem.passes ? "The database is away, so nothing was stored. Try again shortly." : problem.message || "This file can't be read.";
    state.replaceChildren(h("p", { role: "alert" }, why), button("Try again", () => send(file, state, done), { symbol: "again", class: "button plain" }));
  }
}

function summary({ format, matched, pending, left_alone, rejected }, done) {
  const alone = Object.entries(left_alone ?? {});
  return h("div", { class: "summary" },
    h("p", {}, h("strong", {}, count(matched, "film")), ` of ${SERVICES[format] ?? "your file"} ${matched === 1 ? "counts" : "count"} from now on.`),
    pending?.count > 0 && details(`${count(pending.count, "film")} not in the catalogue yet: kept, and counted on arrival`, pending.names, pending.count),
    alone.length > 0 && details(`${count(alone.reduce((sum, [, number]) => sum + number, 0), "line")} left alone`, alone.map(([why, number]) => `${why}: ${number.toLocaleString("en")}`)),
    rejected?.length > 0 && details(`${count(rejected.length, "line")} could not be read`, rejected.map(({ line, reason }) => `Line ${line}: ${reason}`)),
    h("div", { class: "actions" }, h("a", { class: "button", href: "?" }, "Show my films"), button("Show what came in", done, { class: "button plain" })));
}

function details(title, lines, total = lines.length) {
  return h("details", {}, h("summary", {}, title), h("ul", {}, lines.slice(0, 50).map((line) => h("li", { dir: "auto" }, line)), total > 50 && h("li", {}, `and ${(total - Math.min(50, lines.length)).toLocaleString("en")} more`)));
}
