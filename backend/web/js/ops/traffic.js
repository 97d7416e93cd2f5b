/** What was asked and who answered, since this page is open: the differences of metrics from one look to the next. */

import { histograms, quantile, since, sums, together, value } from "./metrics.js";

const KEPT = 720;
const MINUTE = 60_000;
/** What this page asks for, and what is no question: it would show the operator to themselves. */
const OWN = /^\/(v1\/)?(metrics|stats|jobs|health|index\/history|quality|ops|web)\b|^unmatched$/;
const isAsked = (labels) => !OWN.test(labels.route);

export class Traffic {
  #looks = [];

  /** Take down what the metrics say now. A service that was started anew counts from zero, and so does this. */
  add(metrics, at = Date.now()) {
    const started = value(metrics, "process_start_time_seconds");
    const look = {
      at,
      started,
      requests: sums(metrics, "marquee_requests_total", "route", isAsked),
      failed: sums(metrics, "marquee_requests_total", "route", (labels) => isAsked(labels) && labels.status.startsWith("5")),
      answers: sums(metrics, "marquee_answers_total", "source"),
      seconds: new Map([...histograms(metrics, "marquee_request_seconds")].filter(([route]) => isAsked({ route }))),
    };
    if (this.#looks.at(-1)?.started !== started) this.#looks = [];
    this.#looks = [...this.#looks, look].slice(-KEPT);
  }

  /** For each step from look to look: when, how many a second, within which time 95 %, and who answered. */
  steps() {
    return this.#looks.slice(1).map((now, index) => {
      const before = this.#looks[index];
      const seconds = (now.at - before.at) / 1000;
      const took = together([...now.seconds].map(([route, buckets]) => since(before.seconds.get(route), buckets)));
      const bound = quantile(took, 0.95);
      return {
        at: now.at,
        rate: (total(now.requests) - total(before.requests)) / seconds,
        slowest: Number.isFinite(bound) ? bound * 1000 : null,
        answers: new Map([...now.answers].map(([source, count]) => [source, (count - (before.answers.get(source) ?? 0)) / seconds])),
      };
    });
  }

  /** How many were answered within the last minutes, and how many of them not well. */
  recently(minutes = 5) {
    const now = this.#looks.at(-1);
    const before = this.#lookBefore(minutes);
    return now ? { all: total(now.requests) - total(before.requests), failed: total(now.failed) - total(before.failed) } : { all: 0, failed: 0 };
  }

  /** Each route, those most asked for at the top; times are those since this page is open, where there are any. */
  routes() {
    const now = this.#looks.at(-1);
    if (!now) return [];
    const [first, before] = [this.#looks[0], this.#lookBefore(1)];
    const minutes = Math.max((now.at - before.at) / MINUTE, 1 / 60);
    return [...now.requests].sort(([, one], [, other]) => other - one).map(([route, requests]) => {
      const here = since(first.seconds.get(route), now.seconds.get(route) ?? new Map());
      const isNow = quantile(here, 0.5) >= 0;
      const took = isNow ? here : now.seconds.get(route) ?? new Map();
      return {
        route, requests, isNow,
        failed: now.failed.get(route) ?? 0,
        perMinute: (requests - (before.requests.get(route) ?? 0)) / minutes,
        half: quantile(took, 0.5),
        most: quantile(took, 0.95),
      };
    });
  }

  #lookBefore(minutes) {
    const then = this.#looks.at(-1)?.at - minutes * MINUTE;
    return this.#looks.find((look) => look.at >= then);
  }
}

const total = (counts) => [...counts.values()].reduce((sum, count) => sum + count, 0);
