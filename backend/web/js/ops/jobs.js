/** The jobs: how they went, when they are due, and a button for each. */

import { ask, part } from "../api.js";
import { button, h, say, setAttribute } from "../dom.js";
import { toast } from "../toast.js";
import { key, keyForm } from "./key.js";
import { ago, clock, JOBS, lasting, OUTCOMES } from "./words.js";

const RUNS = 12;

export class Jobs {
  #watch;
  #rows = new Map();
  #list = h("ul", { class: "jobs" });
  #state = h("div", {});
  #asked = null;
  element = h("section", { class: "panel wide", "aria-labelledby": "jobs" }, h("h2", { id: "jobs" }, "Jobs"), this.#state, this.#list);

  constructor(watch) {
    this.#watch = watch;
  }

  /** Show them as they are now. */
  update({ jobs }) {
    if (jobs?.problem?.status === 403) return this.#askForKey();
    this.#asked = null;
    this.#state.replaceChildren(...(jobs?.problem && !jobs.value ? [h("p", { class: "quiet" }, "They are known only to the database, which does not answer.")] : []));
    for (const job of jobs?.value?.jobs ?? []) {
      if (!this.#rows.has(job.name)) this.#rows.set(job.name, this.#add(job));
      this.#rows.get(job.name).update(job);
    }
    return undefined;
  }

  /** Once a key that was given: what is being typed is not taken away. */
  #askForKey() {
    const given = key.headers["X-API-Key"] ?? "";
    if (this.#asked === given) return;
    this.#asked = given;
    this.#list.replaceChildren();
    this.#rows.clear();
    this.#state.replaceChildren(keyForm(() => this.#watch.again("jobs")));
  }

  #add(job) {
    const row = new JobRow(job, this.#watch);
    this.#list.append(row.element);
    return row;
  }
}

class JobRow {
  #name;
  #watch;
  #isOpen = false;
  #told = "";
  #outcome = h("span", { class: "badge" });
  #last = h("span", {});
  #error = h("p", { class: "job-error" });
  #next = h("p", { class: "quiet job-next" });
  #runs = h("div", { class: "runs" });
  #button;

  constructor({ name, description }, watch) {
    this.#name = name;
    this.#watch = watch;
    this.#button = button("Run now", () => this.#run(), { class: "button plain", "aria-label": `Run now: ${JOBS[name] ?? name}` });
    this.element = h("li", { class: "job", "data-job": name },
      h("div", { class: "job-name" }, h("h3", {}, JOBS[name] ?? name), h("p", { class: "quiet" }, description)),
      h("div", { class: "job-last" }, h("p", {}, this.#outcome, " ", this.#last), this.#error),
      this.#next,
      this.#button,
      h("details", { on: { toggle: (event) => this.#open(event.target.open) } }, h("summary", {}, "Past runs"), this.#runs));
  }

  update({ last, queued, next_at: next }) {
    const outcome = last?.outcome === "running" ? "running" : queued ? "queued" : last?.outcome;
    this.#outcome.textContent = OUTCOMES[outcome] ?? "Has not run yet";
    setAttribute(this.#outcome, "data-outcome", outcome ?? "never");
    setAttribute(this.#error, "data-outcome", outcome ?? "never");
    this.#last.textContent = last && outcome !== "queued" ? told(last) : "";
    this.#error.textContent = (outcome !== "queued" && last?.error) || "";
    this.#next.textContent = `Next ${ago(next)}, at ${clock(next)}`;
    this.#button.disabled = queued;
    const now = JSON.stringify([last?.id, last?.outcome]);
    if (this.#told && now !== this.#told) {
      if (last?.ended_at) say(`${JOBS[this.#name]}: ${OUTCOMES[last.outcome]}`);
      if (this.#isOpen) this.#show();
    }
    this.#told = now;
  }

  async #run() {
    this.#button.disabled = true;
    try {
      await ask(`jobs/${part(this.#name)}/run`, { method: "POST", headers: key.headers });
      await this.#watch.again("jobs");
    } catch (problem) {
      this.#button.disabled = false;
      toast(problem.passes ? "This can't be asked for while the database is away. Try again shortly." : problem.message);
    }
  }

  #open(isOpen) {
    this.#isOpen = isOpen;
    if (isOpen) this.#show();
  }

  async #show() {
    try {
      const { results } = await ask(`jobs/${part(this.#name)}/runs`, { params: { n: RUNS }, headers: key.headers });
      this.#runs.replaceChildren(results.length ? table(this.#name, results) : h("p", { class: "quiet" }, "It has not run yet."));
    } catch (problem) {
      this.#runs.replaceChildren(h("p", { class: "quiet" }, problem.passes ? "Not to be had while the database is away." : problem.message));
    }
  }
}

function told({ outcome, started_at: started, ended_at: ended }) {
  if (outcome === "running") return `since ${clock(started)}, for ${lasting((Date.now() - new Date(started)) / 1000)}`;
  return `${ago(ended)}, took ${lasting((new Date(ended) - new Date(started)) / 1000)}`;
}

function table(name, runs) {
  const head = ["Began", "Took", "Outcome", "What it did"].map((text) => h("th", { scope: "col" }, text));
  return h("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": `Past runs of ${JOBS[name] ?? name}` },
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, runs.map((run) => h("tr", {},
      h("td", {}, clock(run.started_at)), h("td", {}, run.seconds === null ? "–" : lasting(run.seconds)),
      h("td", {}, h("span", { class: "badge", "data-outcome": run.outcome }, OUTCOMES[run.outcome])),
      h("td", { class: "what" }, run.error ?? counted(run.counts)))))));
}

/** What a run counted, as it named it. */
function counted(counts) {
  const parts = Object.entries(counts).filter(([, told]) => told !== null).map(([name, told]) => `${name.replaceAll("_", " ")} ${typeof told === "number" ? told.toLocaleString("en") : told}`);
  return parts.join(", ") || "–";
}
