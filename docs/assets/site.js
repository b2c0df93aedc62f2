// What scrolls can be reached by keyboard, and what the theme leaves without a name has one.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  document.querySelectorAll(".md-typeset pre > code, .md-typeset__scrollwrap").forEach((each) => {
    each.tabIndex = 0;
  });
  document.querySelectorAll(".md-code__nav").forEach((each, n) => each.setAttribute("aria-label", `Code ${n + 1}`));
});
