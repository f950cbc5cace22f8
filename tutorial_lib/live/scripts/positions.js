// Sinusoidal codes of positions: clock hands, their curves, and how alike two positions are.
(() => {
  const LENGTH = 64;
  const positions = Array.from({ length: LENGTH }, (_, p) => p);
  const x = Live.scale([0, LENGTH - 1], [44, 312]);

  /** @typedef {{width: number, base: number, position: number}} State */

  /** Up to eight pairs, spread over the width. @param {number} width */
  const pairsOf = (width) => {
    const pairs = width / 2;
    const shown = Math.min(pairs, 8);
    return Array.from({ length: shown }, (_, n) =>
      shown === 1 ? 0 : Math.round((n * (pairs - 1)) / (shown - 1)),
    );
  };

  const code = (/** @type {State} */ { width, base }, /** @type {number} */ position) =>
    Live.positionCode(position, width, base);

  /** 1 where two codes are equal. @param {State} state @param {number} other */
  const likeness = (state, other) =>
    (2 * Live.dot(code(state, state.position), code(state, other))) / state.width;

  const clocks = (/** @type {State} */ state) =>
    pairsOf(state.width)
      .map((pair, n) => {
        const [cx, cy] = [44 + 78 * (n % 4), 58 + 132 * Math.floor(n / 4)];
        const [sine, cosine] = code(state, state.position).slice(2 * pair, 2 * pair + 2);
        return (
          `<circle class="dial" cx="${cx}" cy="${cy}" r="32"/>` +
          `<line class="hand" x1="${cx}" y1="${cy}" x2="${cx + 28 * sine}" y2="${cy - 28 * cosine}"/>` +
          Live.text(cx, cy + 50, `pair ${pair}`, { kind: "small" })
        );
      })
      .join("");

  const y = Live.scale([-1, 1], [200, 28]);

  /** Lines over all positions, with a mark at the chosen one. @param {State} state
   * @param {string} xLabel @param {string} yLabel @param {((p: number) => number)[]} curves */
  const chart = ({ position }, xLabel, yLabel, curves) => {
    const ticks = { xTicks: [0, 16, 32, 48, 63], yTicks: [-1, 0, 1] };
    const lines = curves.map((value, n) =>
      Live.line(
        positions.map((p) => ({ x: x(p), y: y(value(p)) })),
        `curve curve-${n}`,
      ),
    );
    const mark = [-1, 1].map((end) => ({ x: x(position), y: y(end) }));
    return (
      Live.axes({ width: 320, height: 240, x, y, ...ticks, xLabel, yLabel }) +
      lines.join("") +
      Live.line(mark, "mark")
    );
  };

  const curves = (/** @type {State} */ state) => {
    const last = state.width / 2 - 1;
    const pairs = [...new Set([0, Math.min(1, last), last])];
    const sines = pairs.map((pair) => (/** @type {number} */ p) => code(state, p)[2 * pair]);
    return chart(state, "position", "sine of pair 0, pair 1, last pair", sines);
  };

  const alike = (/** @type {State} */ state) =>
    chart(state, "other position", "likeness", [(p) => likeness(state, p)]);

  /** @type {Figure<State>} */
  Live.figures.positions = {
    start: () => ({ width: 16, base: 10000, position: 5 }),
    controls: [
      { kind: "range", name: "position", label: "position", min: 0, max: LENGTH - 1, step: 1 },
      { kind: "range", name: "width", label: "width", min: 2, max: 64, step: 2 },
      { kind: "range", name: "base", label: "base", min: 10, max: 10000, step: 10 },
    ],
    draw: (state) => [
      {
        title: `The hands at position ${state.position}`,
        width: 320,
        height: 250,
        body: clocks(state),
      },
      { title: "What the hands write down", width: 320, height: 240, body: curves(state) },
      {
        title: `How alike are position ${state.position} and another?`,
        width: 320,
        height: 240,
        body: alike(state),
      },
    ],
    say: (state) => {
      const hand = code(state, state.position)
        .slice(0, 2)
        .map((value) => value.toFixed(2));
      const next = Math.min(state.position + 1, LENGTH - 1);
      const far = state.position < LENGTH / 2 ? LENGTH - 1 : 0;
      return (
        `At position ${state.position} the first hand writes (${hand.join(", ")}). The likeness with ` +
        `position ${next} is ${likeness(state, next).toFixed(2)}, with position ${far} ` +
        `${likeness(state, far).toFixed(2)}.`
      );
    },
  };
})();
