/** The compositions of drawn posters, in a field of 200 by 300: `middle` is the height about which each is built. */

const times = (number, draw) => Array.from({ length: number }, (_, index) => draw(index)).join("");
const circle = (x, y, r, fill, more = "") => `<circle cx='${x.toFixed(1)}' cy='${y.toFixed(1)}' r='${r.toFixed(1)}' fill='${fill}' ${more}/>`;
const ring = (x, y, r, stroke, width, more = "") => circle(x, y, r, "none", `stroke='${stroke}' stroke-width='${width}' ${more}`);
const shape = (points, fill, more = "") => `<path fill='${fill}' d='${points}' ${more}/>`;

export function rays({ first, second, light, random, middle }) {
  const x = 60 + random() * 80, number = 9 + Math.floor(random() * 5), turn = random();
  const fan = times(number, (index) => {
    const from = ((index + turn) / number) * 2 * Math.PI, until = from + Math.PI / number;
    const [a, b, c, d] = [Math.cos(from), Math.sin(from), Math.cos(until), Math.sin(until)].map((value) => value * 330);
    return shape(`M${x} ${middle}L${x + a} ${middle + b}L${x + c} ${middle + d}z`, index % 2 ? first : second, "opacity='.92'");
  });
  return fan + circle(x, middle, 34 + random() * 14, light) + circle(x, middle, 22 + random() * 10, first);
}

export function peaks({ ground, first, second, light, random, middle }) {
  const sun = circle(40 + random() * 120, middle - 35, 26 + random() * 18, light);
  const layer = (base, fill, opacity) => {
    const steps = times(6, (index) => `L${index * 44 - 10 + random() * 14} ${base - (index % 2 ? 58 : 8) - random() * 30}`);
    const edge = `M-10 300${steps}L230 ${base}L230 300z`;
    return shape(edge, first) + shape(edge, fill, `opacity='${opacity}'`);
  };
  return shape("M0 0h200v300H0z", first, "opacity='.9'") + sun + layer(middle + 18, second, 0.75) + layer(middle + 52, second, 1) + layer(middle + 88, ground, 1);
}

export function balloons({ first, second, light, random, middle }) {
  const colours = [first, second, light];
  return times(7, (index) => {
    const r = 20 + random() * 34;
    return circle(18 + (index % 3) * 80 + random() * 22, middle - 70 + Math.floor(index / 3) * 62 + random() * 26, r, colours[index % 3], "opacity='.93'")
      + (index % 2 ? "" : ring(18 + (index % 3) * 80, middle - 60 + Math.floor(index / 3) * 62, r + 8, colours[(index + 1) % 3], 3));
  });
}

export function confetti({ first, second, light, random, middle }) {
  const colours = [first, second, light];
  const bits = times(26, (index) => {
    const x = random() * 200, y = middle - 105 + random() * 190, size = 6 + random() * 12, turn = random() * 180;
    return index % 3 ? `<rect x='${x}' y='${y}' width='${size * 1.7}' height='${size * 0.7}' rx='2' fill='${colours[index % 3]}' transform='rotate(${turn} ${x} ${y})'/>` : circle(x, y, size * 0.6, colours[(index / 3) % 3]);
  });
  const smile = `<path d='M48 ${middle - 8}a52 52 0 0 0 104 0z' fill='${first}'/>` + circle(70, middle - 36, 9, light) + circle(130, middle - 36, 9, light);
  return bits + smile;
}

export function blinds({ first, second, light, random, middle }) {
  const tilt = -14 + random() * 28, gap = 15 + random() * 6;
  const slats = times(18, (index) => `<rect x='-60' y='${middle - 150 + index * gap}' width='320' height='${gap * (0.28 + (index % 4) * 0.12)}' fill='${second}'/>`);
  const figure = circle(100 + random() * 30 - 15, middle - 6, 50 + random() * 14, first) ;
  return figure + `<g transform='rotate(${tilt} 100 ${middle})'>${slats}</g>` + ring(100, middle - 6, 78, light, 1.5, "opacity='.5'");
}

export function frames({ first, second, light, random, middle }) {
  const inset = 26 + random() * 10;
  const corners = [[1, 1], [-1, 1], [1, -1], [-1, -1]].map(([x, y]) => {
    const cx = 100 - x * (100 - inset), cy = middle - y * 76;
    return `<path d='M${cx} ${cy + y * 26}V${cy}H${cx + x * 26}' fill='none' stroke='${light}' stroke-width='4'/>`;
  }).join("");
  const lens = times(4, (index) => ring(100, middle, 18 + index * 13, index % 2 ? first : second, 6));
  return `<path fill='${second}' opacity='.35' d='M0 ${middle - 20 + random() * 30}h200v160H0z'/>` + lens + circle(100, middle, 10, first) + corners;
}

export function discs({ first, second, light, random, middle }) {
  const apart = 22 + random() * 20, r = 52 + random() * 12, lift = random() * 24 - 12;
  return circle(100 - apart, middle + lift, r, first) + circle(100 + apart, middle - lift, r, second, "opacity='.86'")
    + `<path d='M0 ${middle + 46}h200' stroke='${light}' stroke-width='1.5' opacity='.6'/>` + circle(100, middle + 46, 5, light);
}

export function spires({ ground, first, second, light, random, middle }) {
  const stars = times(26, () => circle(random() * 200, middle - 105 + random() * 130, 0.7 + random() * 1.6, light));
  const moon = circle(60 + random() * 80, middle - 32, 40, second) ;
  const towers = times(7, (index) => {
    const x = index * 32 - 8, top = middle - 12 - random() * 62 + Math.abs(index - 3) * 12;
    return shape(`M${x} 300V${top}l13 -34l13 34V300z`, index % 2 ? first : ground, "opacity='.97'");
  });
  return stars + moon + towers;
}

export function columns({ first, second, light, random, middle }) {
  const number = 5 + Math.floor(random() * 2), step = 168 / number;
  const shafts = times(number, (index) => `<rect x='${20 + index * step}' y='${middle - 34}' width='${step * 0.56}' height='150' fill='${index % 2 ? first : second}'/>`);
  return circle(100, middle - 30, 84, second, "opacity='.45'") + shape(`M100 ${middle - 92}L188 ${middle - 48}H12z`, first)
    + `<rect x='12' y='${middle - 46}' width='176' height='9' fill='${light}'/>` + shafts;
}

export function claws({ first, second, light, random, middle }) {
  const moon = circle(100, middle - 12, 62 + random() * 14, second) + circle(100, middle - 12, 44, first, "opacity='.55'");
  const cuts = times(4, (index) => {
    const x = 44 + index * 34 + random() * 8, lean = 16 + random() * 14;
    return shape(`M${x} ${middle - 106}q${lean} 90 ${-lean * 0.4} ${196 + random() * 30}q${-4} -110 ${-8 - lean * 0.2} -${180}z`, index === 1 ? light : first);
  });
  return moon + cuts;
}

export function bars({ first, second, light, random, middle }) {
  return ring(100, middle, 82, light, 1.5, "opacity='.5'") + times(13, (index) => {
    const tall = 22 + random() * 120;
    return `<rect x='${10 + index * 14}' y='${middle - tall / 2}' width='8' rx='4' height='${tall}' fill='${[first, second, light][index % 3]}'/>`;
  });
}

export function spotlight({ first, second, light, random, middle }) {
  const x = 60 + random() * 80;
  const cone = shape(`M${x - 12} ${middle - 110}h24L${x + 92} ${middle + 84}H${x - 92}z`, second, "opacity='.85'");
  const keyhole = circle(100, middle - 14, 25, first) + shape(`M92 ${middle}h16l13 64H79z`, first);
  return cone + `<ellipse cx='${x}' cy='${middle + 84}' rx='92' ry='16' fill='${second}'/>` + keyhole + circle(100, middle - 14, 8, light);
}

export function hearts({ first, second, light, random, middle }) {
  const heart = (x, y, size, fill, more) => `<path transform='translate(${x} ${y}) scale(${size})' fill='${fill}' d='M0 30C-46 0-30-34 0-14 30-34 46 0 0 30z' ${more}/>`;
  const apart = 18 + random() * 16;
  return times(4, (index) => ring(100, middle, 40 + index * 24, second, 1.6, "opacity='.55'"))
    + heart(100 - apart, middle - 4, 1.7, second, "") + heart(100 + apart, middle + 8, 1.45 + random() * 0.2, first, "opacity='.92'") + circle(100, middle - 66, 4, light);
}

export function orbits({ first, second, light, random, middle }) {
  const turn = -35 + random() * 70, r = 38 + random() * 16;
  const stars = times(34, () => circle(random() * 200, middle - 110 + random() * 230, 0.5 + random() * 1.3, light, "opacity='.85'"));
  const paths = times(3, (index) => `<ellipse cx='100' cy='${middle}' rx='${74 + index * 22}' ry='${18 + index * 12}' fill='none' stroke='${index ? first : light}' stroke-width='1.6' opacity='.75'/>`);
  return stars + `<g transform='rotate(${turn} 100 ${middle})'>${paths}</g>` + circle(100, middle, r, first) + circle(100 + r * 0.3, middle - r * 0.2, r * 0.8, light, "opacity='.16'")
    + `<g transform='rotate(${turn} 100 ${middle})'>${circle(174, middle + 4, 9, second)}</g>`;
}

export function chevrons({ first, second, light, random, middle }) {
  const drop = 26 + random() * 16;
  return times(6, (index) => shape(`M0 ${middle - 104 + index * 34}L100 ${middle - 104 + index * 34 + drop}L200 ${middle - 104 + index * 34}v17L100 ${middle - 87 + index * 34 + drop}L0 ${middle - 87 + index * 34}z`, index % 2 ? first : second))
    + circle(100, middle - 34, 15, light);
}

export function mesa({ ground, first, second, light, random, middle }) {
  const sun = circle(100 + random() * 50 - 25, middle + 4, 56, first);
  const sky = times(5, (index) => `<rect x='0' y='${middle - 90 + index * 30}' width='200' height='${3 + index * 4}' fill='${second}' opacity='.55'/>`);
  const left = 18 + random() * 20;
  return sky + sun + circle(150, middle - 70, 4, light) + shape(`M0 300V${middle + 46}h${left}l8 -58h44l9 58h52l6 -34h30l7 34h60V300z`, second) + shape(`M0 ${middle + 62}q100 -22 200 0V300H0z`, ground);
}

export function bulbs({ first, second, light, random, middle }) {
  const lit = times(40, (index) => {
    const x = 20 + (index % 8) * 23, y = middle - 78 + Math.floor(index / 8) * 36;
    return circle(x, y, 7, random() < 0.55 ? first : second);
  });
  return lit + `<rect x='8' y='${middle - 94}' width='184' height='178' rx='10' fill='none' stroke='${light}' stroke-width='2' opacity='.6'/>`;
}

export function windows({ first, second, light, random, middle }) {
  return times(3, (index) => `<rect x='${8 + index * 66}' y='${middle - 92 + random() * 40}' width='56' height='260' fill='${second}' opacity='${0.55 + index * 0.15}'/>`)
    + times(42, (index) => (random() < 0.45 ? `<rect x='${17 + Math.floor(index / 14) * 66 + (index % 2) * 22}' y='${middle - 44 + Math.floor((index % 14) / 2) * 22}' width='13' height='14' fill='${random() < 0.75 ? first : light}'/>` : ""));
}

export function tide({ first, second, light, random, middle }) {
  const wave = (y, fill, opacity) => {
    const swell = 12 + random() * 14;
    return shape(`M0 ${y}q50 ${-swell} 100 0t100 0V300H0z`, fill, `opacity='${opacity}'`);
  };
  return circle(60 + random() * 80, middle - 26, 44, light, "opacity='.94'") + wave(middle - 6, second, 0.95) + wave(middle + 20, first, 0.9) + wave(middle + 46, second, 0.9) + wave(middle + 70, first, 0.45);
}

export function stairs({ first, second, light, random, middle }) {
  const rise = 22 + random() * 8;
  const steps = times(7, (index) => `<rect x='${index * 30}' y='${middle + 70 - index * rise}' width='30' height='300' fill='${index % 2 ? first : second}'/>`);
  return circle(52, middle - 48, 30 + random() * 8, light) + steps;
}

export function streaks({ first, second, light, random, middle }) {
  const bars = times(11, (index) => {
    const wide = 8 + random() * 20;
    return `<rect x='${-60 + random() * 120}' y='${middle - 120 + index * 24}' width='${90 + random() * 170}' height='${wide}' rx='${wide / 2}' fill='${[first, second, light][index % 3]}' opacity='${0.55 + (index % 3) * 0.2}'/>`;
  });
  return `<g transform='rotate(${-32 + random() * 10} 100 ${middle})'>${bars}</g>`;
}

export function curtain({ first, second, light, random, middle }) {
  const folds = times(11, (index) => `<path d='M${index * 20 - 10} -10q${8 + random() * 8} ${middle} 0 320h11q-8 -160 0 -320z' fill='${index % 2 ? first : second}'/>`);
  return `<path fill='${second}' d='M0 0h200v300H0z'/>` + folds + circle(100, middle, 46 + random() * 10, light) + circle(100, middle, 30, first, "opacity='.25'");
}
