/** A wall of well-known, diverse films to tap, and beside it the list that comes of it. */

import { acts, disliked, liked, load, of, toggle } from "../acts.js";
import { ask } from "../api.js";
import { go, to } from "../address.js";
import { filmAddress, follow } from "../card.js";
import { button, h, icon, setAttribute } from "../dom.js";
import { surprise } from "../filters.js";
import { flush } from "../outbox.js";
import { current, ensure, rename } from "../person.js";
import { poster } from "../poster.js";
import { empty, failed, skeletons } from "../states.js";
import { count, facts, reason } from "../words.js";
import { nameForm } from "./people.js";

const WALL = 36;
const LIST = 8;
const ENOUGH = 3;

export const title = "Tap films you love";

/** The wall and the list. */
export default async function show({ place, signal }) {
  const films = h("ul", { class: "wall" });
  const more = button("Show me others", () => others(), { symbol: "again", class: "button plain" });
  const list = h("aside", { class: "list-so-far", "aria-labelledby": "so-far" });
  place.replaceChildren(h("div", { class: "start" },
    h("section", { "aria-labelledby": "wall" },
      h("h1", { id: "wall", tabindex: -1 }, title),
      h("p", { class: "lead" }, "Three are enough to begin with. The list follows every tap; tap again to take it back."),
      films, more), list));
  films.replaceChildren(...skeletons(WALL).children);

  let page = 0;
  async function others() {
    page += 1;
    try {
      const json = { n: WALL, page, diversity_boost: 0.9, vote_count_min: 200 };
      const { results } = await ask("recommendations", { json, signal });
      if (!results.length && page > 1) return more.remove();
      films.replaceChildren(...results.map((film, index) => h("li", {}, tile(film, index < 12))));
      if (!results.length) films.replaceWith(empty("No films yet", "The catalogue is empty. It fills as soon as the service has fetched films."));
    } catch (problem) {
      if (!signal.aborted) films.replaceChildren(h("li", { class: "wide" }, failed(problem, () => { page -= 1; others(); })));
    }
    return undefined;
  }
  await Promise.all([others(), load().then(() => follows(list, signal))]);
}

/** A film to tap. */
function tile(film, eager) {
  const own = h("button", { type: "button", class: "tile", on: { click: () => toggle(film, "like", { quiet: true }) } },
    poster(film, { eager }), h("span", { class: "tile-name" }, h("span", { dir: "auto" }, film.title), film.release_year && h("span", { class: "quiet" }, ` ${film.release_year}`)),
    h("span", { class: "tile-mark", "aria-hidden": true }, icon("like")));
  follow(own, film.id, () => setAttribute(own, "aria-pressed", String("like" in of(film.id))));
  return own;
}

/** Keeps the list to what is liked. */
function follows(list, signal) {
  let asking = null;
  const renew = async () => {
    asking?.abort();
    asking = new AbortController();
    frame(list, signal);
    await fill(list, AbortSignal.any([signal, asking.signal]), renew);
  };
  const changed = () => {
    if (signal.aborted) acts.removeEventListener("changed", changed);
    else renew();
  };
  acts.addEventListener("changed", changed);
  return renew();
}

/** What is known at once: how many are liked, and what comes next. */
function frame(list, signal) {
  const number = liked().length;
  const missing = ENOUGH - number;
  const text = missing > 0 ? `${count(number, "film")} liked, ${count(missing, "more")} to go`.replace("mores", "more") : `${count(number, "film")} liked`;
  const head = h("div", { class: "list-head" }, h("div", {}, h("h2", { id: "so-far" }, "Your list so far"), h("p", { class: "quiet" }, text)),
    h("div", { class: "enough" }, Array.from({ length: ENOUGH }, (_, index) => h("span", { class: index < number ? "bulb lit" : "bulb" }))));
  const films = list.querySelector("ol") ?? h("ol", { class: "so-far" }, Array.from({ length: LIST }, () => h("li", { class: "skeleton" })));
  films.classList.toggle("is-coming", number > 0);
  // The form stays as it is while somebody types into it.
  const foot = list.querySelector(".done form") ? list.querySelector(".done") : h("div", { class: "done" }, missing <= 0 && done(list, signal));
  list.replaceChildren(head, films, foot);
}

function done(list) {
  const finish = async () => {
    // The rows are made of what is stored.
    await flush();
    if (current()?.name) return go(to());
    const foot = list.querySelector(".done");
    foot.replaceChildren(h("p", {}, "What shall we call you?"),
      nameForm("", "Show my films", async (name) => {
        await rename(ensure().user_id, name);
        go(to());
      }),
      h("a", { class: "quiet", href: to() }, "Later"));
    return foot.querySelector("input").focus();
  };
  return button("Show my films", finish, { symbol: "forward", class: "button big" });
}

async function fill(list, signal, again) {
  try {
    const json = { liked: liked().slice(0, 500), disliked: disliked().slice(0, 500), n: LIST, diversity_boost: surprise(), explain: true };
    const { results } = await ask("recommendations", { json, signal });
    const films = h("ol", { class: "so-far" }, results.map((film) => h("li", {}, h("a", { href: filmAddress(film) }, poster(film),
      h("span", {}, h("strong", { dir: "auto" }, film.title), h("span", { class: "facts" }, facts(film, { genres: 1 })), h("span", { class: "reason", dir: "auto" }, reason(film.why)))))));
    list.querySelector("ol").replaceWith(films);
  } catch (problem) {
    if (!signal.aborted) list.querySelector("ol").replaceChildren(h("li", { class: "wide" }, failed(problem, again)));
  }
}
