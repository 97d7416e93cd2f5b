/** Whether all is well: from what is known to one of three states, each reason with what to do about it. */

import { count } from "../words.js";
import { value } from "./metrics.js";
import { ago, JOBS, LAYERS, percent } from "./words.js";

export const STATES = ["well", "look", "trouble"];
const STALE = 48 * 3_600_000;
const ENOUGH = 0.98;
const FAILED_SHARE = 0.01;

/** The state and its reasons, the gravest first. */
export function judge(facts, traffic) {
  const reasons = [...reachable(facts), ...answering(facts, traffic), ...nights(facts), ...finding(facts)];
  const level = Math.max(0, ...reasons.map((reason) => STATES.indexOf(reason.level)));
  return { level: STATES[level], reasons: reasons.sort((one, other) => STATES.indexOf(other.level) - STATES.indexOf(one.level)) };
}

const trouble = (what, todo) => ({ level: "trouble", what, todo });
const look = (what, todo) => ({ level: "look", what, todo });

function* reachable({ ready, stats, metrics }) {
  if ([ready, metrics].every((fact) => fact?.problem?.status === 0)) {
    yield trouble("The service does not answer.", "See whether its process runs, and what its log says last. What is shown below is from before.");
  } else if (stats?.problem?.status === 401) {
    yield trouble("You are not signed in.", "Open the link that the service printed when it started.");
  } else if (ready?.problem) {
    yield trouble("The service can't answer questions yet.", ready.problem.message);
  }
}

function* answering({ ready, stats, metrics }, traffic) {
  const layer = ready?.value?.layer;
  const isOpen = value(metrics?.value, "marquee_breaker_open") === 1;
  if (!ready?.problem && (stats?.problem?.passes || isOpen)) {
    yield trouble("The database does not answer.", `Lists go on coming from the ${(LAYERS[layer === "pgvector" ? "file_cache" : layer] ?? "files").toLowerCase()}; nothing new can be stored. An embedded database is brought back by itself; of another, see its server and DATABASE_URL.`);
  } else if (layer && layer !== "pgvector" && !ready.problem) {
    yield look(`The last list came from the ${LAYERS[layer].toLowerCase()}, not from the database.`, "If it stays so, see the log: it says why under layer_in_use.");
  }
  if (ready?.value?.encoder === "loading") yield look("The embedding model is still being loaded.", "Search by meaning comes with it, in a few seconds.");
  if (ready?.value?.encoder === "unusable") yield look("The embedding model can't be loaded.", "Search goes by titles only. The log says why under encoder_not_loaded; start the service again after that.");
  const recent = traffic.recently();
  if (recent.failed > 0) {
    const say = recent.failed / recent.all > FAILED_SHARE ? trouble : look;
    yield say(`${count(recent.failed, "request")} of the last ${count(recent.all, "request")} failed.`, "The table below says on which routes, the log why.");
  }
  const [used, limit] = [value(metrics?.value, "marquee_pool_connections_in_use"), value(metrics?.value, "marquee_pool_connections_limit")];
  if (used >= limit) yield look(`All ${limit} connections to the database are in use.`, "If it stays so, give DB_POOL_SIZE more, or the database more to work with.");
}

function* nights({ jobs, stats, metrics }) {
  const known = jobs?.value;
  const before = (name) => {
    const age = value(metrics?.value, "marquee_job_last_success_age_seconds", { job: name });
    return age === undefined ? "" : `It last succeeded ${ago(Date.now() - age * 1000)}. `;
  };
  if (known && !known.scheduler_running) {
    yield look("Nobody runs the jobs: there is no scheduler.", "Start python -m backend scheduler beside the service, or the service without --no-scheduler.");
  }
  const runs = known ? known.jobs.map((job) => [job.name, job.last]) : Object.entries(stats?.value?.jobs ?? {});
  for (const [name, last] of runs) {
    if (last?.outcome === "failed") {
      yield look(`The last run of “${JOBS[name]}” failed ${ago(last.ended_at)}${last.error ? `: ${last.error.replace(/\.$/, "")}` : ""}.`, `${before(name)}Run it again below. If it fails again, what the log says under job_raised names the cause.`);
    } else if (last?.outcome === "interrupted") {
      yield look(`The last run of “${JOBS[name]}” was interrupted ${ago(last.ended_at)}.`, "The scheduler begins it again by itself; if it does not, run it below.");
    } else if (last && Date.now() - new Date(last.started_at) > STALE) {
      yield look(`“${JOBS[name]}” ran for the last time ${ago(last.started_at)}.`, "It is due every night: see that a scheduler runs, or run it below.");
    }
  }
}

function* finding({ stats, history, metrics }) {
  const known = stats?.value;
  if (!known) return;
  if (!known.total_movies) {
    yield trouble("The catalogue is empty.", "Fill it: python movie_pipeline.py");
    return;
  }
  const share = known.with_embeddings / known.total_movies;
  if (share < ENOUGH) yield look(`${count(known.pending_embeddings, "film")} of ${known.total_movies.toLocaleString("en")} can't be found by meaning yet.`, "The job “Embeddings” sees to them, every night or when you run it.");
  const [recall, target] = [known.index.recall_at_10, history?.value?.target];
  if (recall !== null && recall < target) yield look(`The index finds ${percent(recall)} of the nearest films, less than the ${percent(target)} wanted.`, "Run the job “Index”: it tunes it, or builds it anew.");
  if (recall === null) yield look("Nobody has measured what the index finds.", "Run the job “Index”.");
  if (known.taste_version === null) yield look("Nothing has been learned yet: everyone is recommended the same.", "Run the job “Training”.");
  if (value(metrics?.value, "marquee_layer_up", { layer: "file_cache" }) === 0) yield look("The file cache can't answer.", "Without the database there would be little to show. Run the job “File cache”.");
}
