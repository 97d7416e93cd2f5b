/** Facts and reasons in plain English. */

const LABELS = {
  collection: "From the same series",
  director: "Same director",
  actor: "Also with",
  keyword: "Also about",
  genre: "Same kind",
};

/** A duration as one says it. */
export function duration(minutes) {
  if (!minutes) return "";
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${String(minutes % 60).padStart(2, "0")}` : `${minutes} min`;
}

/** The year, some genres, and how long: what one wants to know first. */
export function facts(film, { genres = 2 } = {}) {
  const names = (film.genres ?? []).slice(0, genres).map((genre) => genre.name ?? genre);
  return [film.release_year, names.join(", "), duration(film.runtime)].filter(Boolean).join(" · ");
}

/** The average of votes, where there are any. */
export const stars = (film) => (film.vote_count ? `${film.vote_average.toFixed(1)}` : "");

/** A, B and C. */
export function list(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** Why a film stands there, in a line; empty where nothing special speaks for it. */
export function reason(why = []) {
  const liked = (why ?? []).filter((one) => one.kind === "liked" && one.title && (one.share ?? 1) > 0);
  if (liked.length) return `Because you liked ${named(liked.map((one) => one.title))}`;
  const shared = (why ?? []).find((one) => LABELS[one.kind] && one.names?.length);
  if (shared) return `${LABELS[shared.kind]}: ${shared.names.slice(0, 2).join(", ")}`;
  if ((why ?? []).some((one) => one.kind === "words")) return "Fits your words";
  return (why ?? []).some((one) => one.kind === "popular") ? "Well known and well liked" : "";
}

/** The first two titles, or the first one where two would not fit. */
function named([first, second]) {
  return second && first.length + second.length < 36 ? list([first, second]) : first;
}

/** A number of things. */
export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** A day as one writes it. */
export const day = (moment) => new Date(moment).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
