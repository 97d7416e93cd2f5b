/** A film's poster: drawn at once, and covered by TMDB's photo where that can be had. */

import { draw, letterSize } from "./drawn_poster.js";
import { h } from "./dom.js";

const PHOTOS = "https://image.tmdb.org/t/p/w342";
const RETRY_AFTER = 300_000;
const AWAY = "marquee.photosAway";

/** The poster; nothing of it is read out, for the title stands beside it. */
export function poster(film, { eager = false } = {}) {
  const look = draw(film);
  const genre = (film.genres ?? [])[0]?.name ?? "";
  return h("div", { class: "poster", "aria-hidden": true, vars: { "--field": look.ground, "--light": look.light } },
    h("img", { class: "poster-art", src: look.picture, alt: "", width: 200, height: 300, decoding: "async" }),
    h("div", { class: look.onTop ? "lettering on-top" : "lettering", vars: { "--size": `${letterSize(film.title).toFixed(2)}cqi` } },
      h("span", { class: "lettering-title", dir: "auto" }, film.title),
      h("span", { class: "lettering-facts" }, [film.release_year, genre].filter(Boolean).join("  ·  "))),
    photo(film, eager));
}

/** TMDB's photo. One is asked for before all others: offline, one question is enough for a while. */
function photo(film, eager) {
  if (!film.poster_path || Date.now() - Number(sessionStorage.getItem(AWAY) ?? 0) < RETRY_AFTER) return null;
  const image = h("img", { class: "poster-photo", alt: "", width: 342, height: 513, loading: eager ? "eager" : "lazy", decoding: "async" });
  image.addEventListener("load", () => image.classList.add("is-here"));
  image.addEventListener("error", () => image.remove());
  reachable ??= isReachable(PHOTOS + film.poster_path);
  reachable.then((is) => {
    if (is) image.src = PHOTOS + film.poster_path;
    else image.remove();
  });
  return image;
}

let reachable = null;
let failures = 0;

function isReachable(address) {
  const first = new Image();
  return new Promise((resolve) => {
    first.addEventListener("load", () => resolve(true));
    first.addEventListener("error", () => {
      reachable = null;
      failures += 1;
      // One may be missing by itself.
      if (failures > 1) sessionStorage.setItem(AWAY, Date.now());
      resolve(false);
    });
    first.src = address;
  });
}
