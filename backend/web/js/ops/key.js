/** The admin key, where one is set: asked for once, kept until this tab is closed, and sent with every question. */

import { button, h } from "../dom.js";

const NAME = "marquee.admin-key";

export const key = {
  get headers() {
    const held = sessionStorage.getItem(NAME);
    return held ? { "X-API-Key": held } : {};
  },
  get isGiven() {
    return sessionStorage.getItem(NAME) !== null;
  },
  keep: (text) => sessionStorage.setItem(NAME, text),
  forget: () => sessionStorage.removeItem(NAME),
};

/** Asks for the key; `given` is called when there is one. */
export function keyForm(given) {
  const field = h("input", { id: "admin-key", type: "password", autocomplete: "off", required: true, maxlength: 500, "aria-describedby": "admin-key-why" });
  const give = (event) => {
    event.preventDefault();
    key.keep(field.value.trim());
    given();
  };
  return h("form", { class: "key-form", on: { submit: give } },
    h("label", { for: "admin-key" }, "Admin key"),
    h("div", { class: "actions" }, field, button("Show the jobs", null, { class: "button", type: "submit" })),
    h("p", { id: "admin-key-why", class: "quiet" },
      key.isGiven ? "That was not the admin key. It is the value of ADMIN_KEY." : "Jobs are seen and run with the value of ADMIN_KEY. This tab forgets it when it is closed."));
}
