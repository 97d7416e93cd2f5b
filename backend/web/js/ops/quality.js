/** How good the lists are, beside those that everyone would get. */

import { h } from "../dom.js";
import { ago, percent } from "./words.js";

const FIGURES = [
  ["recall_at_20", "The film somebody liked next is among twenty", (share) => percent(share)],
  ["ndcg_at_10", "How far up it stands (nDCG@10)", (share) => share.toFixed(3)],
  ["coverage", "Of all films, shown to anyone", (share) => percent(share)],
];

export class Quality {
  #state = h("p", { class: "quiet" });
  #figures = h("dl", { class: "figures" });
  element = h("section", { class: "panel", "aria-labelledby": "quality" }, h("h2", { id: "quality" }, "Quality"), this.#state, this.#figures);

  /** As the last training found it. */
  update({ quality }) {
    const measured = quality?.value;
    if (!measured) {
      this.#state.textContent = !quality ? "" : quality.problem?.status === 404
        ? "Not measured yet: the training measures it, once enough people have said what they like."
        : "Not to be had while the database is away.";
      return;
    }
    this.#state.textContent = `Found in the training ${ago(measured.measured_at)}, for ${measured.people.toLocaleString("en")} people; the thin bars are popular films, the same for everyone.`;
    this.#figures.replaceChildren(...FIGURES.map(([name, title, told]) => figure(title, told, measured.figures[name], measured.popularity[name])));
  }
}

function figure(title, told, own, popular) {
  const most = Math.max(own, popular, 1e-9);
  return h("div", {}, h("dt", {}, title),
    h("dd", {}, h("span", { class: "bar", vars: { "--share": `${(100 * own) / most}%` } }), h("strong", {}, told(own))),
    h("dd", { class: "quiet" }, h("span", { class: "bar thin", vars: { "--share": `${(100 * popular) / most}%` } }), h("span", {}, told(popular), h("span", { class: "visually-hidden" }, " of popular films"))));
}
