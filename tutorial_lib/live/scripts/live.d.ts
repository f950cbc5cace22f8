// The types that the live figures share; checked by `make lint`, not shipped to a reader.

type Row = number[];
type Matrix = Row[];
type Mask = boolean[][];
type Point = { x: number; y: number };

/** One drawing of a figure: what stands in its box, and how large that is. */
type Panel = { title: string; width: number; height: number; body: string };

type Control =
  | {
      kind: "range";
      name: string;
      label: string;
      min: number;
      max: number;
      step: number;
      show?: (value: number) => string;
    }
  | { kind: "check"; name: string; label: string }
  | { kind: "text"; name: string; label: string }
  | { kind: "button"; name: string; label: string }
  | { kind: "choice"; name: string; label: string; options: string[] };

/** A figure to touch: its state, and pure functions of it. */
type Figure<State> = {
  /** Makes the state in which the figure comes, of what the page's cell handed over. */
  start: (data: any) => State;
  controls: Control[];
  draw: (state: State, active: boolean) => Panel[];
  /** The state in words, for the line under the figure and for screen readers. */
  say: (state: State) => string;
  /** What a control asks for, where that is more than to store its value. */
  set?: (state: State, name: string, value: any) => void;
  /** Drags a handle to a point of its panel. */
  move?: (state: State, handle: string, to: Point) => void;
  /** Moves a handle by arrow keys: one to the right and one up is (1, 1). */
  nudge?: (state: State, handle: string, by: Point) => void;
  /** Presses a cell. */
  press?: (state: State, cell: string) => void;
  /** Does the next step of something that goes on by itself; tells whether there is another. */
  tick?: (state: State) => boolean;
  /** Names the cell that lies beside another. */
  beside?: (state: State, cell: string, by: Point) => string;
};

/** Weights as `tutorial_lib.live.weights.pack` writes them: in base64, one after the other. */
type Packed = { shapes: Record<string, number[]>; values: string; kind: "float32" | "float16" };

type Settings = {
  heads: number;
  normFirst: boolean;
  lastNorm: string; // the one before the feed-forward, which a decoder layer counts as its third
  activation: string;
  causal: boolean;
  positions: string;
};

/** Weights by layer and head. */
type Maps = Matrix[][];

type LiveNames = {
  unpack: (packed: Packed) => Record<string, Matrix>;
  tagger: (
    weights: Record<string, Matrix>,
    x: Matrix,
    settings: { heads: number; normFirst?: boolean; positions?: boolean },
  ) => { logits: Matrix; maps: Maps };
  languageModel: (
    weights: Record<string, Matrix>,
    tokens: number[],
    settings: { heads: number; positions?: string; scaled?: boolean },
  ) => { logits: Matrix; maps: Maps };
  figures: Record<string, Figure<any>>;
  softmax: (scores: Row) => Row;
  dot: (one: Row, other: Row) => number;
  attend: (
    query: Matrix,
    key: Matrix,
    value: Matrix,
    options?: { sharpness?: number; mask?: Mask },
  ) => { weights: Matrix; output: Matrix };
  weightsOf: (scores: Matrix, mask?: Mask) => Matrix;
  causalMask: (length: number) => Mask;
  positionCode: (position: number, width: number, base: number) => Row;
  schedules: Record<string, (step: number, warmup: number, total: number) => number>;
  percent: (share: number) => string;
  heat: (share: number) => { fill: string; ink: string };
  scale: (
    domain: [number, number],
    range: [number, number],
  ) => ((value: number) => number) & { invert: (place: number) => number };
  text: (
    x: number,
    y: number,
    words: string | number,
    options?: { anchor?: string; kind?: string },
  ) => string;
  line: (points: Point[], kind: string) => string;
  grid: (rows: Matrix, options: GridOptions) => Panel;
  axes: (options: AxesOptions) => string;
  markup: (figure: Figure<any>, state: any, active: boolean) => string;
};

type GridOptions = {
  title: string;
  rowLabels: string[];
  columnLabels: string[];
  rowTitle: string;
  columnTitle: string;
  write?: (value: number) => string;
  cell?: (row: number, column: number) => string;
  fill?: (value: number) => { fill: string; ink: string };
};

type AxesOptions = {
  width: number;
  height: number;
  x: (value: number) => number;
  y: (value: number) => number;
  xTicks: number[];
  yTicks: number[];
  xLabel: string;
  yLabel: string;
  xText?: (value: number) => string;
  yText?: (value: number) => string;
};

declare var Live: LiveNames;
