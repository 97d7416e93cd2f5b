/** Tonight: how long, what mood, not older than. What is chosen stands in the address and becomes filters of the API. */

import { changed, go, params, to } from "./address.js";
import { h } from "./dom.js";

const LENGTHS = {
  short: ["Under 1½ hours", { runtime_max: 90 }],
  evening: ["Under 2 hours", { runtime_max: 120 }],
  long: ["2½ hours and more", { runtime_min: 150 }],
};
const MOODS = {
  laugh: ["Make me laugh", { genre: ["Comedy"], exclude_genre: ["Horror", "War"] }],
  edge: ["Keep me on edge", { genre: ["Thriller", "Horror", "Mystery"], exclude_genre: ["Family"] }],
  move: ["Move me", { genre: ["Drama", "Romance"], exclude_genre: ["Horror", "Action"] }],
  away: ["Take me far away", { genre: ["Adventure", "Fantasy", "Science Fiction"] }],
  think: ["Show me the world", { genre: ["Documentary", "History"] }],
  all: ["Fun for everyone", { genre: ["Family", "Animation"], exclude_genre: ["Horror"] }],
};
const AGES = { 3: "3 years", 10: "10 years", 20: "20 years", 40: "40 years" };
const GENRES = ["Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History",
  "Horror", "Music", "Mystery", "Romance", "Science Fiction", "Thriller", "War", "Western"];
const RATINGS = { 6: "6 and better", 7: "7 and better", 8: "8 and better" };
const NAMES = ["length", "mood", "age", "genre", "rating", "surprise"];
const SURPRISE = 0.2;

/** The filters of the address, as the API has them. */
export function filters(search = params()) {
  const mood = MOODS[search.get("mood")]?.[1] ?? {};
  const age = Number(search.get("age"));
  return {
    ...(LENGTHS[search.get("length")]?.[1] ?? {}),
    ...mood,
    ...(GENRES.includes(search.get("genre")) ? { genre: [search.get("genre")] } : {}),
    ...(age > 0 ? { year_min: new Date().getFullYear() - age } : {}),
    ...(RATINGS[search.get("rating")] ? { vote_average_min: Number(search.get("rating")), vote_count_min: 50 } : {}),
  };
}

/** How surprising films should be, 0 to 1. */
export function surprise(search = params()) {
  const given = Number.parseInt(search.get("surprise") ?? "", 10);
  return given >= 0 && given <= 100 ? given / 100 : SURPRISE;
}

/** Whether anything is filtered. */
export const filtered = (search = params()) => NAMES.some((name) => name !== "surprise" && search.has(name));

/** The same place without filters. */
export const unfiltered = () => to(Object.fromEntries([...params()].filter(([name]) => !NAMES.includes(name))));

/** The bar with which one chooses. */
export function bar() {
  const search = params();
  const moods = Object.entries(MOODS).map(([key, [label]]) => {
    const on = search.get("mood") === key;
    return h("a", { class: "chip", id: `mood-${key}`, href: changed({ mood: on ? "" : key, genre: "" }), "aria-current": on && "true" }, label);
  });
  return h("section", { class: "tonight", "aria-labelledby": "tonight" },
    h("h2", { id: "tonight", class: "visually-hidden" }, "What do you want tonight?"),
    h("div", { class: "chips" }, moods),
    h("div", { class: "choices" },
      select("length", "How long", "Any length", Object.entries(LENGTHS).map(([key, [label]]) => [key, label])),
      select("age", "Not older than", "Any age", Object.entries(AGES)),
      select("genre", "Genre", "Any genre", GENRES.map((name) => [name, name]), { mood: "" }),
      select("rating", "Rated", "Any rating", Object.entries(RATINGS)),
      slider(),
      filtered() && h("a", { class: "button plain", href: unfiltered() }, "Clear")));
}

function select(name, label, any, options, more = {}) {
  const chosen = params().get(name) ?? "";
  const change = ({ target }) => go(changed({ [name]: target.value, ...more }));
  return h("label", { class: "choice" }, h("span", {}, label),
    h("select", { name, id: `choose-${name}`, on: { change } }, [["", any], ...options].map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
}

function slider() {
  const change = ({ target }) => go(changed({ surprise: Number(target.value) === SURPRISE * 100 ? "" : target.value }));
  return h("label", { class: "choice slider" }, h("span", { class: "ends" }, h("span", {}, "Familiar"), h("span", {}, "Surprising")),
    h("input", { type: "range", name: "surprise", id: "choose-surprise", min: 0, max: 100, step: 20, value: Math.round(surprise() * 100), "aria-label": "Familiar to surprising", on: { change } }));
}
