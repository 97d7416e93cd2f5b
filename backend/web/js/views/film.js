/** A film: facts, what one thinks of it, why it is here, and others like it. */

import { acts, load, of } from "../acts.js";
import { ask, part } from "../api.js";
import { actButton, follow, shelf } from "../card.js";
import { h } from "../dom.js";
import { current } from "../person.js";
import { poster } from "../poster.js";
import { failed, skeletons } from "../states.js";
import { duration, list, reason, stars } from "../words.js";

const KINDS = ["like", "dislike", "watched", "watchlist", "not_interested"];

export const title = "Film";

/** The film's page. */
export default async function show({ place, params, signal }) {
  const id = params.get("film");
  place.replaceChildren(h("div", { class: "film" }, h("div", { class: "poster skeleton" }), h("div", { class: "film-words" }, h("div", { class: "skeleton heading" }), h("div", { class: "skeleton text" }))), skeletons(8));
  load();
  try {
    const film = await ask(`movies/${part(id)}`, { signal });
    document.title = `${film.title} – Marquee`;
    const why = h("section", { class: "why", "aria-labelledby": "why" });
    const similar = h("div", {}, skeletons(8));
    place.replaceChildren(page(film, why), similar);
    place.querySelector("h1").focus({ preventScroll: true });
    await Promise.all([explain(why, film, signal), fillSimilar(similar, film, signal)]);
  } catch (problem) {
    if (!signal.aborted) place.replaceChildren(h("h1", { class: "visually-hidden" }, title), failed(problem, () => show({ place, params, signal })));
  }
}

function page(film, why) {
  const original = film.original_title && film.original_title !== film.title;
  return h("article", { class: "film" }, poster(film, { eager: true }),
    h("div", { class: "film-words" },
      h("h1", { tabindex: -1, dir: "auto" }, film.title),
      original && h("p", { class: "quiet original", dir: "auto", lang: film.original_language }, film.original_title),
      h("p", { class: "facts" }, [film.release_year, film.genres.map((genre) => genre.name).join(", "), duration(film.runtime)].filter(Boolean).join(" · "),
        stars(film) && h("span", { class: "stars" }, `★ ${stars(film)}`)),
      film.tagline && h("p", { class: "tagline", dir: "auto" }, film.tagline),
      h("div", { class: "actions", role: "group", "aria-label": "What do you think of it?" }, KINDS.map((kind) => actButton(film, kind))),
      rating(film),
      film.overview && h("p", { class: "overview", dir: "auto" }, film.overview),
      people(film), why));
}

/** A rating, where the person gave one elsewhere. */
function rating(film) {
  const line = h("p", { class: "quiet" });
  follow(line, film.id, () => line.replaceChildren("rating" in of(film.id) ? `You rated it ${of(film.id).rating} of 5.` : ""));
  return line;
}

function people(film) {
  const facts = [["Directed by", film.directors, 3], ["With", film.cast, 6], ["About", film.keywords, 8]];
  return h("dl", { class: "people-of" }, facts.filter(([, names]) => names?.length).map(([label, names, most]) => [h("dt", {}, label), h("dd", { dir: "auto" }, list(names.slice(0, most)))]),
    film.collection && [h("dt", {}, "Series"), h("dd", { dir: "auto" }, film.collection)]);
}

/** Why it is among the person's films, or is not; told anew with each act. */
async function explain(place, film, signal) {
  const person = current();
  if (!person) return;
  const tell = async () => {
    try {
      const verdict = await ask(`recommendations/${part(person.user_id)}/why/${film.id}`, { params: { n: 100 }, signal });
      place.replaceChildren(h("h2", { id: "why" }, verdict.status === "seen" ? "You know this one" : "Why it is here"),
        h("p", {}, sentence(verdict)), verdict.status === "seen" ? "" : shares(verdict));
    } catch {
      place.replaceChildren();
    }
  };
  const again = ({ detail }) => {
    if (signal.aborted) acts.removeEventListener("changed", again);
    else if (detail === film.id) setTimeout(tell, 250);
  };
  acts.addEventListener("changed", again);
  await tell();
}

function sentence({ status, rank, why, acts: done }) {
  const because = reason(why);
  if (status === "recommended") return `Number ${rank} of everything you have not had yet. ${because ? `${because}.` : ""}`;
  if (status === "outranked") return `${because ? `${because}, but` : "It is in the catalogue, but"} ${rank ? `it comes as number ${rank.toLocaleString("en")}: ` : ""}others fit you better.`;
  if (status === "seen") return done.includes("not_interested") || done.includes("dislike") ? "You said it is not for you, so it is kept out of your films." : "You have had it, so it is not proposed again. It counts for what is.";
  return "Too little is known of it yet to say how well it fits you.";
}

/** What speaks for it, as parts of the whole. */
function shares({ why, score }) {
  const named = (why ?? []).filter((one) => one.share > 0);
  const whole = named.reduce((sum, one) => sum + one.share, 0);
  if (!named.length || !(score > 0)) return "";
  const labels = { others: "The rest of what you did", popular: "Well known and well liked" };
  return h("ul", { class: "shares" }, named.map((one) => {
    const percent = Math.round((one.share / whole) * 100);
    return percent > 0 && h("li", {}, h("span", { dir: "auto" }, one.title ?? labels[one.kind] ?? list(one.names ?? [])), h("span", { class: "share", vars: { "--share": `${percent}%` } }), h("span", { class: "quiet" }, `${percent} %`));
  }));
}

async function fillSimilar(place, film, signal) {
  try {
    const params = { n: 20, explain: true, user_id: current()?.user_id };
    const answer = await ask(`similar/${film.id}`, { params, signal });
    const from = { recommendation_id: answer.recommendation_id };
    if (answer.results.length) place.replaceChildren(shelf({ key: "similar", title: "More like this", results: answer.results }, from));
    else place.replaceChildren();
  } catch (problem) {
    if (!signal.aborted) place.replaceChildren(failed(problem, () => fillSimilar(place, film, signal)));
  }
}
