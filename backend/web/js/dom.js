/** Elements, without a library. Text is always text: nothing here reads markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. `on` holds listeners, `vars` custom properties; false, null and undefined leave out. */
export function h(tag, { on = {}, vars = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  element.append(...children.flat(3).filter((child) => child || child === 0));
  return element;
}

/** Sets an attribute; true is an empty one, and false, null or undefined none. */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : value);
}

/** The icons, as paths in a square of 24. */
const ICONS = {
  like: "M12 20.5 4.3 12.9a5 5 0 0 1 7.1-7.1l.6.6.6-.6a5 5 0 0 1 7.1 7.1z",
  dislike: "M7 14V4h9.6a2 2 0 0 1 2 1.6l1.3 6.2a2 2 0 0 1-2 2.4H14l.7 4.1a1.9 1.9 0 0 1-3.5 1.2L7 14zm0 0H4V4h3",
  watched: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zm9.5 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  watchlist: "M6.5 3.5h11v17L12 16.2 6.5 20.5z",
  not_interested: "M5 5l14 14M19 5L5 19",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zm4.8-1.7L20.5 20.5",
  back: "M14.5 5l-7 7 7 7",
  forward: "M9.5 5l7 7-7 7",
  again: "M19.5 12a7.5 7.5 0 1 1-2.3-5.4M19.5 3.5v4h-4",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  edit: "M4 20l1-4L16.5 4.5a1.5 1.5 0 0 1 2 0l1 1a1.5 1.5 0 0 1 0 2L8 19z",
  well: "M5 12.5l4.5 4.5L19 7.5",
  look: "M12 6.5v7M12 17.2v.3",
  trouble: "M7 7l10 10M17 7L7 17",
  file: "M12 15.5V4.5m-4 4l4-4 4 4M5 15v4.5h14V15",
};

/** An icon, for the eye only. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button; `name` is what is read out where only an icon is seen. */
export function button(label, listener, { symbol, name, ...attributes } = {}) {
  const listeners = listener ? { click: listener } : {};
  const shown = [symbol && icon(symbol), label && h("span", {}, label)];
  return h("button", { type: "button", "aria-label": name, title: label ? undefined : name, on: listeners, ...attributes }, shown);
}

/** Has a screen reader say something. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
