/** What is asked, how fast it is answered, and by which layer: while this page is open. */

import { h } from "../dom.js";
import { Chart } from "./chart.js";
import { LAYERS, lasting, number } from "./words.js";

const WAITS = "The first line is drawn in ten seconds.";
const SOURCES = Object.keys(LAYERS);
const perSecond = (rate) => `${number(rate)}/s`;
const milliseconds = (took) => lasting(took / 1000);

export class Answers {
  #rate = new Chart("Requests a second", { series: [{ label: "Requests", colour: "--chart-1", say: perSecond }], nothing: WAITS });
  #slowest = new Chart("95 % answered within", { series: [{ label: "Time", colour: "--chart-2", say: milliseconds }], nothing: WAITS });
  #layers = new Chart("Lists a second, by the layer that answered", {
    series: SOURCES.toReversed().map((source) => ({ label: LAYERS[source], colour: `--layer-${source}`, say: perSecond })),
    fill: true, step: true, tick: perSecond, nothing: WAITS,
  });
  #rows = h("tbody", {});
  element = h("section", { class: "panel wide", "aria-labelledby": "answers" },
    h("h2", { id: "answers" }, "Answers"),
    h("p", { class: "quiet" }, "While this page is open, and without what it asks for itself."),
    h("div", { class: "charts" }, this.#rate.element, this.#slowest.element, this.#layers.element),
    h("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Answers by route" }, h("table", {},
      h("caption", { class: "visually-hidden" }, "Answers by route"),
      h("thead", {}, h("tr", {}, ["Route", "Requests", "A minute", "Half within", "95 % within", "Failed"].map((text) => h("th", { scope: "col" }, text)))), this.#rows)));

  /** Draw and tell what the metrics say now. */
  update(traffic) {
    const steps = traffic.steps();
    const times = steps.map((step) => step.at);
    this.#rate.update(times, [steps.map((step) => step.rate)]);
    this.#slowest.update(times, [steps.map((step) => step.slowest)]);
    const told = SOURCES.map((source) => steps.map((step) => step.answers.get(source) ?? 0));
    const stacked = told.map((_, index) => steps.map((__, at) => told.slice(0, index + 1).reduce((sum, rates) => sum + rates[at], 0)));
    this.#layers.update(times, stacked.toReversed(), told.toReversed());
    const routes = traffic.routes();
    this.#rows.replaceChildren(...(routes.length ? routes.map(row) : [h("tr", {}, h("td", { colspan: 6, class: "quiet" }, "Nobody has asked for anything since the service started."))]));
  }
}

/** Times from before this page was opened are told more quietly. */
function row({ route, requests, perMinute, half, most, failed, isNow }) {
  const took = (seconds) => (seconds === Infinity ? "over 5 s" : lasting(seconds));
  return h("tr", {}, h("th", { scope: "row" }, route), h("td", {}, requests.toLocaleString("en")), h("td", {}, number(perMinute)),
    [half, most].map((seconds) => h("td", { class: isNow ? false : "quiet" }, took(seconds))),
    h("td", { class: failed ? "bad" : false }, failed.toLocaleString("en")));
}
