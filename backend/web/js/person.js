/** Who is watching. This device remembers; someone without a name yet is a guest with an id of its own. */

import { ask, part } from "./api.js";

const KEY = "marquee.person";

/** Tells of `changed`. */
export const watching = new EventTarget();

/** The person: `{user_id, name}`, the name null for a guest; null where nobody was chosen. */
export const current = () => JSON.parse(localStorage.getItem(KEY) ?? "null");

/** Lets this person watch; null for nobody. */
export function choose(person) {
  if (person) localStorage.setItem(KEY, JSON.stringify({ user_id: person.user_id, name: person.name }));
  else localStorage.removeItem(KEY);
  watching.dispatchEvent(new Event("changed"));
}

/** The person, or else a new guest: who only looks around need not say a name. */
export function ensure() {
  if (!current()) choose({ user_id: newId(), name: null });
  return current();
}

/** Gives the person a name, by which the picker knows them from then on. */
export async function rename(userId, name) {
  const named = await ask(`people/${part(userId)}`, { method: "PATCH", json: { name } });
  if (current()?.user_id === userId) choose(named);
  return named;
}

/** crypto.randomUUID is missing where the page comes without TLS from another machine. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `guest-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
