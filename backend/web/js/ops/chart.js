/** A chart by uPlot, in the colours of the page, with a line beneath that says in words what it shows. */

import { h } from "../dom.js";
import { clock } from "./words.js";

const HEIGHT = 176;
const style = getComputedStyle(document.documentElement);
const charts = new Set();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => charts.forEach((chart) => chart.redraw()));

/** A custom property, as it is in this theme. */
const colour = (name) => style.getPropertyValue(name).trim();

export class Chart {
  #plot = null;
  #data = null;
  #shown = null;
  #values;
  #time = h("span", { class: "chart-time" });
  #place = h("div", { class: "chart-place", role: "img" });

  /** `series` have label, colour and say (a value in words); `low` and `high` bound the axis; `fill` fills beneath. */
  constructor(title, { series, low = 0, high = null, fill = false, step = false, tick = series[0].say, nothing }) {
    Object.assign(this, { title, series, low, high, fill, step, tick, nothing });
    this.#values = series.map(() => h("strong", {}));
    const legend = series.map((one, index) => h("span", { class: "chart-key" },
      h("span", { class: `swatch${one.dash ? " dashed" : ""}`, vars: { "--swatch": `var(${one.colour})` } }), one.label, " ", this.#values[index]));
    this.element = h("figure", { class: "chart" }, h("h3", {}, title), this.#place, h("figcaption", {}, fill ? legend.toReversed() : legend, this.#time));
    new ResizeObserver(() => this.#fit()).observe(this.#place);
    charts.add(this);
  }

  /** Draw; times in milliseconds, then values by series. `shown` are the values to be told, where others are drawn. */
  update(times, drawn, shown = drawn) {
    this.#data = [times.map((at) => at / 1000), ...drawn];
    this.#shown = shown;
    this.#place.classList.toggle("has-nothing", times.length < 2);
    this.#place.dataset.nothing = this.nothing ?? "";
    if (times.length >= 2) {
      this.#plot ??= this.#make();
      this.#plot.setData(this.#data);
    }
    this.#tell(times.length - 1);
    this.#place.setAttribute("aria-label", times.length < 2 ? `${this.title}: ${this.nothing}` : `${this.title}. At last ${this.series.map((one, index) => `${one.label}: ${this.#values[index].textContent}`).join(", ")}.`);
  }

  /** In the colours of another theme. */
  redraw() {
    this.#plot?.redraw(false, true);
  }

  #fit() {
    this.#plot?.setSize({ width: this.#place.clientWidth, height: HEIGHT });
  }

  #tell(index) {
    const at = this.#data[0][index];
    this.#time.textContent = at === undefined ? "" : clock(at * 1000);
    this.series.forEach((one, number) => {
      const told = this.#shown[number]?.[index];
      this.#values[number].textContent = told === null || told === undefined ? "–" : one.say(told);
    });
  }

  #make() {
    const axis = { stroke: () => colour("--quiet"), font: "12px Figtree, sans-serif", ticks: { show: false }, grid: { stroke: () => colour("--line"), width: 1 } };
    const drawn = this.series.map((one) => ({
      stroke: () => colour(one.colour),
      width: 2,
      dash: one.dash,
      spanGaps: true,
      points: { show: this.#data[0].length < 40 && !one.dash && !this.fill, size: 5, fill: () => colour(one.colour) },
      paths: this.step ? uPlot.paths.stepped({ align: -1 }) : undefined,
      fill: this.fill ? () => colour(one.colour) : undefined,
    }));
    return new uPlot({
      width: this.#place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { y: { range: (_, least, most) => [this.low ?? least, this.high ?? Math.max(most * 1.1, 1)] } },
      series: [{}, ...drawn],
      axes: [
        { ...axis, size: 28, space: 90, values: (_, moments) => moments.map((at) => this.#tickOfTime(at)) },
        { ...axis, size: 58, values: (_, values) => values.map((one) => this.tick(one)) },
      ],
      hooks: { setCursor: [({ cursor }) => this.#tell(cursor.idx ?? this.#data[0].length - 1)] },
    }, this.#data, this.#place);
  }

  /** Days where they are many, the time of day where it is one. */
  #tickOfTime(at) {
    const [first, last] = [this.#data[0][0], this.#data[0].at(-1)];
    const options = last - first > 3 * 86_400 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", ...(last - first < 600 && { second: "2-digit" }), hour12: false };
    return new Date(at * 1000).toLocaleString("en", options);
  }
}
