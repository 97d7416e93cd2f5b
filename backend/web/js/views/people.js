/** Who is watching? */

import { ask } from "../api.js";
import { go, to } from "../address.js";
import { avatar } from "../avatar.js";
import { button, h, icon } from "../dom.js";
import { choose, current, rename } from "../person.js";
import { failed } from "../states.js";
import { toast } from "../toast.js";
import { count } from "../words.js";

export const title = "Who is watching?";

/** The picker; whoever is new gets a name, or goes on without one. */
export default async function show({ place, signal }) {
  const cards = h("ul", { class: "people" });
  place.replaceChildren(h("div", { class: "picker" }, h("h1", { tabindex: -1 }, title), cards));
  try {
    const { results } = await ask("people", { signal });
    cards.replaceChildren(...results.map((person) => h("li", {}, face(person))), h("li", {}, newcomer()));
    if (!results.length) {
      cards.replaceWith(h("p", { class: "lead" }, "Everyone here gets films of their own. What shall we call you?"), nameForm("", "Begin", add));
      place.querySelector("input").focus();
    }
    place.querySelector(".picker").append(h("p", {}, h("a", { class: "link", href: to({ view: "start" }), on: { click: () => choose(null) } }, "Look around without a name")));
  } catch (problem) {
    if (signal.aborted) return;
    place.querySelector(".picker").append(failed(problem, () => show({ place, signal })),
      h("p", {}, h("a", { class: "button", href: to({ view: "start" }) }, "Go on as a guest")));
  }
}

function watch(person) {
  choose(person);
  go(to());
}

const add = async (name) => watch(await ask("people", { json: { name } }));

function face(person) {
  const seen = person.interactions ? count(person.interactions, "tap") : "New here";
  const isCurrent = current()?.user_id === person.user_id;
  const own = h("div", { class: "person" },
    h("button", { type: "button", class: "face", "aria-current": isCurrent && "true", on: { click: () => watch(person) } },
      avatar(person), h("span", { class: "face-name", dir: "auto" }, person.name), h("span", { class: "quiet" }, seen)),
    button("", () => own.replaceChildren(nameForm(person.name, "Save", (name) => renameTo(person, name, own))),
      { symbol: "edit", name: `Rename ${person.name}`, class: "icon-only rename" }));
  return own;
}

async function renameTo(person, name, own) {
  const named = await rename(person.user_id, name);
  own.replaceWith(face({ ...person, name: named.name }));
}

function newcomer() {
  const own = h("div", { class: "person" });
  const open = () => {
    own.replaceChildren(nameForm("", "Add", add));
    own.querySelector("input").focus();
  };
  own.append(h("button", { type: "button", class: "face", on: { click: open } },
    h("span", { class: "avatar add", "aria-hidden": true }, icon("plus")), h("span", { class: "face-name" }, "Add someone")));
  return own;
}

/** Asks for a name; `save` is given it. */
export function nameForm(name, label, save) {
  const input = h("input", { name: "name", required: true, maxlength: 60, autocomplete: "off", "aria-label": "Name", placeholder: "Name", dir: "auto", value: name });
  const submit = async (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    try {
      await save(input.value.trim());
    } catch (problem) {
      toast(problem.passes ? "Names can't be stored at the moment. Try again shortly." : problem.message);
    }
  };
  return h("form", { class: "name-form", on: { submit } }, input, h("button", { class: "button" }, label));
}
