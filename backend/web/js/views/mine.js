/** What a person did: the watchlist, everything else, and the ways to take it along or away. */

import { toggle, load } from "../acts.js";
import { ask, part } from "../api.js";
import { go, to } from "../address.js";
import { filmAddress } from "../card.js";
import { button, h } from "../dom.js";
import { choose, current } from "../person.js";
import { poster } from "../poster.js";
import { empty, failed } from "../states.js";
import { toast } from "../toast.js";
import { count, day } from "../words.js";
import { importer } from "./import.js";

const KINDS = { like: "Liked", rating: "Rated", watchlist: "Watchlist", watched: "Seen", dislike: "Disliked", not_interested: "Not interested", click: "Looked at" };
const PAGE = 50;

export const title = "My films";

/** Their history, the import, the export, and the end of it all. */
export default async function show({ place, signal }) {
  const person = current();
  const rows = h("ul", { class: "history" });
  const state = h("div", {});
  place.replaceChildren(h("div", { class: "mine" },
    h("section", { "aria-labelledby": "history" }, h("h1", { id: "history", tabindex: -1 }, title), state, rows),
    h("div", { class: "mine-side" }, importer(person, () => show({ place, signal })), data(person))));
  if (!person) return state.replaceChildren(nothing());
  await more(person, { rows, state, page: 1, signal });
  return undefined;
}

const nothing = () => empty("Nothing here yet", "What you like, see or keep for later stands here, and can be taken back.", h("a", { class: "button", href: to({ view: "start" }) }, "Tap films you love"));

async function more(person, { rows, state, page, signal }) {
  try {
    const answer = await ask(`users/${part(person.user_id)}/interactions`, { params: { n: PAGE, page }, signal });
    if (!answer.total_results) return state.replaceChildren(nothing());
    state.replaceChildren(h("p", { class: "lead" }, count(answer.total_results, "entry", "entries")));
    rows.querySelector(".more")?.remove();
    rows.append(...answer.results.map(row));
    if (page < answer.total_pages) rows.append(h("li", { class: "more" }, button("Show older ones", () => more(person, { rows, state, page: page + 1, signal }), { class: "button plain" })));
  } catch (problem) {
    if (!signal.aborted) state.replaceChildren(failed(problem, () => more(person, { rows, state, page, signal })));
  }
  return undefined;
}

function row(act) {
  const film = { id: act.movie_id ?? 0, title: act.title ?? act.imdb_id ?? `Film ${act.movie_id}`, release_year: act.release_year, poster_path: act.poster_path, genres: [] };
  const what = act.kind === "rating" ? `Rated ${act.value} of 5` : KINDS[act.kind];
  const name = h("strong", { dir: "auto" }, film.title);
  const own = h("li", {}, h("div", { class: "mini" }, poster(film)),
    h("div", { class: "history-words" }, act.pending ? name : h("a", { href: filmAddress(film) }, name),
      h("span", { class: "facts" }, [film.release_year, what, day(act.at)].filter(Boolean).join(" · ")),
      act.pending && h("span", { class: "facts" }, "Not in the catalogue yet: it counts as soon as it is.")),
    button("", () => remove(), { symbol: "not_interested", name: `Take back: ${what}, ${film.title}`, class: "icon-only" }));
  const remove = async () => {
    try {
      await ask(`users/${part(current().user_id)}/interactions/${act.movie_id ?? act.imdb_id}`, { method: "DELETE", params: { kind: act.kind } });
      own.remove();
      load({ anew: true });
      toast(`Taken back: ${film.title}`, act.kind === "rating" || act.pending ? {} : { action: "Undo", then: () => toggle(film, act.kind, { quiet: true }) });
    } catch (problem) {
      toast(problem.passes ? "This can't be taken back while the database is away. Try again shortly." : problem.message);
    }
  };
  return own;
}

function data(person) {
  return person && h("section", { class: "panel", "aria-labelledby": "data" }, h("h2", { id: "data" }, "Everything held about you"),
    h("p", { class: "quiet" }, "Take it along as a file, or have it erased for good."),
    h("div", { class: "actions" }, button("Export", () => take(person), { class: "button plain" }), button("Erase everything", () => eraseAfterAsking(person), { class: "button plain danger" })));
}

async function take(person) {
  try {
    const held = await ask(`users/${part(person.user_id)}/export`);
    const url = URL.createObjectURL(new Blob([JSON.stringify(held, null, 2)], { type: "application/json" }));
    h("a", { href: url, download: "marquee-export.json" }).click();
    URL.revokeObjectURL(url);
  } catch (problem) {
    toast(explained(problem));
  }
}

function eraseAfterAsking(person) {
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "erase", on: { close: () => dialog.remove() } },
    h("h2", { id: "erase" }, `Erase everything about ${person.name ?? "you"}?`),
    h("p", {}, "The name, and all that was liked, seen, rated or kept for later. This can't be undone."),
    h("div", { class: "actions" }, button("Keep it", () => dialog.close(), { class: "button" }), button("Erase", () => erase(person, dialog), { class: "button plain danger" })));
  document.body.append(dialog);
  dialog.showModal();
}

async function erase(person, dialog) {
  try {
    await ask(`users/${part(person.user_id)}`, { method: "DELETE" });
    choose(null);
    go(to({ view: "people" }));
    toast("Everything about you has been erased.");
  } catch (problem) {
    toast(explained(problem));
  }
  dialog.close();
}

function explained(problem) {
  if (problem.status === 403) return "This needs the admin key: sign in with it, by adding ?key= and the key to the address of this page.";
  if (problem.status === 404) return "Nothing is held about you.";
  return problem.passes ? "Not possible while the database is away. Try again shortly." : problem.message;
}
