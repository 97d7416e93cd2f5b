/** A face for a name: its first letter on a colour of its own. */

import { h } from "./dom.js";

/** The avatar, for the eye only; the same person has the same colour everywhere. */
export function avatar(person, more = "") {
  const hue = [...(person?.user_id ?? "")].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  return h("span", { class: `avatar ${more}`, "aria-hidden": true, vars: { "--hue": hue } }, [...(person?.name ?? "?")][0].toUpperCase());
}
