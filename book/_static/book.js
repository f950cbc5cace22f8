// A formula that is wider than the page scrolls inside itself: let the keyboard reach it. The theme
// does the same for code, outputs and tables.
const reachWideFormulas = () => {
  for (const formula of document.querySelectorAll(".katex-display")) {
    formula.tabIndex = formula.scrollWidth > formula.clientWidth ? 0 : -1;
  }
};

window.addEventListener("resize", reachWideFormulas);
window.addEventListener("load", reachWideFormulas);
