// The forward pass of tutorial_lib's networks, by the names of their weights. It mirrors
// attention.py, layers.py, encoder.py, tagger.py and language_model.py, and is tested against them.
{
  /** Numbers of 16 bits, as IEEE 754 has them. @param {number} bits */
  const half = (bits) => {
    const sign = bits >> 15 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) return sign * 2 ** -24 * fraction;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * 2 ** (exponent - 25) * (1024 + fraction);
  };

  /** @type {LiveNames["unpack"]} */
  Live.unpack = ({ shapes, values, kind }) => {
    const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
    const numbers =
      kind === "float32"
        ? new Float32Array(bytes.buffer)
        : Float32Array.from(new Uint16Array(bytes.buffer), half);
    /** @type {Record<string, Matrix>} */
    const weights = {};
    let start = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
      weights[name] = Array.from({ length: rows }, (_, i) =>
        Array.from(numbers.subarray(start + i * columns, start + (i + 1) * columns)),
      );
      start += rows * columns;
    }
    return weights;
  };

  const add = (/** @type {Matrix} */ one, /** @type {Matrix} */ other) =>
    one.map((row, i) => row.map((value, j) => value + other[i][j]));

  /** @typedef {Record<string, Matrix>} Weights */

  /** x W^T + b @param {Weights} w @param {string} name @param {Matrix} x */
  const linear = (w, name, x) => {
    const matrix = w[`${name}.weight`];
    const bias = w[`${name}.bias`]?.[0];
    return x.map((row) => matrix.map((line, j) => Live.dot(line, row) + (bias ? bias[j] : 0)));
  };

  /** @param {Weights} w @param {string} name @param {Matrix} x */
  const layerNorm = (w, name, x) => {
    const gain = w[`${name}.weight`][0];
    const bias = w[`${name}.bias`]?.[0];
    return x.map((row) => {
      const mean = row.reduce((a, b) => a + b, 0) / row.length;
      const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / row.length;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      return row.map((v, i) => (v - mean) * scale * gain[i] + (bias ? bias[i] : 0));
    });
  };

  /** The error function, to 1.5e-7: Abramowitz and Stegun, 7.1.26. @param {number} x */
  const erf = (x) => {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
    const series = factors.reduce((sum, factor) => (sum + factor) * t, 0);
    return Math.sign(x) * (1 - series * Math.exp(-x * x));
  };

  const ACTIVATIONS = /** @type {Record<string, (x: number) => number>} */ ({
    relu: (x) => Math.max(0, x),
    gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  });

  /** Turns the vectors of a head by their positions. @param {Matrix} x */
  const rotate = (x) =>
    x.map((row, position) => {
      const half = row.length / 2;
      return row.map((value, i) => {
        const angle = position * 10000 ** -((2 * (i % half)) / row.length);
        const partner = i < half ? -row[i + half] : row[i - half];
        return value * Math.cos(angle) + partner * Math.sin(angle);
      });
    });

  /** @param {Weights} w @param {string} name @param {Matrix} x @param {Settings} settings */
  const multihead = (w, name, x, { heads, causal, positions }) => {
    const [q, k, v] = ["q", "k", "v"].map((letter) => linear(w, `${name}.${letter}_proj`, x));
    const width = q[0].length / heads;
    const mask = causal ? Live.causalMask(x.length) : undefined;
    const parts = Array.from({ length: heads }, (_, h) => {
      const [query, key, value] = [q, k, v].map((all) =>
        all.map((row) => row.slice(h * width, (h + 1) * width)),
      );
      const turn = positions === "rotary" ? rotate : (/** @type {Matrix} */ same) => same;
      return Live.attend(turn(query), turn(key), value, { mask });
    });
    const merged = x.map((_, i) => parts.flatMap(({ output }) => output[i]));
    return {
      output: linear(w, `${name}.out_proj`, merged),
      maps: parts.map(({ weights }) => weights),
    };
  };

  /** @param {Weights} w @param {string} name @param {Matrix} x @param {Settings} settings */
  const layer = (w, name, x, settings) => {
    const first = settings.normFirst;
    const norm = (/** @type {string} */ which, /** @type {Matrix} */ rows) =>
      layerNorm(w, `${name}.${which}`, rows);
    const think = (/** @type {Matrix} */ rows) => {
      const bend = ACTIVATIONS[settings.activation];
      const wide = linear(w, `${name}.feed_forward.linear1`, rows).map((row) => row.map(bend));
      return linear(w, `${name}.feed_forward.linear2`, wide);
    };
    const { output, maps } = multihead(
      w,
      `${name}.self_attn`,
      first ? norm("norm1", x) : x,
      settings,
    );
    const attended = add(x, output);
    if (first) return { x: add(attended, think(norm(settings.lastNorm, attended))), maps };
    const normed = norm("norm1", attended);
    return { x: norm(settings.lastNorm, add(normed, think(normed))), maps };
  };

  /** @param {Weights} w @param {string} name @param {Matrix} x @param {Settings} settings */
  const stack = (w, name, x, settings) => {
    /** @type {Matrix[][]} */
    const maps = [];
    let rows = x;
    for (let n = 0; `${name}.layers.${n}.norm1.weight` in w; n += 1) {
      const passed = layer(w, `${name}.layers.${n}`, rows, settings);
      rows = passed.x;
      maps.push(passed.maps);
    }
    return { x: `${name}.norm.weight` in w ? layerNorm(w, `${name}.norm`, rows) : rows, maps };
  };

  const codes = (/** @type {number} */ length, /** @type {number} */ width) =>
    Array.from({ length }, (_, position) => Live.positionCode(position, width, 10000));

  /** @type {LiveNames["tagger"]} */
  Live.tagger = (w, x, { heads, normFirst = false, positions = true }) => {
    const embedded = linear(w, "input_net", x);
    const told = positions ? add(embedded, codes(x.length, embedded[0].length)) : embedded;
    const settings = { heads, normFirst, activation: "relu", causal: false, lastNorm: "norm2" };
    const encoded = stack(w, "encoder", told, { ...settings, positions: "" });
    const hidden = layerNorm(w, "output_net.1", linear(w, "output_net.0", encoded.x));
    const bent = hidden.map((row) => row.map(ACTIVATIONS.relu));
    return { logits: linear(w, "output_net.4", bent), maps: encoded.maps };
  };

  /** @type {LiveNames["languageModel"]} */
  Live.languageModel = (w, tokens, { heads, positions = "learned", scaled = true }) => {
    const table = w["embedding.table.weight"];
    const factor = scaled ? Math.sqrt(table[0].length) : 1;
    const embedded = tokens.map((token) => table[token].map((value) => factor * value));
    const told =
      positions === "learned"
        ? add(embedded, w["positions.weight"].slice(0, tokens.length))
        : positions === "sinusoidal"
          ? add(embedded, codes(tokens.length, table[0].length))
          : embedded;
    const settings = { heads, positions, normFirst: true, activation: "gelu", causal: true };
    const { x, maps } = stack(w, "decoder", told, { ...settings, lastNorm: "norm3" });
    const out = w["head.weight"] ?? table;
    return { logits: x.map((row) => out.map((line) => Live.dot(line, row))), maps };
  };
}
