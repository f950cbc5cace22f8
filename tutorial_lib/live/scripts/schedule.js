// The learning rate over the steps of a training run.
(() => {
  /** @typedef {{shape: string, warmup: number, total: number, peak: number, step: number}} State */

  const rate = (/** @type {State} */ { shape, warmup, total, peak }, /** @type {number} */ step) =>
    10 ** peak * Live.schedules[shape](step, Math.min(warmup, total - 1), total);
  const written = (/** @type {number} */ value) =>
    value === 0 ? "0" : value.toPrecision(2).replace(/\.?0+(e|$)/, "$1");

  /** @type {Figure<State>} */
  Live.figures.schedule = {
    start: () => ({ shape: "half a cosine", warmup: 100, total: 1000, peak: -3, step: 250 }),
    controls: [
      { kind: "choice", name: "shape", label: "shape", options: Object.keys(Live.schedules) },
      { kind: "range", name: "warmup", label: "steps of warm-up", min: 0, max: 500, step: 10 },
      { kind: "range", name: "total", label: "steps in all", min: 100, max: 2000, step: 50 },
      {
        kind: "range",
        name: "peak",
        label: "peak",
        min: -5,
        max: -1,
        step: 0.25,
        show: (exponent) => written(10 ** exponent),
      },
      { kind: "range", name: "step", label: "look at step", min: 0, max: 2000, step: 10 },
    ],
    draw: (state) => {
      const peak = 10 ** state.peak;
      const x = Live.scale([0, 2000], [52, 386]);
      const y = Live.scale([0, peak], [190, 26]);
      const steps = Array.from({ length: 401 }, (_, n) => 5 * n);
      const now = rate(state, state.step);
      return [
        {
          title: "The learning rate, step by step",
          width: 400,
          height: 235,
          body:
            Live.axes({
              width: 400,
              height: 235,
              x,
              y,
              xTicks: [0, 500, 1000, 1500, 2000],
              yTicks: [0, peak / 2, peak],
              xLabel: "step",
              yLabel: "rate",
              yText: written,
            }) +
            Live.line(
              steps.map((step) => ({ x: x(step), y: y(rate(state, step)) })),
              "curve curve-0",
            ) +
            Live.line(
              [
                { x: x(state.step), y: y(0) },
                { x: x(state.step), y: y(peak) },
              ],
              "mark",
            ) +
            `<circle class="output" cx="${x(state.step)}" cy="${y(now)}" r="6"/>`,
        },
      ];
    },
    say: (state) => {
      const now = rate(state, state.step);
      return (
        `At step ${state.step} the rate is ${written(now)}, ` +
        `${Live.percent(now / 10 ** state.peak)} of its peak ${written(10 ** state.peak)}.`
      );
    },
  };
})();
