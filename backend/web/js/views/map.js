/** The taste map: films that are alike lie side by side, and what one likes shines. */

import { acts, liked, load } from "../acts.js";
import { ask, part } from "../api.js";
import { to } from "../address.js";
import { card, filmAddress } from "../card.js";
import { button, h } from "../dom.js";
import { hue, TasteMap } from "../map_canvas.js";
import { current } from "../person.js";
import { empty, failed } from "../states.js";

const LISTED = 12;
const PROPOSED = 60;

export const title = "Taste map";

/** The map, what is chosen on it, and the same as a list. */
export default async function show({ place, signal }) {
  const canvas = h("canvas", { class: "map-canvas", tabindex: 0, role: "application", "aria-label": "Map of films. Arrow keys move it, plus and minus zoom, zero shows all. The films in view are listed after it." });
  const chosen = h("div", { class: "map-chosen" });
  const inView = h("ol", { class: "map-list" });
  const legend = h("ul", { class: "legend" });
  const controls = h("div", { class: "map-controls" });
  place.replaceChildren(h("div", { class: "map" },
    h("div", { class: "map-head" }, h("h1", { tabindex: -1 }, title), h("p", { class: "lead" }, "Films that are alike lie side by side. Zoom in, and tap one.")),
    h("div", { class: "map-frame" }, canvas, controls, legend),
    h("aside", { class: "map-side", "aria-labelledby": "in-view" }, chosen, h("h2", { id: "in-view" }, "Best known in view"), inView)));
  try {
    const { films } = await ask("map", { signal });
    const map = draw(canvas, films, { chosen, inView, signal });
    controls.append(...zoomButtons(map));
    legend.append(...genres(films), h("li", { class: "is-liked" }, "You like it"), h("li", { class: "is-proposed" }, "For you"));
    await light(map, signal);
  } catch (problem) {
    if (signal.aborted) return;
    const state = problem.code === "map_not_made"
      ? empty("The map has not been drawn yet", "It is made every night, from what films have in common. Come back tomorrow.", h("a", { class: "button", href: to() }, "Back to your films"))
      : failed(problem, () => show({ place, signal }));
    place.replaceChildren(h("h1", { tabindex: -1, class: "visually-hidden" }, title), state);
  }
}

function draw(canvas, films, { chosen, inView, signal }) {
  const listed = (index) => h("li", {}, h("a", { href: filmAddress({ id: films.id[index] }), dir: "auto" }, films.title[index]), h("span", { class: "quiet" }, ` ${films.year[index] ?? ""}`));
  const map = new TasteMap(canvas, films, {
    moved: () => inView.replaceChildren(...map.inView(LISTED).map(listed)),
    pointed: (index) => { canvas.title = index === undefined ? "" : [films.title[index], films.year[index]].filter(Boolean).join(" · "); },
    chosen: (index) => tell(films.id[index], chosen, signal),
  });
  signal.addEventListener("abort", () => map.end());
  return map;
}

async function tell(id, place, signal) {
  try {
    place.replaceChildren(card(await ask(`movies/${id}`, { signal }), { eager: true, heading: "h2" }));
  } catch (problem) {
    if (!signal.aborted) place.replaceChildren(failed(problem, () => tell(id, place, signal)));
  }
}

function zoomButtons(map) {
  return [button("", () => map.zoom(1.6), { symbol: "plus", name: "Zoom in", class: "icon-only" }),
    button("", () => map.zoom(1 / 1.6), { symbol: "minus", name: "Zoom out", class: "icon-only" }),
    button("", () => map.zoom(0), { symbol: "again", name: "Show all", class: "icon-only" })];
}

/** The genres of most films, with their colours. */
function genres(films) {
  const counts = Map.groupBy(films.genre.filter(Boolean), (genre) => genre);
  const most = [...counts].sort((a, b) => b[1].length - a[1].length).slice(0, 7);
  return most.map(([genre]) => h("li", { vars: { "--hue": hue(genre) ?? 40 } }, genre));
}

/** What the person likes and what is proposed; both follow what is tapped. */
async function light(map, signal) {
  const person = current();
  await load();
  const likes = () => {
    map.marked.liked = new Set(liked());
    map.changed();
  };
  const again = () => (signal.aborted ? acts.removeEventListener("changed", again) : likes());
  acts.addEventListener("changed", again);
  likes();
  if (!person) return;
  const { results } = await ask(`recommendations/${part(person.user_id)}`, { params: { n: PROPOSED }, signal });
  map.marked.proposed = new Set(results.map((film) => film.id));
  map.changed();
}
