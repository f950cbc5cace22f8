// <live-figure figure="attention">: a picture made when the book was built becomes one to touch.

const ARROWS = /** @type {Record<string, Point>} */ ({
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: 1 },
  ArrowDown: { x: 0, y: -1 },
});
const QUIET = 600; // milliseconds without a change before the state is said
const PACE = 80; // milliseconds between two steps of what goes on by itself

class LiveFigure extends HTMLElement {
  connectedCallback() {
    this.figure = Live.figures[this.getAttribute("figure") ?? ""];
    this.panels = /** @type {HTMLElement} */ (this.querySelector(".live-panels"));
    if (!this.figure || !this.panels || this.controls) return;
    this.panels.setAttribute("role", "group"); // until now it was one picture
    const given = this.querySelector('script[type="application/json"]');
    this.data = JSON.parse(given?.textContent ?? "{}");
    this.controls = this.appendChild(document.createElement("form"));
    this.controls.className = "live-controls";
    this.controls.addEventListener("submit", (event) => event.preventDefault());
    this.words = this.appendChild(document.createElement("p"));
    this.words.className = "live-words";
    this.status = this.appendChild(document.createElement("p"));
    this.status.className = "live-status";
    this.status.setAttribute("role", "status");
    this.panels.addEventListener("pointerdown", (event) => this.grab(event));
    this.panels.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"])
      this.panels.addEventListener(end, () => {
        this.held = "";
      });
    this.panels.addEventListener("click", (event) => this.press(event.target));
    this.panels.addEventListener("keydown", (event) => this.key(event));
    this.state = this.figure.start(this.data);
    for (const control of this.figure.controls) this.controls.append(this.control(control));
    this.controls.append(buttonOf("Start again", () => this.reset()));
    this.show();
  }

  /** Puts everything back to how it came. */
  reset() {
    this.state = this.figure?.start(this.data);
    this.show();
  }

  /** Makes a control with its label, which follows the state. @param {Control} control
   * @returns {HTMLElement} */
  control(control) {
    const { kind, name } = control;
    if (kind === "button") return buttonOf(control.label, () => this.change(name, true));
    const label = document.createElement("label");
    const input = document.createElement(kind === "choice" ? "select" : "input");
    const words = document.createElement("span");
    words.textContent = control.label;
    label.append(words, input);
    input.name = name;
    let read = () => /** @type {any} */ (input.value);
    let follow = () => {
      // What somebody is typing is not taken out of his hands.
      if (input !== document.activeElement || kind === "choice") input.value = this.state[name];
    };
    if (kind === "choice") {
      input.append(...control.options.map((option) => new Option(option, option)));
    } else if (kind === "check" && input instanceof HTMLInputElement) {
      input.type = "checkbox";
      read = () => input.checked;
      follow = () => {
        input.checked = this.state[name];
      };
    } else if (kind === "range" && input instanceof HTMLInputElement) {
      const { min, max, step, show = String } = control;
      Object.assign(input, { type: "range", min, max, step });
      // Not an <output>: that would be a second line which is read out at every change.
      const shown = label.appendChild(document.createElement("span"));
      shown.className = "live-value";
      shown.setAttribute("aria-hidden", "true"); // the slider says it
      read = () => Number(input.value);
      follow = () => {
        input.value = this.state[name];
        shown.textContent = show(this.state[name]);
        input.setAttribute("aria-valuetext", shown.textContent);
      };
    } else {
      input.setAttribute("autocomplete", "off");
    }
    this.addEventListener("shown", () => follow());
    input.addEventListener("input", () => this.change(name, read()));
    return label;
  }

  /** Hands a control's value to the figure. @param {string} name @param {any} value */
  change(name, value) {
    if (this.figure?.set) this.figure.set(this.state, name, value);
    else this.state[name] = value;
    this.show();
    this.goOn();
  }

  /** Lets what goes on by itself go on, a step at a time, so that one can watch and stop it. */
  goOn() {
    clearTimeout(this.step);
    this.step = setTimeout(() => {
      if (!this.figure?.tick?.(this.state)) return;
      this.show();
      this.goOn();
    }, PACE);
  }

  /** Draws the state, and says it when it has come to rest. */
  show() {
    const figure = /** @type {Figure<any>} */ (this.figure);
    const panels = /** @type {HTMLElement} */ (this.panels);
    const focused = panels.contains(document.activeElement)
      ? document.activeElement?.getAttribute("data-name")
      : null;
    panels.innerHTML = Live.markup(figure, this.state, true);
    if (focused) this.focusOn(focused);
    const words = figure.say(this.state);
    /** @type {HTMLElement} */ (this.words).textContent = words;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      /** @type {HTMLElement} */ (this.status).textContent = words;
    }, QUIET);
    this.dispatchEvent(new Event("shown"));
  }

  /** @param {string} name */
  focusOn(name) {
    const found = this.panels?.querySelector(`[data-name="${CSS.escape(name)}"]`);
    /** @type {SVGElement | null | undefined} */ (found)?.focus({ preventScroll: true });
  }

  /** @param {PointerEvent} event */
  grab(event) {
    const handle = nameOf(event.target, "handle");
    if (!handle) return;
    event.preventDefault();
    this.held = handle;
    this.panels?.setPointerCapture(event.pointerId);
    this.focusOn(handle);
  }

  /** @param {PointerEvent} event */
  drag(event) {
    if (!this.held) return;
    const handle = this.panels?.querySelector(`[data-name="${CSS.escape(this.held)}"]`);
    const svg = handle?.closest("svg");
    const place = svg?.getScreenCTM();
    if (!place) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(place.inverse());
    this.figure?.move?.(this.state, this.held, { x, y });
    this.show();
  }

  /** @param {EventTarget | null} target */
  press(target) {
    const cell = nameOf(target, "cell");
    if (!cell || !this.figure?.press) return;
    this.figure.press(this.state, cell);
    this.show();
    this.focusOn(cell);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const by = ARROWS[event.key];
    const handle = nameOf(event.target, "handle");
    const cell = nameOf(event.target, "cell");
    if (by && handle) {
      this.figure?.nudge?.(this.state, handle, by);
      this.show();
    } else if (by && cell && this.figure?.beside) {
      this.focusOn(this.figure.beside(this.state, cell, by));
    } else if (cell && (event.key === "Enter" || event.key === " ")) {
      this.press(event.target);
    } else return;
    event.preventDefault();
  }
}

/** Makes a button. @param {string} words @param {() => void} act */
const buttonOf = (words, act) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  button.addEventListener("click", act);
  return button;
};

/** Names the handle or cell that an event met. @param {any} target @param {string} kind */
const nameOf = (target, kind) =>
  target instanceof Element
    ? (target.closest(`[data-kind="${kind}"]`)?.getAttribute("data-name") ?? "")
    : "";

// In a notebook each figure brings its scripts along.
if (!customElements.get("live-figure")) customElements.define("live-figure", LiveFigure);
