/** Prometheus metrics: read, and compared with those of a moment ago. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** All samples of a text, by the name of the metric. */
export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (!name) continue;
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])), value: asNumber(value) });
  }
  return found;
}

const asNumber = (text) => (text === "+Inf" ? Infinity : Number(text));

/** One value of a metric; undefined where this service does not tell it, or does not know. */
export function value(metrics, name, labels = {}) {
  const matches = (sample) => Object.entries(labels).every(([key, text]) => sample.labels[key] === text);
  const found = metrics?.get(name)?.find(matches)?.value;
  return Number.isNaN(found) ? undefined : found;
}

/** The samples of a metric, added up by a label. */
export function sums(metrics, name, label, keep = () => true) {
  const added = new Map();
  for (const sample of metrics.get(name) ?? []) {
    if (keep(sample.labels)) added.set(sample.labels[label], (added.get(sample.labels[label]) ?? 0) + sample.value);
  }
  return added;
}

/** A histogram by route: from each bound to how many took no longer. */
export function histograms(metrics, name) {
  const routes = new Map();
  for (const { labels, value: count } of metrics.get(`${name}_bucket`) ?? []) {
    if (!routes.has(labels.route)) routes.set(labels.route, new Map());
    routes.get(labels.route).set(asNumber(labels.le), count);
  }
  return routes;
}

/** What came to a histogram. */
export const since = (before, now) => new Map([...now].map(([bound, count]) => [bound, count - (before?.get(bound) ?? 0)]));

/** Several histograms as one. */
export function together(all) {
  const added = new Map();
  for (const buckets of all) for (const [bound, count] of buckets) added.set(bound, (added.get(bound) ?? 0) + count);
  return added;
}

/** The time within which a share of requests was answered; NaN without any, Infinity beyond the last bound. */
export function quantile(buckets, share) {
  const bounds = [...buckets].sort(([one], [other]) => one - other);
  const wanted = share * (bounds.at(-1)?.[1] ?? 0);
  if (!wanted) return NaN;
  let [low, below] = [0, 0];
  for (const [bound, count] of bounds) {
    if (count >= wanted) return bound === Infinity ? Infinity : low + ((bound - low) * (wanted - below)) / (count - below || 1);
    [low, below] = [bound, count];
  }
  return NaN;
}
