// Whatever scrolls sideways can be reached, and scrolled, by keyboard.
function reach() {
  for (const box of document.querySelectorAll("pre, .cell_output, .table-wrapper, div.math, .cell_output div")) {
    if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
  }
}

addEventListener("load", reach);
addEventListener("resize", reach);
