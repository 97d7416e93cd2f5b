/** The figures that one looks at first. What this service does not tell is left out. */

import { h } from "../dom.js";
import { value } from "./metrics.js";
import { LAYERS, lasting, number, percent, size } from "./words.js";

/** In this order, whatever is known first. */
const ORDER = ["Films", "Coverage", "People", "Answers come from", "Requests", "Answers kept", "Connections", "Running", "Database restarts"];

export class Tiles {
  element = h("dl", { class: "tiles", "aria-label": "At a glance" });
  #tiles = new Map();

  /** Show what is known now. */
  update({ stats, metrics, ready }, traffic) {
    for (const [name, told, note] of figures(stats?.value, metrics?.value, ready?.value, traffic)) {
      if (!this.#tiles.has(name)) this.#tiles.set(name, this.#add(name));
      const tile = this.#tiles.get(name);
      tile.value.textContent = told;
      tile.note.textContent = note;
    }
  }

  #add(name) {
    const tile = { value: h("dd", {}), note: h("dd", { class: "quiet" }) };
    const next = ORDER.slice(ORDER.indexOf(name) + 1).find((other) => this.#tiles.has(other));
    this.element.insertBefore(h("div", { class: "tile-of", "data-name": name }, h("dt", {}, name), tile.value, tile.note), next ? this.element.querySelector(`[data-name="${next}"]`) : null);
    return tile;
  }
}

function* figures(stats, metrics, ready, traffic) {
  if (stats) {
    yield ["Films", stats.total_movies.toLocaleString("en"), `${number(stats.with_embeddings)} found by meaning`];
    yield ["Coverage", percent(stats.with_embeddings / stats.total_movies), stats.pending_embeddings ? `${number(stats.pending_embeddings)} wait for an embedding` : "nothing waits"];
    yield ["People", stats.people.toLocaleString("en"), `${number(stats.interactions)} things they did`];
  }
  if (ready) yield ["Answers come from", LAYERS[ready.layer], breaker(metrics)];
  if (!metrics) return;
  yield ["Requests", number(perMinute(traffic)), "a minute, now"];
  const [hits, misses] = ["hits", "misses"].map((what) => value(metrics, `marquee_response_cache_${what}_total`));
  if (hits !== undefined) yield ["Answers kept", percent(hits / (hits + misses), 0), `${number(hits)} of ${number(hits + misses)} lists`];
  const [used, limit] = ["in_use", "limit"].map((what) => value(metrics, `marquee_pool_connections_${what}`));
  if (used !== undefined) yield ["Connections", `${used} of ${limit}`, "in use"];
  const started = value(metrics, "process_start_time_seconds");
  if (started) yield ["Running", lasting(Date.now() / 1000 - started), `${size(value(metrics, "process_resident_memory_bytes"))} of memory`];
  const restarts = value(metrics, "marquee_postgres_restarts_total");
  if (restarts) yield ["Database restarts", number(restarts), "since the service started"];
}

function perMinute(traffic) {
  return traffic.routes().reduce((sum, route) => sum + route.perMinute, 0);
}

/** Whether the database is asked: by the breaker, where the metrics tell of it, else by the layer. */
function breaker(metrics) {
  const isOpen = value(metrics, "marquee_breaker_open") ?? 1 - (value(metrics, "marquee_layer_up", { layer: "pgvector" }) ?? 1);
  return isOpen ? "breaker open: the database is left alone" : "breaker closed";
}
