/** What the person did with films: shown at once, stored behind, undone as easily. */

import { ask, part } from "./api.js";
import { say } from "./dom.js";
import * as outbox from "./outbox.js";
import { current, ensure } from "./person.js";
import { toast } from "./toast.js";

const PAGES = 5;
const OPPOSITES = {
  like: ["dislike", "not_interested"],
  dislike: ["like", "watchlist"],
  watched: ["watchlist"],
  watchlist: ["not_interested"],
  not_interested: ["like", "watchlist"],
};
const DONE = {
  like: "Liked",
  dislike: "Not for you",
  watched: "Seen",
  watchlist: "On your watchlist",
  not_interested: "You won't see it again",
  rating: "Rated",
};

/** Tells of `changed`, with the film's id. */
export const acts = new EventTarget();

/** Film id -> kind -> value, or true. */
let held = new Map();
let whose = null;
let coming = Promise.resolve();

/** What the person did with a film: kind -> value. */
export const of = (movieId) => held.get(movieId) ?? {};

/** The films that the person likes, the newest first. */
export const liked = () => [...held].filter(([, kinds]) => kinds.like || kinds.rating >= 4).map(([id]) => id);

/** The films that the person does not like. */
export const disliked = () => [...held].filter(([, kinds]) => kinds.dislike).map(([id]) => id);

/** Knows what the current person did, the newest five hundred; asks once a person. */
export function load({ anew = false } = {}) {
  const person = current();
  if (anew || whose !== (person?.user_id ?? null)) {
    whose = person?.user_id ?? null;
    held = new Map();
    coming = person ? fetchAll(person.user_id).catch(() => {}) : Promise.resolve();
  }
  return coming;
}

async function fetchAll(userId) {
  for (let page = 1; page <= PAGES; page += 1) {
    const answer = await ask(`users/${part(userId)}/interactions`, { params: { n: 100, page } });
    if (whose !== userId) return;
    for (const row of answer.results) if (row.movie_id) note(row.movie_id, row.kind, row.value ?? true, { weak: true });
    if (page >= answer.total_pages) break;
  }
  for (const entry of outbox.unstored(userId)) note(entry.movie_id, entry.kind, entry.gone ? null : entry.value ?? true);
}

/** `weak`: what was tapped since the question was asked knows better. */
function note(movieId, kind, value, { weak = false } = {}) {
  const kinds = { ...of(movieId) };
  if (weak && kind in kinds) return;
  if (value === null) delete kinds[kind];
  else kinds[kind] = value;
  held.set(movieId, kinds);
  acts.dispatchEvent(new CustomEvent("changed", { detail: movieId }));
}

/** Does it, or takes it back where it was done already; `from` is the list that it was tapped in. */
export function toggle(film, kind, { from = {}, quiet = false } = {}) {
  const before = of(film.id);
  const after = { ...before };
  if (kind in before) delete after[kind];
  else {
    for (const other of OPPOSITES[kind] ?? []) delete after[other];
    after[kind] = true;
  }
  const stored = become(film, after, from);
  const told = kind in after ? DONE[kind] : "Taken back";
  if (quiet) say(`${told}: ${film.title}`);
  else toast(`${told}: ${film.title}`, { action: "Undo", then: () => become(film, before, from) });
  return stored;
}

/** Makes the film's acts these, in the page at once, and then where they are stored. */
function become(film, after, from) {
  const person = ensure();
  load();
  const before = of(film.id);
  const at = new Date().toISOString();
  const stored = [];
  for (const kind of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (before[kind] === after[kind]) continue;
    const value = typeof after[kind] === "number" ? after[kind] : undefined;
    note(film.id, kind, after[kind] ?? null);
    const source = kind in after ? { value, at, ...from } : {};
    stored.push(outbox.put({ user_id: person.user_id, movie_id: film.id, kind, gone: !(kind in after), ...source }));
  }
  return Promise.all(stored);
}

outbox.outbox.addEventListener("refused", ({ detail: { entry, problem } }) => {
  if (entry.user_id === whose) note(entry.movie_id, entry.kind, entry.gone ? true : null);
  toast(`That could not be stored: ${problem.message}`);
});
