// What a page shows, for visit.py. Run in the page.
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const article = document.querySelector("article.bd-article, .bd-search-container");

  const prose = article.cloneNode(true);
  prose.querySelectorAll("code, pre, kbd, .katex, script, style").forEach((e) => e.remove());

  const images = [...article.querySelectorAll("img")].map((image) => ({
    alt: image.getAttribute("alt"),
    file: image.getAttribute("src").split("/").pop(),
    caption: image.closest("figure")?.querySelector(".caption-text")?.textContent ?? "",
    filter: getComputedStyle(image).filter,
    ground: getComputedStyle(image).backgroundColor,
    width: image.naturalWidth,
  }));

  const width = document.documentElement.clientWidth;
  const scrollsInside = (element) => {
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) {
      const clips = getComputedStyle(box).overflowX !== "visible";
      if (clips && box.getBoundingClientRect().right <= width + 1) return true;
    }
    return false;
  };
  const isTooWide = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && !scrollsInside(element);
  };

  const groundOf = (element) => {
    const ground = getComputedStyle(element).backgroundColor;
    return ground === "rgba(0, 0, 0, 0)" ? groundOf(element.parentElement) : ground;
  };
  const letters = all("pre, pre *, .katex-html *").filter((element) =>
    [...element.childNodes].some((e) => e.nodeType === Node.TEXT_NODE && e.data.trim()),
  );
  const colours = letters.map((e) => `${getComputedStyle(e).color} on ${groundOf(e)}`);

  // Words of a drawing stand on the last rectangle that was filled under them.
  const groundOfWords = (words) => {
    const box = words.getBoundingClientRect();
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const under = [...words.ownerSVGElement.querySelectorAll("rect")].filter((rectangle) => {
      const edges = rectangle.getBoundingClientRect();
      const isBehind = rectangle.compareDocumentPosition(words) & Node.DOCUMENT_POSITION_FOLLOWING;
      const isAround = edges.left < x && x < edges.right && edges.top < y && y < edges.bottom;
      return isBehind && isAround && getComputedStyle(rectangle).fill !== "none";
    });
    return under.length ? getComputedStyle(under.pop()).fill : groundOf(words.closest("figure"));
  };
  const drawings = [...article.querySelectorAll("svg.architecture")].map((drawing) => ({
    whole: drawing.closest("figure").matches(".whole"),
    here: drawing.querySelectorAll(".pill").length,
    name: drawing.querySelector("title").textContent,
    caption: drawing.closest("figure").querySelector("figcaption").textContent.trim(),
    colours: [...drawing.querySelectorAll("text")].map(
      (words) => `${getComputedStyle(words).fill} on ${groundOfWords(words)}`,
    ),
  }));

  return {
    drawings,
    prose: prose.textContent,
    failedFormulas: all(".katex-error").map((e) => e.textContent),
    images,
    figures: [...article.querySelectorAll("figure")].filter((e) => e.querySelector("img")).length,
    undescribedImages: all("img:not([alt])").map((e) => e.outerHTML),
    colours: [...new Set(colours)], // of code and formulas
    title: document.title,
    language: document.documentElement.lang,
    description: document.querySelector("meta[name=description]")?.content ?? "",
    numbered: [...article.querySelectorAll(":is(h1, h2, h3, h4, h5, h6) > .section-number")].map(
      (e) => e.parentElement.tagName,
    ),
    favicon: document.querySelector("link[rel=icon]")?.href ?? "",
    scripts: all("script[src]").map((e) => e.src),
    sideways: document.documentElement.scrollWidth - width,
    tooWide: all(".bd-article-container *, footer *")
      .filter(isTooWide)
      .map((e) => e.outerHTML.slice(0, 120)),
  };
}
