// The network of chapter 41, as its page has trained it: digits in, the same digits backwards out.
{
  /** @typedef {{weights: Record<string, Matrix>, heads: number, classes: number, length: number,
   *   digits: string, positions: boolean, row: number}} State */

  const oneHot = (/** @type {State} */ { digits, classes }) =>
    [...digits].map((digit) => Array.from({ length: classes }, (_, i) => (i === +digit ? 1 : 0)));

  const answer = (/** @type {State} */ state) => {
    const { logits, maps } = Live.tagger(state.weights, oneHot(state), state);
    const said = logits.map((row) => row.indexOf(Math.max(...row)));
    const backwards = [...state.digits].reverse().map(Number);
    return { said, backwards, map: maps[0][0] };
  };

  /** A row of digits, each in a box. @param {(string | number)[]} digits @param {number} y
   * @param {(i: number) => string} kind */
  const boxes = (digits, y, kind) =>
    digits
      .map((digit, i) => {
        const x = 8 + 19 * i;
        return (
          `<rect class="${kind(i)}" x="${x}" y="${y}" width="17" height="24" rx="3"/>` +
          Live.text(x + 8.5, y + 17, digit)
        );
      })
      .join("");

  /** @type {Figure<State>} */
  Live.figures.reverse = {
    start: ({ weights, heads, classes, digits }) => ({
      weights: Live.unpack(weights),
      heads,
      classes,
      digits,
      length: digits.length,
      positions: true,
      row: 0,
    }),
    controls: [
      { kind: "text", name: "digits", label: "digits" },
      { kind: "button", name: "shuffle", label: "Shuffle" },
      { kind: "check", name: "positions", label: "tell it the positions" },
    ],
    set: (state, name, value) => {
      const { length } = state;
      if (name === "positions") state.positions = value;
      else if (name === "shuffle")
        state.digits = [...state.digits]
          .map((digit) => ({ digit, at: Math.random() }))
          .sort((one, other) => one.at - other.at)
          .map(({ digit }) => digit)
          .join("");
      else state.digits = value.replace(/\D/g, "").slice(0, length).padEnd(length, "0");
    },
    draw: (state, active) => {
      const { said, backwards, map } = answer(state);
      const digits = [...state.digits];
      return [
        {
          title: "Input, and the network's answer",
          width: 320,
          height: 150,
          body:
            Live.text(8, 16, "input", { anchor: "start", kind: "small" }) +
            boxes(digits, 24, (i) => (i === digits.length - 1 - state.row ? "box chosen" : "box")) +
            Live.text(8, 76, "answer: solid where it is the input backwards", {
              anchor: "start",
              kind: "small",
            }) +
            boxes(said, 84, (i) => (said[i] === backwards[i] ? "box right" : "box wrong")),
        },
        Live.grid(map, {
          title: "Where each answer looks",
          rowLabels: said.map(String),
          columnLabels: digits,
          rowTitle: "answer",
          columnTitle: "input",
          write: () => "",
          cell: (i, j) =>
            active && j === 0
              ? `data-kind="cell" data-name="${i}" role="button" tabindex="${i ? -1 : 0}" ` +
                `aria-label="answer ${i + 1}"`
              : "",
        }),
      ];
    },
    say: (state) => {
      const { said, backwards, map } = answer(state);
      const right = said.filter((digit, i) => digit === backwards[i]).length;
      const row = map[state.row];
      const most = row.indexOf(Math.max(...row));
      return (
        `${right} of ${said.length} digits are right. Answer ${state.row + 1} looks most at input ` +
        `${most + 1}, with ${Live.percent(row[most])} of its weight.`
      );
    },
    press: (state, cell) => {
      state.row = Number(cell);
    },
    beside: (state, cell, by) =>
      String(Math.min(Math.max(Number(cell) - by.y, 0), state.length - 1)),
  };
}
