// The tiny GPT of chapter 44, as its page has trained it: type a beginning and watch it write.
{
  const LONGEST = 32; // tokens that are read at a time
  const WRITTEN = 40; // tokens a press

  /** @typedef {{weights: Record<string, Matrix>, heads: number, positions: string, pieces: string[],
   *   beginning: string, tokens: number[], left: number, temperature: number, top: number,
   *   chosen: number, head: number, pass?: {read: string, logits: Matrix, maps: Maps}}} State */

  /** Cuts a text into the longest pieces that the model knows. @param {string[]} pieces
   * @param {string} text */
  const cut = (pieces, text) => {
    const numbers = new Map(pieces.map((piece, number) => [piece, number]));
    const longest = Math.max(...pieces.map((piece) => piece.length));
    const tokens = [];
    for (let at = 0; at < text.length; ) {
      let length = Math.min(longest, text.length - at);
      while (length > 1 && !numbers.has(text.slice(at, at + length))) length -= 1;
      const number = numbers.get(text.slice(at, at + length));
      if (number !== undefined) tokens.push(number); // a letter that it has never seen is left out
      at += length;
    }
    return tokens.length ? tokens : [numbers.get(" ") ?? 0];
  };

  /** Runs the model; what is drawn, said and continued from the same tokens is one pass. */
  const run = (/** @type {State} */ state, /** @type {number} */ end = state.tokens.length) => {
    const start = Math.max(0, end - LONGEST);
    const tokens = state.tokens.slice(start, end);
    const read = tokens.join();
    if (state.pass?.read !== read)
      state.pass = { read, ...Live.languageModel(state.weights, tokens, state) };
    return { start, ...state.pass };
  };

  /** What may come next, the likeliest first. @param {State} state @param {Row} logits */
  const ranked = ({ temperature, top }, logits) => {
    const order = logits.map((_, token) => token).sort((a, b) => logits[b] - logits[a]);
    const kept = order.slice(0, top);
    const shares = Live.softmax(kept.map((token) => logits[token] / temperature));
    return kept.map((token, i) => ({ token, share: shares[i] }));
  };

  const begin = (/** @type {State} */ state) => {
    state.tokens = cut(state.pieces, state.beginning);
    state.chosen = state.tokens.length - 1;
    state.left = 0;
  };

  const shown = (/** @type {string} */ piece) => piece.replaceAll("\n", "⏎").replaceAll(" ", "·");

  /** @type {Figure<State>} */
  Live.figures.gpt = {
    start: ({ weights, heads, positions, pieces, beginning }) => {
      const state = {
        weights: Live.unpack(weights),
        heads,
        positions,
        pieces,
        beginning,
        tokens: [],
        left: 0,
        temperature: 0.8,
        top: 40,
        chosen: 0,
        head: 1,
      };
      begin(state);
      return state;
    },
    controls: [
      { kind: "text", name: "beginning", label: "beginning" },
      { kind: "button", name: "write", label: "Write on" },
      { kind: "range", name: "temperature", label: "temperature", min: 0.1, max: 2, step: 0.1 },
      { kind: "range", name: "top", label: "top k", min: 1, max: 100, step: 1 },
      { kind: "range", name: "head", label: "head", min: 1, max: 4, step: 1 },
    ],
    set: (state, name, value) => {
      if (name === "write") {
        state.left = WRITTEN;
        return;
      }
      Object.assign(state, { [name]: value });
      if (name === "beginning") begin(state);
    },
    tick: (state) => {
      if (state.left <= 0) return false;
      const { logits } = run(state);
      let point = Math.random();
      const next = ranked(state, logits[logits.length - 1]);
      const drawn = next.find(({ share }) => {
        point -= share;
        return point < 0;
      });
      state.tokens.push((drawn ?? next[0]).token);
      state.chosen = state.tokens.length - 1;
      state.left -= 1;
      return true;
    },
    draw: (state, active) => {
      const { start, logits, maps } = run(state, state.chosen + 1);
      const last = logits.length - 1;
      const heads = maps[maps.length - 1];
      const row = heads[Math.min(state.head, heads.length) - 1][last];
      let [x, y] = [4, 4];
      const drawn = state.tokens.map((token, i) => {
        const piece = shown(state.pieces[token]);
        const width = 8 * piece.length + 6;
        if (x + width > 356) [x, y] = [4, y + 28];
        const weight = i >= start && i <= state.chosen ? row[i - start] : 0;
        const box =
          `<g ${active ? `data-kind="cell" data-name="${i}" role="button" ` : ""}` +
          `${active ? `tabindex="${i === state.chosen ? 0 : -1}" ` : ""}` +
          `${active ? `aria-label="token ${i + 1}, ${piece}"` : ""}>` +
          `<rect class="${i === state.chosen ? "token chosen" : "token"}" x="${x}" y="${y}" ` +
          `width="${width}" height="24" rx="3" style="fill-opacity: ${weight.toFixed(2)}"/>` +
          `<text class="mono" x="${x + 3}" y="${y + 17}">` +
          `${piece.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text></g>`;
        x += width + 2;
        return box;
      });
      const next = ranked(state, logits[last]).slice(0, 8);
      const bars = next.map(
        ({ token, share }, i) =>
          `<rect class="bar" x="84" y="${8 + 24 * i}" width="${200 * share}" height="16"/>` +
          Live.text(78, 21 + 24 * i, shown(state.pieces[token]), { anchor: "end" }) +
          Live.text(90 + 200 * share, 21 + 24 * i, Live.percent(share), { anchor: "start" }),
      );
      return [
        {
          title: "The text; blue where the chosen token looks",
          width: 360,
          height: y + 32,
          body: drawn.join(""),
        },
        { title: "What may come after it", width: 360, height: 204, body: bars.join("") },
      ];
    },
    say: (state) => {
      const { logits } = run(state, state.chosen + 1);
      const [best] = ranked(state, logits[logits.length - 1]);
      const text = state.tokens.map((token) => state.pieces[token]).join("");
      const next = `“${state.pieces[best.token]}” with ${Live.percent(best.share)}`;
      return `${text} | After token ${state.chosen + 1} it expects ${next} first.`;
    },
    press: (state, cell) => {
      state.chosen = Number(cell);
    },
    beside: (state, cell, by) =>
      String(Math.min(Math.max(Number(cell) + by.x - by.y, 0), state.tokens.length - 1)),
  };
}
