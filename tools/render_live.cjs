// Writes the markup of a live figure as it comes: what stands in the page before a script runs.
// node tools/render_live.cjs FOLDER FIGURE SCRIPT,SCRIPT < data
const { readFileSync } = require("node:fs");

const [folder, name, scripts] = process.argv.slice(2);
for (const script of scripts.split(",")) require(`${folder}/${script}.js`);
const figure = globalThis.Live.figures[name];
const data = JSON.parse(readFileSync(0, "utf-8"));
process.stdout.write(globalThis.Live.markup(figure, figure.start(data), false));
