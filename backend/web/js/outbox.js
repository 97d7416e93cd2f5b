/** What is to be stored, kept on this device until it is: nothing that a person tapped is lost with the database. */

import { ask, part } from "./api.js";

const KEY = "marquee.outbox";
const RETRY = 8_000;

/** Tells of `waiting` (how many), `stored` (one of them) and `refused` (one of them, and why). */
export const outbox = new EventTarget();

let entries = JSON.parse(localStorage.getItem(KEY) ?? "[]");
let busy = null;
let timer = null;

const nameOf = (entry) => `${entry.user_id} ${entry.movie_id} ${entry.kind}`;

/** How many are not stored yet because of trouble. */
export const waiting = () => (timer ? entries.length : 0);

/** Those that wait, of a person. */
export const unstored = (userId) => entries.filter((entry) => entry.user_id === userId);

/** Has something stored, or taken away (`gone`); what was wanted of the same film and kind before is forgotten. */
export function put(entry) {
  entries = [...entries.filter((other) => nameOf(other) !== nameOf(entry)), entry];
  keep();
  return flush();
}

/** Stores what waits, one after the other; resolves when nothing is left or there is trouble. */
export function flush() {
  busy ??= work().finally(() => { busy = null; });
  return busy;
}

async function work() {
  clearTimeout(timer);
  timer = null;
  while (entries.length) {
    const entry = entries[0];
    try {
      await store(entry);
      outbox.dispatchEvent(new CustomEvent("stored", { detail: entry }));
    } catch (problem) {
      if (problem.passes ?? true) {
        timer = setTimeout(flush, RETRY);
        break;
      }
      outbox.dispatchEvent(new CustomEvent("refused", { detail: { entry, problem } }));
    }
    entries = entries.filter((other) => other !== entry);
    keep();
  }
  outbox.dispatchEvent(new CustomEvent("waiting", { detail: waiting() }));
}

function store({ user_id, movie_id, kind, gone, value, at, recommendation_id, position }) {
  if (gone) return ask(`users/${part(user_id)}/interactions/${movie_id}`, { method: "DELETE", params: { kind } });
  return ask("interactions", { json: { user_id, movie_id, kind, value, at, recommendation_id, position } });
}

function keep() {
  localStorage.setItem(KEY, JSON.stringify(entries));
}
