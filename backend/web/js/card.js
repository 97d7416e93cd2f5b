/** Films as cards, and the buttons that say what one thinks of them. */

import { acts, of, toggle } from "./acts.js";
import { to } from "./address.js";
import { button, h, setAttribute } from "./dom.js";
import { poster } from "./poster.js";
import { facts, reason } from "./words.js";

const ACTS = {
  like: "Like",
  dislike: "Dislike",
  watched: "Seen it",
  watchlist: "Watchlist",
  not_interested: "Not interested",
};

/** The address of a film's page. */
export const filmAddress = (film) => to({ film: film.id });

/** A card with poster, facts, why it is there, and three quick buttons. */
export function card(film, { from = {}, said = reason(film.why), eager = false, heading = "h3" } = {}) {
  const article = h("article", { class: "card" },
    h("a", { class: "card-link", href: filmAddress(film) }, poster(film, { eager }), h(heading, { class: "card-title", dir: "auto" }, film.title)),
    h("p", { class: "facts" }, facts(film, { genres: 1 })),
    h("p", { class: "reason", dir: "auto" }, said),
    h("div", { class: "quick" }, ["like", "watchlist", "not_interested"].map((kind) => actButton(film, kind, { from, label: false }))));
  follow(article, film.id, () => article.classList.toggle("is-out", "not_interested" in of(film.id) || "dislike" in of(film.id)));
  return article;
}

/** A button that does something with a film, and takes it back. */
export function actButton(film, kind, { from = {}, label = true, quiet = false } = {}) {
  const act = () => toggle(film, kind, { from, quiet });
  const made = button(label ? ACTS[kind] : "", act, { symbol: kind, name: label ? undefined : `${ACTS[kind]}: ${film.title}`, class: `act act-${kind}${label ? "" : " icon-only"}` });
  follow(made, film.id, () => setAttribute(made, "aria-pressed", String(kind in of(film.id))));
  return made;
}

/** Has an element keep to what the person did, for as long as it is in the page. */
export function follow(element, movieId, update) {
  const listen = (event) => {
    if (event.detail !== movieId) return;
    if (element.isConnected) update();
    else acts.removeEventListener("changed", listen);
  };
  acts.addEventListener("changed", listen);
  update();
}

/** A row of cards that scrolls sideways, with a title and the reason for it. */
export function shelf({ key, title, reason: why, seed, results }, from = {}) {
  const films = h("ul", { class: "shelf" }, results.map((film, index) => h("li", {}, card(film, { from: { ...from, position: index + 1 }, said: seed ? "" : undefined }))));
  const scroll = (way) => films.scrollBy({ left: way * films.clientWidth * 0.85 });
  const arrows = h("div", { class: "arrows" },
    button("", () => scroll(-1), { symbol: "back", name: `${title}: back`, class: "icon-only" }),
    button("", () => scroll(1), { symbol: "forward", name: `${title}: further`, class: "icon-only" }));
  const id = `row-${key.replace(/\W/g, "-")}`;
  return h("section", { class: "row", "aria-labelledby": id },
    h("div", { class: "row-head" }, h("div", {}, h("h2", { id, dir: "auto" }, title), why && h("p", { class: "quiet", dir: "auto" }, why)), arrows), films);
}

/** Cards side by side, as many in a line as fit. */
export function grid(films, from = {}) {
  return h("ul", { class: "grid" }, films.map((film, index) => h("li", {}, card(film, { from: { ...from, position: index + 1 }, heading: "h2" }))));
}
