/** Ten thousand films as points on a canvas: drawn, moved, zoomed, and found under the finger. */

const CELLS = 64;
const CLOSEST = 1, FURTHEST = 40;
const LABELS = 26;
const REACH = 14;
const GENRES = ["Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History",
  "Horror", "Music", "Mystery", "Romance", "Science Fiction", "Thriller", "War", "Western"];

/** The hue of a genre: neighbours in the alphabet are far apart in colour. */
export const hue = (genre) => (GENRES.includes(genre) ? (GENRES.indexOf(genre) * 137.5 + 20) % 360 : null);

/** Points on a canvas. `moved` is called when the view has changed, `pointed` with the film under the pointer. */
export class TasteMap {
  constructor(canvas, films, { moved, pointed, chosen }) {
    Object.assign(this, { canvas, films, moved, pointed, chosen });
    this.brush = canvas.getContext("2d");
    this.view = { scale: 1, x: 0, y: 0 };
    this.marked = { liked: new Set(), proposed: new Set() };
    this.order = films.id.map((_, index) => index).sort((a, b) => films.votes[b] - films.votes[a]);
    this.place = new Map(films.id.map((id, index) => [id, index]));
    this.groups = Map.groupBy(this.order, (index) => films.genre[index]);
    this.cells = Map.groupBy(this.order, (index) => cell(films.x[index], films.y[index]));
    this.pointers = new Map();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    this.listen();
  }

  /** Lets go of what it holds. */
  end() {
    this.observer.disconnect();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    Object.assign(this, { width: clientWidth, height: clientHeight, ratio });
    this.canvas.width = clientWidth * ratio;
    this.canvas.height = clientHeight * ratio;
    this.changed();
  }

  /** Draws with the next frame, however often it is asked for. */
  changed() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.moved(), 160);
  }

  get size() {
    return [this.width - 48, this.height - 48].map((length) => length * this.view.scale);
  }

  /** Where a film is on the canvas. */
  at(index) {
    const [wide, high] = this.size;
    return [24 + this.films.x[index] * wide + this.view.x, 24 + this.films.y[index] * high + this.view.y];
  }

  isSeen([x, y]) {
    return x > -20 && y > -20 && x < this.width + 20 && y < this.height + 20;
  }

  /** The best-known films in view. */
  inView(number) {
    const found = [];
    for (const index of this.order) {
      const [x, y] = this.at(index);
      if (x > 0 && y > 0 && x < this.width && y < this.height) found.push(index);
      if (found.length === number) break;
    }
    return found;
  }

  draw() {
    const { brush, ratio } = this;
    const style = getComputedStyle(this.canvas);
    this.colours = Object.fromEntries(["ink", "ground", "accent", "love", "mark"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const light = style.getPropertyValue("--map-light").trim();
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, this.width, this.height);
    const grow = Math.sqrt(this.view.scale);
    brush.globalAlpha = this.marked.liked.size || this.marked.proposed.size ? 0.62 : 0.85;
    for (const [genre, group] of this.groups) {
      const colour = hue(genre);
      brush.fillStyle = colour === null ? `hsl(40 6% ${light})` : `hsl(${colour} 62% ${light})`;
      brush.beginPath();
      for (const index of group) this.dot(index, grow);
      brush.fill();
    }
    brush.globalAlpha = 1;
    for (const id of this.marked.proposed) this.mark(id, this.colours.mark, { grow, corners: true });
    for (const id of this.marked.liked) this.mark(id, this.colours.love, { grow });
    this.write(grow);
  }

  dot(index, grow) {
    const at = this.at(index);
    if (!this.isSeen(at)) return;
    const r = this.radius(index, grow);
    // A circle this small is a square to the eye, and a tenth of the work.
    if (r < 1.7) {
      this.brush.rect(at[0] - r, at[1] - r, 2 * r, 2 * r);
      return;
    }
    this.brush.moveTo(at[0] + r, at[1]);
    this.brush.arc(at[0], at[1], r, 0, 7);
  }

  radius(index, grow) {
    return Math.min(9, (0.5 + Math.log10(1 + this.films.votes[index]) * 0.42) * grow);
  }

  /** A film of the person: a circle, or a square on its corner. */
  mark(id, colour, { grow, corners = false }) {
    const index = this.place.get(id);
    if (index === undefined) return;
    const [x, y] = this.at(index);
    if (!this.isSeen([x, y])) return;
    this.brush.beginPath();
    const r = Math.max(4.5, this.radius(index, grow) + 1.5);
    if (corners) for (const [a, b] of [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]]) this.brush.lineTo(x + a * r, y + b * r);
    else this.brush.arc(x, y, r, 0, 7);
    this.brush.closePath();
    this.brush.fillStyle = colour;
    this.brush.strokeStyle = this.colours.ground;
    this.brush.lineWidth = 2;
    this.brush.fill();
    this.brush.stroke();
  }

  /** Titles of what is best known or marked, where there is room. */
  write(grow) {
    const taken = [];
    const { brush } = this;
    brush.font = "600 12px Figtree, system-ui, sans-serif";
    brush.lineWidth = 3.5;
    brush.lineJoin = "round";
    const marked = [...this.marked.liked, ...this.marked.proposed].map((id) => this.place.get(id)).filter((index) => index !== undefined);
    const hovered = this.under === undefined ? [] : [this.under];
    for (const index of [...hovered, ...marked, ...this.inView(LABELS * 3)]) {
      if (taken.length >= LABELS) break;
      this.label(index, grow, taken);
    }
  }

  label(index, grow, taken) {
    const { brush, films } = this;
    const at = this.at(index);
    if (!this.isSeen(at)) return;
    const wide = brush.measureText(films.title[index]).width;
    const left = Math.max(4, Math.min(this.width - wide - 4, at[0] + this.radius(index, grow) + 5));
    const box = [left - 4, at[1] - 10, left + wide + 4, at[1] + 10];
    if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) return;
    taken.push(box);
    brush.strokeStyle = this.colours.ground;
    brush.fillStyle = index === this.under ? this.colours.accent : this.colours.ink;
    brush.strokeText(films.title[index], left, at[1] + 4);
    brush.fillText(films.title[index], left, at[1] + 4);
  }

  /** The film nearest to a point of the canvas, within reach. */
  near(x, y) {
    const [wide, high] = this.size;
    const [u, v] = [(x - 24 - this.view.x) / wide, (y - 24 - this.view.y) / high];
    const [across, down] = [Math.ceil((REACH / wide) * CELLS), Math.ceil((REACH / high) * CELLS)];
    let best, least = REACH;
    for (let i = -across; i <= across; i += 1) {
      for (let j = -down; j <= down; j += 1) {
        for (const index of this.cells.get(cell(u + i / CELLS, v + j / CELLS)) ?? []) {
          const [a, b] = this.at(index);
          const far = Math.hypot(a - x, b - y);
          if (far < least) [best, least] = [index, far];
        }
      }
    }
    return best;
  }

  /** Zooms about a point of the canvas, and not further than makes sense. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.max(CLOSEST, Math.min(FURTHEST, this.view.scale * factor));
    const real = scale / this.view.scale;
    this.view = { scale, x: x - 24 - (x - 24 - this.view.x) * real, y: y - 24 - (y - 24 - this.view.y) * real };
    this.move(0, 0);
  }

  /** Moves the view; the map never leaves the canvas. */
  move(x, y) {
    const [wide, high] = this.size;
    const keep = (value, length, canvas) => Math.max(canvas - 48 - length, Math.min(0, value));
    this.view.x = keep(this.view.x + x, wide, this.width);
    this.view.y = keep(this.view.y + y, high, this.height);
    this.changed();
  }

  /** Brings a film to the middle. */
  centre(id) {
    const index = this.place.get(id);
    if (index === undefined) return;
    if (this.view.scale < 6) this.zoom(6 / this.view.scale);
    const [x, y] = this.at(index);
    this.under = index;
    this.move(this.width / 2 - x, this.height / 2 - y);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
      this.dragged = 0;
    });
    canvas.addEventListener("pointermove", (event) => this.follow(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.release(event, name));
    canvas.addEventListener("pointerleave", () => this.point(undefined));
    canvas.addEventListener("keydown", (event) => this.press(event));
  }

  follow(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.point(this.near(event.offsetX, event.offsetY));
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    this.dragged += Math.hypot(event.offsetX - before.offsetX, event.offsetY - before.offsetY);
    if (other) {
      const apart = (one) => Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY) || 1;
      this.zoom(apart(event) / apart(before), (event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2);
    } else this.move(event.offsetX - before.offsetX, event.offsetY - before.offsetY);
    this.pointers.set(event.pointerId, event);
    return undefined;
  }

  release(event, name) {
    this.pointers.delete(event.pointerId);
    if (name === "pointercancel" || this.dragged > 6) return;
    const index = this.near(event.offsetX, event.offsetY);
    if (index !== undefined) this.chosen(index);
  }

  point(index) {
    if (index === this.under) return;
    this.under = index;
    this.canvas.style.cursor = index === undefined ? "grab" : "pointer";
    this.pointed(index);
    this.changed();
  }

  press(event) {
    const step = 80;
    const ways = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (ways[event.key]) this.move(...ways[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.zoom(1 / FURTHEST);
    else return;
    event.preventDefault();
  }
}

function cell(x, y) {
  const clamp = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor(value * CELLS)));
  return clamp(x) * CELLS + clamp(y);
}
