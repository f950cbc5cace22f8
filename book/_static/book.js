// A formula that is wider than the page scrolls inside itself: let the keyboard reach it. The theme
// does the same for code, outputs and tables.
const reachWideFormulas = () => {
  for (const formula of document.querySelectorAll(".katex-display")) {
    formula.tabIndex = formula.scrollWidth > formula.clientWidth ? 0 : -1;
  }
};

window.addEventListener("resize", reachWideFormulas);
window.addEventListener("load", reachWideFormulas);

// A link to a folded section opens it; browsers open a fold only for what stands inside it.
const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target?.querySelector(":scope > details");
  if (target?.classList.contains("deeper") && fold) {
    fold.open = true;
  }
};

window.addEventListener("hashchange", openTarget);
window.addEventListener("load", openTarget);
