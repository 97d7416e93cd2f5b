/** Times, shares and sizes, as an operator reads them. */

const STEPS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago, or how long until. */
export function ago(moment, now = Date.now()) {
  const seconds = (new Date(moment) - now) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const [unit, length] = STEPS.find(([, step]) => Math.abs(seconds) >= step) ?? STEPS.at(-1);
  return relative.format(Math.trunc(seconds / length), unit);
}

/** How long something takes. */
export function lasting(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds === 0) return "0";
  if (seconds < 0.001) return "under 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")}`;
}

/** A share of 1; one that is nearly all is never rounded up to all. */
export function percent(share, digits = 1) {
  if (!Number.isFinite(share)) return "–";
  const power = 10 ** digits;
  // 0.974 times 1000 is a hair less than 974.
  const shown = Math.floor(share * 100 * power + 1e-6) / power;
  return `${shown.toLocaleString("en", { maximumFractionDigits: digits })} %`;
}

/** A number, with no more digits than it deserves. */
export const number = (value) => (Number.isFinite(value) ? value.toLocaleString("en", { maximumFractionDigits: value < 1 ? 2 : value < 10 ? 1 : 0 }) : "–");

/** The time of a day, and the day where it is another one. */
export function clock(moment) {
  const date = new Date(moment);
  const isToday = date.toDateString() === new Date().toDateString();
  const day = isToday ? {} : { day: "numeric", month: "short" };
  return date.toLocaleString("en", { ...day, hour: "2-digit", minute: "2-digit", hour12: false });
}

/** Bytes, as memory and disks are counted. */
export const size = (bytes) => (Number.isFinite(bytes) ? `${number(bytes / 2 ** 20)} MiB` : "–");

/** What a layer is called. */
export const LAYERS = { pgvector: "Database", file_cache: "File cache", svd: "Model on disk", popular: "Popular films" };

/** What became of a run, in a word. */
export const OUTCOMES = { succeeded: "Succeeded", skipped: "Skipped", failed: "Failed", interrupted: "Interrupted", running: "Running", queued: "Waiting" };

/** What a job is called. */
export const JOBS = { ingest: "Fetch from TMDB", embeddings: "Embeddings", index: "Index", train: "Training", cache: "File cache" };
