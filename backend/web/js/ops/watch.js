/** Asks the service how it is, again and again; what could not be asked keeps its last answer, and the reason why. */

import { ask, Problem } from "../api.js";
import { key } from "./key.js";
import { parse } from "./metrics.js";

const SECOND = 1000;
const PATIENCE = 4 * SECOND;
const SOURCES = {
  metrics: { path: "metrics", every: 5 * SECOND, text: true },
  ready: { path: "health/ready", every: 5 * SECOND },
  stats: { path: "stats", every: 5 * SECOND },
  jobs: { path: "jobs", every: 5 * SECOND },
  history: { path: "index/history", params: { n: 500 }, every: 60 * SECOND },
  quality: { path: "quality", every: 60 * SECOND },
};

export class Watch {
  /** By source: `value`, `problem`, when it was asked last, and when it answered well. */
  facts = {};
  #seen;
  #waiting = new Set();

  /** `seen` is called with what has been asked, whenever there is something new, and each second. */
  constructor(seen) {
    this.#seen = seen;
  }

  /** Ask for what is due, now and from now on; nothing waits for what is slow to answer. */
  begin() {
    this.#look();
    setInterval(() => this.#look(), SECOND);
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** Ask again at once, where something has been done about it. */
  async again(name) {
    await this.#askFor(name);
  }

  #look() {
    if (document.hidden) return;
    for (const name of Object.keys(SOURCES)) if (!this.#waiting.has(name) && this.#isDue(name)) this.#askFor(name);
    this.#seen(null);
  }

  #isDue(name) {
    const at = this.facts[name]?.at ?? 0;
    const every = this.#isWorking() && ["jobs", "stats"].includes(name) ? SECOND : SOURCES[name].every;
    return Date.now() - at >= every - SECOND / 10;
  }

  /** Whether a job runs or waits, so that there is something to follow. */
  #isWorking() {
    return this.facts.jobs?.value?.jobs.some((job) => job.queued || job.last?.outcome === "running") ?? false;
  }

  async #askFor(name) {
    const { path, params, text } = SOURCES[name];
    const fact = (this.facts[name] ??= {});
    this.#waiting.add(name);
    fact.at = Date.now();
    try {
      const answer = await ask(path, { params, text, headers: key.headers, signal: AbortSignal.timeout(PATIENCE) });
      Object.assign(fact, { value: text ? parse(answer) : answer, problem: null, good: Date.now() });
      if (name === "jobs") this.#lookAfterEnds(fact);
    } catch (error) {
      // Who does not answer in time does not answer.
      fact.problem = error instanceof Problem ? error : new Problem(0);
    } finally {
      this.#waiting.delete(name);
    }
    this.#seen(name);
  }

  /** Where a run has ended since jobs were last asked for, what it measured is new. */
  #lookAfterEnds(fact) {
    const ends = fact.value.jobs.map((job) => job.last?.ended_at ?? "").join();
    if (fact.ends !== undefined && ends !== fact.ends) for (const name of ["stats", "history", "quality"]) if (this.facts[name]) this.facts[name].at = 0;
    fact.ends = ends;
  }
}
