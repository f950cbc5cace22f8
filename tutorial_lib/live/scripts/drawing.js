// SVG as text: the same functions draw in the page and, when the book is built, into it.

/** Viridis, as in the book's figures: dark for 0, bright for 1. */
const VIRIDIS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];

/** @type {LiveNames["heat"]} */
Live.heat = (share) => {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const mixed = VIRIDIS[below].map((c, i) =>
    Math.round(c + (place - below) * (VIRIDIS[below + 1][i] - c)),
  );
  return { fill: `rgb(${mixed.join(" ")})`, ink: share > 0.55 ? "#111" : "#fff" };
};

/** @type {LiveNames["scale"]} */
Live.scale = (domain, range) => {
  const slope = (range[1] - range[0]) / (domain[1] - domain[0]);
  const place = (/** @type {number} */ value) => range[0] + slope * (value - domain[0]);
  const invert = (/** @type {number} */ value) => domain[0] + (value - range[0]) / slope;
  return Object.assign(place, { invert });
};

const round = (/** @type {number} */ value) => Math.round(value * 100) / 100;

const escaped = (/** @type {string | number} */ words) =>
  String(words).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** @type {LiveNames["text"]} */
Live.text = (x, y, words, { anchor = "middle", kind = "" } = {}) =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" class="${kind}">` +
  `${escaped(words)}</text>`;

/** @type {LiveNames["line"]} */
Live.line = (points, kind) =>
  `<polyline class="${kind}" points="${points.map((p) => `${round(p.x)},${round(p.y)}`).join(" ")}"/>`;

/** @type {LiveNames["axes"]} */
Live.axes = ({ width, height, x, y, xTicks, yTicks, xLabel, yLabel, xText, yText }) => {
  const bottom = y(yTicks[0]);
  const left = x(xTicks[0]);
  const across = yTicks.map(
    (tick) =>
      Live.line(
        [
          { x: left, y: y(tick) },
          { x: x(xTicks[xTicks.length - 1]), y: y(tick) },
        ],
        "rule",
      ) +
      Live.text(left - 6, y(tick) + 4, yText ? yText(tick) : tick, {
        anchor: "end",
        kind: "small",
      }),
  );
  const along = xTicks.map((tick) =>
    Live.text(x(tick), bottom + 16, xText ? xText(tick) : tick, { kind: "small" }),
  );
  return (
    across.join("") +
    along.join("") +
    Live.text((left + width) / 2, height - 4, xLabel, { kind: "small" }) +
    Live.text(4, 12, yLabel, { anchor: "start", kind: "small" })
  );
};

/** @type {LiveNames["grid"]} A table of shares as coloured cells, a row for each query. */
Live.grid = (rows, { title, rowLabels, columnLabels, rowTitle, columnTitle, ...options }) => {
  const write = options.write ?? ((value) => value.toFixed(2));
  const fill = options.fill ?? Live.heat;
  const [left, top, side] = [72, 56, Math.min(72, 240 / columnLabels.length)];
  const cells = rows.flatMap((row, i) =>
    row.map((value, j) => {
      const [x, y] = [left + j * side, top + i * side];
      const { fill: ground, ink } = fill(value);
      return (
        `<g ${options.cell ? options.cell(i, j) : ""}><rect x="${x}" y="${y}" width="${side - 2}" ` +
        `height="${side - 2}" rx="3" fill="${ground}"/><text x="${x + side / 2 - 1}" ` +
        `y="${y + side / 2 + 4}" text-anchor="middle" style="fill: ${ink}">` +
        `${escaped(write(value))}</text></g>`
      );
    }),
  );
  const names =
    rowLabels
      .map((name, i) => Live.text(left - 8, top + (i + 0.5) * side + 4, name, { anchor: "end" }))
      .join("") +
    columnLabels.map((name, j) => Live.text(left + (j + 0.5) * side - 1, top - 8, name)).join("");
  const middle = left + (columnLabels.length * side) / 2;
  return {
    title,
    width: 320,
    height: top + rows.length * side + 8,
    body:
      Live.text(middle, 14, columnTitle, { kind: "small" }) +
      Live.text(left - 8, 32, rowTitle, { kind: "small", anchor: "end" }) +
      names +
      cells.join(""),
  };
};

/** @type {LiveNames["markup"]} */
Live.markup = (figure, state, active) =>
  figure
    .draw(state, active)
    .map(
      ({ title, width, height, body }, index) =>
        `<div class="live-panel"><div class="live-title">${escaped(title)}</div>` +
        `<svg viewBox="0 0 ${width} ${round(height)}" data-panel="${index}">${body}</svg></div>`,
    )
    .join("");
