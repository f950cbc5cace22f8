// What the figures answer to a hand, a key or a control, without a browser.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

const require = createRequire(import.meta.url);
const PLAIN = ["attention", "mask", "positions", "schedule"]; // those that show no network
for (const name of ["numbers", "drawing", ...PLAIN])
  require(`../../tutorial_lib/live/scripts/${name}.js`);
const { Live } = globalThis;

const fresh = (name) => {
  const figure = Live.figures[name];
  return [figure, figure.start({})];
};
const drawn = (figure, state, active = true) => Live.markup(figure, state, active);

test("the attention figure begins with the numbers worked by hand", () => {
  const [figure, state] = fresh("attention");
  const { weights, output } = Live.attend(state.q, state.k, state.v);
  assert.deepEqual(
    weights[0].map((w) => w.toFixed(4)),
    ["0.3980", "0.2957", "0.3063"],
  );
  assert.deepEqual(
    output[0].map((o) => o.toFixed(4)),
    ["0.5403", "-0.1357"],
  );
  assert.match(figure.say(state), /^Query 3 attends 14 % to key 1, 45 % to key 2, 42 % to key 3\./);
});

test("a dragged query is the one that is talked of, and stays on the drawing", () => {
  const [figure, state] = fresh("attention");
  figure.move(state, "q0", { x: 1e6, y: 160 });
  assert.deepEqual(state.q[0], [2.5, 0]);
  assert.match(figure.say(state), /^Query 1 /);
});

test("an arrow key moves a point by a tenth", () => {
  const [figure, state] = fresh("attention");
  figure.nudge(state, "k1", { x: 0, y: 1 });
  assert.deepEqual(state.k[1], [0.5, 0.4]);
});

test("sharpness 0 averages, and a causal mask leaves the first query one key", () => {
  const [figure, state] = fresh("attention");
  Object.assign(state, { sharpness: 0, row: 0 });
  assert.match(figure.say(state), /33 % to key 1, 33 % to key 2, 33 % to key 3/);
  state.causal = true;
  assert.match(figure.say(state), /100 % to key 1, 0 % to key 2, 0 % to key 3/);
});

test("a pressed cell changes the mask, and the mask is then one's own", () => {
  const [figure, state] = fresh("mask");
  figure.press(state, "0,0");
  assert.equal(state.mask[0][0], false);
  assert.equal(state.preset, "my own");
  assert.match(figure.say(state), /may attend to nothing: its weights and its output are zero/);
  figure.set(state, "preset", "causal");
  assert.equal(state.mask[0][0], true);
  figure.press(state, "0,1");
  figure.set(state, "preset", "causal");
  assert.equal(state.mask[0][1], false, "a preset must not be changed by what is pressed");
});

test("arrow keys walk over the mask and stop at its edge", () => {
  const [figure, state] = fresh("mask");
  assert.equal(figure.beside(state, "0,0", { x: 1, y: 0 }), "0,1");
  assert.equal(figure.beside(state, "0,0", { x: 0, y: -1 }), "1,0");
  assert.equal(figure.beside(state, "0,0", { x: 0, y: 1 }), "0,0");
  assert.equal(figure.beside(state, "5,5", { x: 1, y: 0 }), "5,5");
});

test("every choice and every end of a slider can be drawn and said", () => {
  for (const name of PLAIN) {
    const [figure] = fresh(name);
    for (const control of figure.controls) {
      const values = { range: [control.min, control.max], check: [false, true] }[control.kind];
      for (const value of values ?? control.options) {
        const [, state] = fresh(name);
        if (figure.set) figure.set(state, control.name, value);
        else state[control.name] = value;
        const shown = drawn(figure, state) + figure.say(state);
        assert.ok(!/NaN|undefined|Infinity/.test(shown), `${name}: ${control.name} = ${value}`);
      }
    }
  }
});

test("what cannot be touched yet takes no focus", () => {
  for (const name of PLAIN) {
    const [figure, state] = fresh(name);
    assert.doesNotMatch(drawn(figure, state, false), /tabindex|data-kind/);
  }
  for (const name of ["attention", "mask"])
    assert.match(drawn(...fresh(name)), /tabindex="0".*data-kind|data-kind.*tabindex="0"/);
});

test("each point that can be dragged has a name, a value and a place in the order of keys", () => {
  const points = drawn(...fresh("attention")).match(/<g [^>]*data-kind="handle"[^>]*>/g);
  assert.equal(points.length, 9);
  for (const point of points) assert.match(point, /aria-label="\w+ \d".*aria-valuetext="-?\d/);
});
