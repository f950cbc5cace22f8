// Three queries, three keys, three values: the numbers that chapter 11 works out by hand.
(() => {
  const REACH = 2.5;
  const SIDE = 320;
  const x = Live.scale([-REACH, REACH], [16, SIDE - 16]);
  const y = Live.scale([-REACH, REACH], [SIDE - 16, 16]);
  const LETTERS = { q: "query", k: "key", v: "value" };

  /** @typedef {{q: Matrix, k: Matrix, v: Matrix, sharpness: number, causal: boolean, row: number}} State */

  const attended = (/** @type {State} */ { q, k, v, sharpness, causal }) =>
    Live.attend(q, k, v, { sharpness, mask: causal ? Live.causalMask(3) : undefined });

  const rules =
    Live.line(
      [
        { x: x(-REACH), y: y(0) },
        { x: x(REACH), y: y(0) },
      ],
      "rule",
    ) +
    Live.line(
      [
        { x: x(0), y: y(-REACH) },
        { x: x(0), y: y(REACH) },
      ],
      "rule",
    );

  /** A name beside a point, on the side away from the middle. @param {string} name @param {Row} at */
  const label = (name, at) => {
    const side = at[0] < 0 ? -1 : 1;
    const anchor =
      at[0] > REACH - 0.5 ? "end" : at[0] < 0.5 - REACH ? "start" : side < 0 ? "end" : "start";
    const clear = Math.abs(at[0]) > REACH - 0.5 ? 0 : 12 * side;
    return Live.text(x(at[0]) + clear, y(at[1]) + (at[1] < 0 ? 20 : -12), name, { anchor });
  };

  /** A point that can be dragged. @param {"q" | "k" | "v"} letter @param {number} i @param {Row} at
   * @param {boolean} active */
  const handle = (letter, i, at, active) => {
    const [px, py] = [x(at[0]), y(at[1])];
    const shape = {
      q: `<circle cx="${px}" cy="${py}" r="8"/>`,
      k: `<rect x="${px - 7}" y="${py - 7}" width="14" height="14"/>`,
      v: `<path d="M${px} ${py - 9} ${px + 9} ${py} ${px} ${py + 9} ${px - 9} ${py}Z"/>`,
    }[letter];
    const name = `${LETTERS[letter]} ${i + 1}`;
    const said = active
      ? `tabindex="0" role="slider" aria-label="${name}" aria-valuenow="${at[0].toFixed(1)}" ` +
        `aria-valuetext="${at.map((value) => value.toFixed(1)).join(", ")}" ` +
        `data-kind="handle" data-name="${letter}${i}"`
      : "";
    return `<g class="${LETTERS[letter]}" ${said}>${shape}</g>${label(`${letter}${i + 1}`, at)}`;
  };

  /** @type {Figure<State>} */
  const figure = {
    start: () => ({
      q: [
        [0.3, 0.1],
        [0.2, 0.2],
        [-1.1, -0.2],
      ],
      k: [
        [2.2, -0.6],
        [0.5, 0.3],
        [0.5, 0.8],
      ],
      v: [
        [1.1, -1.7],
        [-1.0, 1.0],
        [1.3, 0.8],
      ],
      sharpness: 1,
      causal: false,
      row: 2,
    }),
    controls: [
      { kind: "range", name: "sharpness", label: "sharpness", min: 0, max: 20, step: 0.5 },
      { kind: "check", name: "causal", label: "causal mask" },
    ],
    draw: (state, active) => {
      const { q, k, v, row } = state;
      const { weights, output } = attended(state);
      const pulls = (/** @type {Row} */ from, /** @type {Matrix} */ to) =>
        to
          .map(
            (end, j) =>
              `<line class="pull" x1="${x(from[0])}" y1="${y(from[1])}" x2="${x(end[0])}" ` +
              `y2="${y(end[1])}" stroke-width="${12 * weights[row][j]}"/>`,
          )
          .join("");
      const hull = `<polygon class="hull" points="${v.map((p) => `${x(p[0])},${y(p[1])}`).join(" ")}"/>`;
      const outputs = output
        .map(
          (o, i) =>
            `<circle class="output" cx="${x(o[0])}" cy="${y(o[1])}" r="${i === row ? 8 : 5}"/>` +
            (i === row ? label(`o${i + 1}`, o) : ""),
        )
        .join("");
      const names = (/** @type {string} */ word) => [1, 2, 3].map((i) => `${word} ${i}`);
      return [
        {
          title: "Queries ● and keys ■",
          width: SIDE,
          height: SIDE,
          body:
            rules +
            pulls(q[row], k) +
            k.map((at, i) => handle("k", i, at, active)).join("") +
            q.map((at, i) => handle("q", i, at, active)).join(""),
        },
        Live.grid(weights, {
          title: "Weights: each row sums to one",
          rowLabels: names("query"),
          columnLabels: names("key"),
          rowTitle: "",
          columnTitle: "",
        }),
        {
          title: "Values ◆ and outputs ○",
          width: SIDE,
          height: SIDE,
          body:
            rules +
            hull +
            pulls(output[row], v) +
            v.map((at, i) => handle("v", i, at, active)).join("") +
            outputs,
        },
      ];
    },
    say: (state) => {
      const { weights, output } = attended(state);
      const row = state.row;
      const shares = weights[row].map((share, j) => `${Live.percent(share)} to key ${j + 1}`);
      const at = output[row].map((value) => value.toFixed(2)).join(", ");
      return `Query ${row + 1} attends ${shares.join(", ")}. Its output is (${at}).`;
    },
    move: (state, name, to) => {
      const letter = /** @type {"q" | "k" | "v"} */ (name[0]);
      const place = [x.invert(to.x), y.invert(to.y)].map(
        (value) => Math.round(10 * Math.min(Math.max(value, -REACH), REACH)) / 10,
      );
      state[letter][Number(name[1])] = place;
      if (letter === "q") state.row = Number(name[1]);
    },
    nudge: (state, name, by) => {
      const [px, py] = state[/** @type {"q" | "k" | "v"} */ (name[0])][Number(name[1])];
      figure.move?.(state, name, { x: x(px + by.x / 10), y: y(py + by.y / 10) });
    },
  };
  Live.figures.attention = figure;
})();
