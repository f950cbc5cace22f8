// The arithmetic of the live figures, on plain arrays. The tests compare it with tutorial_lib.
globalThis.Live ??= /** @type {LiveNames} */ ({ figures: {} });

/** @type {LiveNames["dot"]} */
Live.dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);

/** @type {LiveNames["softmax"]} */
Live.softmax = (scores) => {
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
};

/** @type {LiveNames["weightsOf"]} A row that may attend to nothing gets zeros. */
Live.weightsOf = (scores, mask) =>
  scores.map((row, i) => {
    const allowed = row.map((score, j) => (!mask || mask[i][j] ? score : -Infinity));
    return allowed.every((score) => score === -Infinity) ? row.map(() => 0) : Live.softmax(allowed);
  });

/** @type {LiveNames["attend"]} */
Live.attend = (query, key, value, { sharpness = 1, mask } = {}) => {
  const scale = sharpness / Math.sqrt(key[0].length);
  const scores = query.map((q) => key.map((k) => Live.dot(q, k) * scale));
  const weights = Live.weightsOf(scores, mask);
  const columns = value[0].map((_, column) => value.map((row) => row[column]));
  const output = weights.map((row) => columns.map((column) => Live.dot(row, column)));
  return { weights, output };
};

/** @type {LiveNames["causalMask"]} */
Live.causalMask = (length) =>
  Array.from({ length }, (_, i) => Array.from({ length }, (_, j) => j <= i));

/** @type {LiveNames["positionCode"]} Sine and cosine in turn, as in the paper. */
Live.positionCode = (position, width, base) =>
  Array.from({ length: width }, (_, i) => {
    const angle = position / base ** ((i - (i % 2)) / width);
    return i % 2 ? Math.cos(angle) : Math.sin(angle);
  });

/** Factors of the peak; steps count from 0. */
Live.schedules = {
  "half a cosine": (step, warmup, total) => {
    if (step < warmup) return (step + 1) / (warmup + 1);
    const progress = Math.min(1, (step - warmup) / (total - warmup));
    return 0.5 * (1 + Math.cos(Math.PI * progress));
  },
  "inverse root": (step, warmup) => {
    const ratio = (step + 1) / (warmup + 1);
    return Math.min(ratio, ratio ** -0.5);
  },
  constant: (step, warmup) => Math.min(1, (step + 1) / (warmup + 1)),
};

/** @type {LiveNames["percent"]} */
Live.percent = (share) => `${Math.round(100 * share)} %`;
