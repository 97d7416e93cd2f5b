/** Posters drawn from what is known of a film: its genre gives composition and colours, its id the variation. */

import * as art from "./motifs.js";

/** By genre: motifs, and palettes of ground, first shape, second shape, light. Lettering is light on ground. */
const STYLES = {
  Action: [[art.rays, art.streaks], ["#1d0f0a", "#e8441f", "#f7a21b", "#fff1dc"], ["#10151f", "#f0b429", "#d8432b", "#fff7e6"], ["#0b1f26", "#ff6b35", "#1fa2a6", "#f6fbf4"]],
  Adventure: [[art.peaks, art.tide], ["#0f2a2e", "#e9a23b", "#3f8a7c", "#fbf0d9"], ["#2a1a12", "#d9772b", "#8c4a2f", "#fdeed8"], ["#14213d", "#fca311", "#3d6a94", "#fff6e2"]],
  Animation: [[art.balloons, art.confetti], ["#1b2a6b", "#ffcf33", "#ff6b6b", "#fff8e7"], ["#0d3b44", "#ff9f43", "#5ad1c3", "#fffbe8"], ["#4a1942", "#ffb4a2", "#f9c74f", "#fff4ec"]],
  Comedy: [[art.confetti, art.curtain, art.balloons], ["#3a1033", "#ffd23f", "#ff6f91", "#fff6e0"], ["#0e3a53", "#ffb347", "#f25f5c", "#fff8ea"], ["#233d1f", "#f6c453", "#e4572e", "#fdf8e4"]],
  Crime: [[art.blinds, art.windows], ["#14110f", "#c9a227", "#5b4636", "#f5ead2"], ["#101820", "#d64541", "#3c4f5f", "#f2efe8"], ["#1c1420", "#d98e4a", "#4c3a58", "#f7eee2"]],
  Documentary: [[art.frames], ["#1c2321", "#b7c4a1", "#5f7470", "#f4f1e6"], ["#22201c", "#e0b67a", "#7d6b53", "#f8f1e4"]],
  Drama: [[art.discs, art.tide, art.windows, art.stairs], ["#231a2b", "#c06c84", "#6c5b7b", "#fbeee6"], ["#142433", "#d08c60", "#4f6d7a", "#faf1e6"], ["#2b1717", "#d9a05b", "#8b3a3a", "#fbefdf"], ["#12261f", "#8fb98b", "#3d6b5c", "#f3f4e4"]],
  Family: [[art.balloons, art.peaks], ["#124559", "#ffd166", "#ef6f6c", "#fffbe8"], ["#31215c", "#ffc857", "#5bc0be", "#fff8ea"]],
  Fantasy: [[art.spires, art.peaks], ["#160f33", "#8f6fe8", "#e0b1ff", "#f8f0ff"], ["#0b2b26", "#3fae8a", "#e8d58a", "#f6f7e8"]],
  History: [[art.columns], ["#2b1d12", "#c8963e", "#7a4b2a", "#f8ecd6"], ["#1b2130", "#b9a27b", "#58647d", "#f5efe2"]],
  Horror: [[art.claws, art.spotlight], ["#0c0a0b", "#b3121d", "#3c0a10", "#f4e4e0"], ["#0a1210", "#7fae4b", "#1f3a2c", "#eef5e2"]],
  Music: [[art.bars, art.curtain], ["#160d2b", "#ff4d8d", "#4dd0e1", "#fdf0ff"], ["#1e1206", "#f5a623", "#d0561f", "#fff3df"]],
  Mystery: [[art.spotlight], ["#0f1626", "#e3c567", "#33456b", "#f6f0de"], ["#1a1022", "#c58cf0", "#46285c", "#f8effd"]],
  Romance: [[art.hearts, art.tide], ["#3b0d24", "#ff7a8a", "#c2346a", "#fff0ee"], ["#2a1533", "#ffa68a", "#a84a86", "#fff2ea"]],
  "Science Fiction": [[art.orbits, art.streaks], ["#080d22", "#4a7cff", "#ff6a4d", "#e8efff"], ["#061c22", "#2fd3c1", "#f4b942", "#e6fbf7"], ["#1a0b2e", "#b15cff", "#ff7ab6", "#f6ecff"]],
  "TV Movie": [[art.frames], ["#1d1f33", "#f2a65a", "#64719c", "#f6f2ea"], ["#2b1c24", "#7fc8c2", "#8a5468", "#f5f4ee"]],
  Thriller: [[art.blinds, art.stairs, art.spotlight], ["#0d1214", "#e0562b", "#24414a", "#f4efe6"], ["#151019", "#e5c33b", "#493358", "#f7f2e4"], ["#0c1a1d", "#7cc6c3", "#28505a", "#eef7f2"]],
  War: [[art.chevrons], ["#1c1f14", "#b5863b", "#5c6239", "#f3ecd7"], ["#1e1715", "#c4472f", "#6b5b4d", "#f5ebdf"]],
  Western: [[art.mesa], ["#33150b", "#f0953a", "#a8431d", "#fff0d9"], ["#2b1a26", "#f3b562", "#b4574a", "#fff2df"]],
};
const ANY = [[art.bulbs], ["#191512", "#ffb224", "#7a5a2c", "#f9efdf"], ["#161a24", "#e8684a", "#44506e", "#f5f0e8"]];
const kept = new Map();

/** The colours of a film's poster, where its lettering stands, and the address of its picture. */
export function draw(film) {
  if (!kept.has(film.id)) kept.set(film.id, compose(film));
  return kept.get(film.id);
}

function compose(film) {
  const genre = (film.genres ?? [])[0]?.name ?? (film.genres ?? [])[0];
  const [motifs, ...palettes] = STYLES[genre] ?? ANY;
  const random = generator(film.id);
  const one = (list) => list[Math.floor(random() * list.length)];
  const [motif, palette, onTop] = [one(motifs), one(palettes), random() < 0.35];
  return { ground: palette[0], glow: palette[1], light: palette[3], onTop, picture: picture(motif, palette, random, onTop) };
}

/** Of capitals in the condensed face, in parts of their size. */
const WIDTHS = [[/[MW@%]/, 0.68], [/[IJ1.,:;'’!|()-]/, 0.27], [/[^\u0000-\u024f\u2000-\u206f]/, 1]];
const widthOf = (text) => [...text.toUpperCase()].reduce((sum, letter) => sum + (WIDTHS.find(([kind]) => kind.test(letter))?.[1] ?? 0.46), 0);

/** How large lettering may be, in hundredths of the poster's width, to fit a title into its field. */
export function letterSize(title) {
  const byWord = 83 / Math.max(...title.split(/[\s-]+/).map(widthOf));
  const byField = Math.sqrt((83 * 46) / (widthOf(title) * 1.25));
  return Math.max(8, Math.min(31, byWord, byField));
}

function picture(motif, [ground, first, second, light], random, onTop) {
  const middle = onTop ? 208 : 100;
  const ends = onTop ? ["y1='1' y2='0'", "M0 0h200v152H0z"] : ["y1='0' y2='1'", "M0 148h200v152H0z"];
  const shade = `<linearGradient id='s' x1='0' x2='0' ${ends[0]}><stop offset='0' stop-color='${ground}' stop-opacity='0'/>`
    + `<stop offset='.42' stop-color='${ground}' stop-opacity='.94'/><stop offset='1' stop-color='${ground}'/></linearGradient>`;
  const art = motif({ ground, first, second, light, random, middle });
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 200 300' width='200' height='300'><defs>${shade}</defs>`
    + `<path fill='${ground}' d='M0 0h200v300H0z'/>${art}<path fill='url(#s)' d='${ends[1]}'/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

/** Numbers from 0 to 1, the same ones for the same film (mulberry32). */
function generator(seed) {
  let state = Math.imul(seed, 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
