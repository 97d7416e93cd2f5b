/** The operator's page: asks how it is, says it in a headline, and shows what that rests on. */

import { Answers } from "./answers.js";
import { Growth, Index, Ingest } from "./catalogue.js";
import { Headline } from "./headline.js";
import { h } from "../dom.js";
import { Jobs } from "./jobs.js";
import { Quality } from "./quality.js";
import { Tiles } from "./tiles.js";
import { Traffic } from "./traffic.js";
import { judge } from "./verdict.js";
import { Watch } from "./watch.js";

const traffic = new Traffic();
const watch = new Watch(seen);
const [headline, tiles, answers] = [new Headline(), new Tiles(), new Answers()];
const [jobs, growth, index, quality, ingest] = [new Jobs(watch), new Growth(), new Index(), new Quality(), new Ingest()];
const SHOWN_BY = { jobs: [jobs], stats: [growth, index, ingest], history: [growth, index], quality: [quality] };

/** Tell what has been learned from a source; where nothing has, what tells the time. */
function seen(name) {
  const { facts } = watch;
  if (name === "metrics" && !facts.metrics.problem) {
    traffic.add(facts.metrics.value);
    answers.update(traffic);
  }
  if (name) tiles.update(facts, traffic);
  for (const panel of SHOWN_BY[name] ?? []) panel.update(facts);
  headline.update(judge(facts, traffic), facts);
}

document.getElementById("main").replaceChildren(headline.element, tiles.element,
  h("div", { class: "panels" }, jobs.element, answers.element, growth.element, index.element, quality.element, ingest.element));
watch.begin();
