/** A person's films in rows, with one for tonight before them. */

import { liked, load, of } from "../acts.js";
import { ask, part } from "../api.js";
import { go, to } from "../address.js";
import { actButton, filmAddress, follow, shelf } from "../card.js";
import { button, h, say } from "../dom.js";
import { bar, filtered, filters, surprise, unfiltered } from "../filters.js";
import { current, rename } from "../person.js";
import { draw as drawn } from "../drawn_poster.js";
import { poster } from "../poster.js";
import { empty, failed, skeletons } from "../states.js";
import { facts, reason, stars } from "../words.js";
import { nameForm } from "./people.js";

/** The last answer: whoever comes back finds the page as it was. */
let last = { address: null, answer: null };

export const title = "Films for you";

/** The rows; someone who has not liked anything yet is led to the wall. */
export default async function show({ place, signal, back }) {
  const person = current();
  const body = redraw(place, person);
  const known = load();
  try {
    const address = `${person.user_id} ${location.search}`;
    const answer = back && last.address === address ? last.answer : await fetchRows(person, signal);
    last = { address, answer };
    // Without the database nobody may be known here who is known there.
    const isNew = answer.cold_start && !answer.degraded && !filtered();
    if (isNew) await known;
    if (isNew && !liked().length) return go(to({ view: "start" }), { replace: true });
    body.replaceChildren(...content(answer));
    body.classList.remove("is-coming");
  } catch (problem) {
    if (!signal.aborted) body.replaceChildren(failed(problem, () => show({ place, signal })));
  }
  return undefined;
}

/** Draws what surrounds the rows anew; rows that stand there stay until others come, and so does the focus. */
function redraw(place, person) {
  const focused = document.activeElement?.id;
  const body = place.querySelector(".rows") ?? h("div", { class: "rows" }, h("div", { class: "hero skeleton" }), skeletons(8), skeletons(8));
  body.classList.toggle("is-coming", body.isConnected);
  place.replaceChildren(greeting(person), bar(), body);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  return body;
}

function fetchRows(person, signal) {
  return ask(`rows/${part(person.user_id)}`, { params: { ...filters(), diversity_boost: surprise() }, signal });
}

function greeting(person) {
  const hour = new Date().getHours();
  const time = hour < 5 ? "Still up" : hour < 12 ? "Good morning" : hour < 18 ? "Good afternoon" : "Good evening";
  const asked = h("span", {}, button("Save these under a name", () => {
    asked.replaceChildren(nameForm("", "Save", (name) => rename(person.user_id, name)));
    asked.querySelector("input").focus();
  }, { class: "button plain" }));
  return h("div", { class: "greeting" }, h("h1", { tabindex: -1, dir: "auto" }, person.name ? `${time}, ${person.name}` : time),
    h("div", { class: "actions" }, !person.name && asked, h("a", { class: "button plain", href: to({ view: "start" }) }, "Tap more films")));
}

function content({ rows, recommendation_id }) {
  if (!rows.some((row) => row.results.length)) {
    return [empty("Nothing fits all of that", "No film you have not had yet has this length, mood and age. Let go of one of them.",
      filtered() && h("a", { class: "button", href: unfiltered() }, "Show everything"))];
  }
  const from = { recommendation_id };
  const first = rows.find((row) => row.key === "for_you") ?? rows[0];
  return [hero(first.results, from), ...rows.map((row) => shelf(row, from))];
}

/** One film, large; another one at a tap. */
function hero(films, from) {
  const place = h("section", { class: "hero", "aria-labelledby": "pick" });
  let index = 0;
  const draw = () => {
    const film = films[index];
    const own = { ...from, position: index + 1 };
    place.style.setProperty("--glow", drawn(film).glow);
    place.replaceChildren(h("a", { class: "hero-poster", href: filmAddress(film), tabindex: -1, "aria-hidden": true }, poster(film, { eager: true })),
      h("div", { class: "hero-words" },
        h("p", { class: "eyebrow" }, "Tonight’s pick"),
        h("h2", { id: "pick", dir: "auto" }, h("a", { href: filmAddress(film) }, film.title)),
        h("p", { class: "facts" }, facts(film, { genres: 3 }), stars(film) && h("span", { class: "stars" }, `★ ${stars(film)}`)),
        h("p", { class: "reason", dir: "auto" }, reason(film.why)),
        film.overview && h("p", { class: "overview", dir: "auto" }, film.overview),
        h("div", { class: "actions" }, actButton(film, "watchlist", { from: own }), actButton(film, "watched", { from: own }), actButton(film, "not_interested", { from: own }),
          films.length > 1 && button("Another one", next, { symbol: "again", class: "act another" }))));
    follow(place, film.id, () => {
      if (films[index] === film && ("watched" in of(film.id) || "not_interested" in of(film.id)) && films.length > 1) setTimeout(next, 600);
    });
  };
  const next = () => {
    index = (index + 1) % films.length;
    draw();
    place.querySelector(".another")?.focus({ preventScroll: true });
    say(films[index].title);
  };
  draw();
  return place;
}
