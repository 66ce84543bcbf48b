// Whatever scrolls sideways can be reached, and scrolled, by keyboard, whenever it comes to do so, and says
// on which side there is more of it, for the style sheet to show.
const SCROLLING = "pre, .cell_output, .table-wrapper, div.math, .cell_output div";

function mark(box) {
  const hidden = box.scrollWidth - box.clientWidth;
  const left = box.scrollLeft > 1;
  const right = box.scrollLeft < hidden - 1;
  box.dataset.more = left && right ? "both" : left ? "left" : "right";
}

function reach() {
  for (const box of document.querySelectorAll(SCROLLING)) {
    const scrolls = box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible";
    if (scrolls) {
      box.tabIndex = 0;
      mark(box);
    } else {
      box.removeAttribute("tabindex");
      delete box.dataset.more;
    }
  }
  document.documentElement.dataset.settled = innerWidth; // at this width everything has its size
}

addEventListener("load", async () => {
  await document.fonts.ready; // those of the formulas, too
  const watch = new ResizeObserver(reach); // a cell unfolds, a box becomes narrower
  document.querySelectorAll(SCROLLING).forEach((box) => watch.observe(box));
  document.fonts.addEventListener("loadingdone", reach);
  addEventListener("resize", reach);
  document.addEventListener("scroll", ({ target }) => target.dataset?.more && mark(target), true);
  reach();
});
