// A mask to click: who may look at whom, and what the softmax makes of it.
(() => {
  const TOKENS = ["the", "dog", "bit", "the", "man", "[PAD]"];
  const LENGTH = TOKENS.length;
  const numbers = TOKENS.map((_, i) => i);
  // Scores that somebody might have computed; whole numbers, so that one can follow.
  const SCORES = numbers.map((i) => numbers.map((j) => ((i * i + 3 * j + i * j) % 5) - 2));

  /** @param {(query: number, key: number) => boolean} rule @returns {Mask} */
  const mask = (rule) => numbers.map((i) => numbers.map((j) => rule(i, j)));
  const words = (/** @type {number} */ j) => TOKENS[j] !== "[PAD]";
  const PRESETS = {
    "all may attend to all": mask(() => true),
    causal: mask((i, j) => j <= i),
    padding: mask((_, j) => words(j)),
    "causal and padding": mask((i, j) => j <= i && words(j)),
    "a window of two": mask((i, j) => Math.abs(i - j) < 2),
    "nothing to the dog": mask((i) => i !== 1),
    "my own": mask(() => true),
  };

  /** @typedef {{mask: Mask, preset: keyof typeof PRESETS, row: number}} State */

  /** @type {Figure<State>} */
  const figure = {
    start: () => ({ mask: structuredClone(PRESETS.causal), preset: "causal", row: 2 }),
    controls: [{ kind: "choice", name: "preset", label: "mask", options: Object.keys(PRESETS) }],
    set: (state, _, preset) => {
      state.preset = preset;
      if (preset !== "my own")
        state.mask = structuredClone(PRESETS[/** @type {keyof typeof PRESETS} */ (preset)]);
    },
    draw: (state, active) => {
      const names = {
        rowLabels: TOKENS,
        columnLabels: TOKENS,
        rowTitle: "query",
        columnTitle: "key",
      };
      const allowed = state.mask.map((row) => row.map(Number));
      return [
        Live.grid(allowed, {
          ...names,
          title: "Mask: ✓ for may attend",
          write: (value) => (value ? "✓" : ""),
          fill: (value) => ({ fill: value ? "#56b4e9" : "var(--live-off)", ink: "#111" }),
          cell: (i, j) =>
            active
              ? `data-kind="cell" data-name="${i},${j}" role="checkbox" ` +
                `aria-checked="${state.mask[i][j]}" tabindex="${i === 0 && j === 0 ? 0 : -1}" ` +
                `aria-label="query ${i + 1}, ${TOKENS[i]}, may attend to key ${j + 1}, ${TOKENS[j]}"`
              : "",
        }),
        Live.grid(Live.weightsOf(SCORES, state.mask), {
          ...names,
          title: "Weights",
          write: (value) =>
            value > 0 && value < 0.995 ? value.toFixed(2).slice(1) : value.toFixed(),
        }),
      ];
    },
    say: ({ mask: chosen, row }) => {
      const weights = Live.weightsOf(SCORES, chosen)[row];
      const seen = numbers.filter((j) => chosen[row][j]);
      const who = `Query ${row + 1}, “${TOKENS[row]}”,`;
      if (!seen.length) return `${who} may attend to nothing: its weights and its output are zero.`;
      const shares = seen.map((j) => `“${TOKENS[j]}” with ${Live.percent(weights[j])}`);
      return `${who} attends to ${shares.join(", ")}.`;
    },
    press: (state, cell) => {
      const [i, j] = cell.split(",").map(Number);
      state.mask[i][j] = !state.mask[i][j];
      state.preset = "my own";
      state.row = i;
    },
    beside: (_, cell, by) => {
      const [i, j] = cell.split(",").map(Number);
      const within = (/** @type {number} */ n) => Math.min(Math.max(n, 0), LENGTH - 1);
      return `${within(i - by.y)},${within(j + by.x)}`;
    },
  };
  Live.figures.mask = figure;
})();
