/** What the catalogue grew to, what the index finds of it, and what a fetch from TMDB brings while it runs. */

import { h } from "../dom.js";
import { count } from "../words.js";
import { Chart } from "./chart.js";
import { ago, clock, lasting, number, percent, size } from "./words.js";

const KINDS = { exact: "Exact: every film is compared", ivfflat: "IVFFlat", hnsw: "HNSW" };
/** A fetch tells how far it is every two seconds. */
const QUIET = 15_000;

export class Growth {
  #chart = new Chart("Films found by meaning", {
    series: [{ label: "Films", colour: "--chart-1", say: (films) => number(films) }],
    step: true, nothing: "Grows by a point with each measurement of the index, every night.",
  });
  element = h("section", { class: "panel", "aria-labelledby": "growth" }, h("h2", { id: "growth" }, "Catalogue"), this.#chart.element);

  /** Each measurement tells how many there were; the newest are those of now. */
  update({ history, stats }) {
    const points = (history?.value?.results ?? []).map((one) => [Date.parse(one.measured_at), one.movies]);
    if (stats?.value) points.push([Date.now(), stats.value.with_embeddings]);
    this.#chart.update(points.map(([at]) => at), [points.map(([, films]) => films)]);
  }
}

export class Index {
  #facts = h("p", { class: "quiet" });
  #chart = new Chart("Share of the nearest ten that is found", {
    series: [
      { label: "Found", colour: "--chart-1", say: (share) => percent(share) },
      { label: "Wanted", colour: "--chart-3", dash: [6, 5], say: (share) => percent(share) },
    ],
    low: null, high: 1.002, tick: (share) => (share <= 1 ? percent(share) : ""),
    nothing: "The index is measured when it is built, and every night.",
  });
  element = h("section", { class: "panel", "aria-labelledby": "index" }, h("h2", { id: "index" }, "Index"), this.#facts, this.#chart.element);

  /** The index in force, and what its predecessors found. */
  update({ history, stats }) {
    const index = stats?.value?.index;
    if (index) this.#facts.textContent = described(index);
    const { results = [], target } = history?.value ?? {};
    const times = results.map((one) => Date.parse(one.measured_at));
    this.#chart.low = Math.min(0.9, ...results.map((one) => one.recall_at_10 - 0.01));
    this.#chart.update(times, [results.map((one) => one.recall_at_10), results.map(() => target)]);
  }
}

function described({ kind, lists, probes, ef_search: effort, size_bytes: bytes, measured_at: at, recall_at_10: recall }) {
  const settings = [KINDS[kind], lists && `${lists} lists`, probes && `probes ${probes}`, effort && `ef_search ${effort}`, bytes && size(bytes)];
  const found = recall === null ? "not measured yet" : `finds ${percent(recall)}`;
  return `${settings.filter(Boolean).join(", ")}; ${found}${at ? `, measured ${ago(at)}` : ""}.`;
}

export class Ingest {
  #words = h("p", {});
  #more = h("p", { class: "quiet" });
  #bar = h("progress", { max: 1, "aria-label": "How far the fetch is" });
  element = h("section", { class: "panel", "aria-labelledby": "ingest" }, h("h2", { id: "ingest" }, "Fetch from TMDB"), this.#words, this.#bar, this.#more);

  /** How far it is, while it runs; else how the last one ended. */
  update({ stats }) {
    const fetched = stats?.value?.ingest;
    const isRunning = fetched && Date.now() - Date.parse(fetched.at) < QUIET && fetched.left > 0;
    this.#bar.hidden = !isRunning;
    if (!fetched) {
      this.#words.textContent = stats?.value ? "Nothing has been fetched yet." : "";
      this.#more.textContent = "With TMDB_API_KEY set, the job “Fetch from TMDB” fills the catalogue and keeps it fresh.";
    } else if (isRunning) {
      this.#bar.value = fetched.stored / (fetched.stored + fetched.left);
      this.#words.textContent = `${count(fetched.stored, "film")} stored, ${number(fetched.left)} to go.`;
      this.#more.textContent = `${number(fetched.films_a_second)} a second${fetched.seconds_left === null ? "" : `, about ${lasting(fetched.seconds_left)} left`}; ${number(fetched.failed)} failed.`;
    } else {
      this.#words.textContent = `The last fetch stored ${count(fetched.stored, "film")}, ${number(fetched.failed)} failed.`;
      this.#more.textContent = `At ${clock(fetched.at)}, ${number(fetched.films_a_second)} a second${fetched.left ? `; ${count(fetched.left, "film")} are still to be fetched` : ""}.`;
    }
  }
}
