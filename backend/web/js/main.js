/** The page: the address says which view, the view asks the API. */

import { changed, go, listen, moves, params, to } from "./address.js";
import { avatar } from "./avatar.js";
import { h } from "./dom.js";
import * as notices from "./notices.js";
import { flush } from "./outbox.js";
import { current, watching } from "./person.js";
import { failed } from "./states.js";

const TYPING = 220;
const VIEWS = {
  home: () => import("./views/home.js"),
  start: () => import("./views/start.js"),
  people: () => import("./views/people.js"),
  search: () => import("./views/search.js"),
  film: () => import("./views/film.js"),
  map: () => import("./views/map.js"),
  mine: () => import("./views/mine.js"),
};
const place = document.getElementById("main");
const box = document.getElementById("q");
let shown = null;
let running = new AbortController();

/** Which view an address is about. */
function viewOf(search) {
  if (search.get("film")) return "film";
  if (search.get("q")) return "search";
  const named = search.get("view");
  if (named in VIEWS) return named;
  return current() ? "home" : "people";
}

async function render({ back = false, first = false } = {}) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const search = params();
  const name = viewOf(search);
  const isSame = name === shown;
  shown = name;
  place.dataset.view = name;
  markNavigation(name);
  if (document.activeElement !== box) box.value = search.get("q") ?? "";
  try {
    const view = await VIEWS[name]();
    if (signal.aborted) return;
    document.title = `${view.title} – Marquee`;
    const scrolled = back ? history.state?.scrolled ?? 0 : isSame ? null : 0;
    const showing = view.default({ place, params: search, signal, back });
    if (scrolled === 0) scrollTo(0, 0);
    if (!first && !isSame && document.activeElement !== box) place.querySelector("h1")?.focus({ preventScroll: true });
    await showing;
    if (scrolled && !signal.aborted) scrollTo(0, scrolled);
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren(h("h1", { class: "visually-hidden" }, "Marquee"), failed(error, () => render()));
    if (!error.code) throw error;
  }
}

function markNavigation(name) {
  for (const link of document.querySelectorAll("[data-goes]")) {
    if (link.dataset.goes === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showPerson() {
  const person = current();
  document.getElementById("who").replaceChildren(
    avatar(person, "small"),
    h("span", { class: "who-name", dir: "auto" }, person ? person.name ?? "Guest" : "Who is watching?"));
}

function listenToSearch() {
  let timer = null;
  const look = () => {
    const words = box.value.trim();
    if (words === (params().get("q") ?? "")) return;
    if (words) go(shown === "search" ? changed({ q: words }) : to({ q: words }), { replace: shown === "search" });
    else if (shown === "search") go(to());
  };
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, TYPING);
  });
  box.form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    look();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
    event.preventDefault();
    box.focus();
  });
}

listen();
notices.listen();
listenToSearch();
watching.addEventListener("changed", showPerson);
moves.addEventListener("moved", ({ detail }) => render(detail));
showPerson();
flush();
render({ first: true });
