// The page: its sections in order, its theme, and, of a run that goes on, its renewal.

const repaints = [];
const THEMES = ["system", "light", "dark"];

function redraw() {
  for (const paint of repaints) paint();
  for (const chart of charts) if (chart.place.isConnected) chart.draw(); else charts.delete(chart);
}

function show(page) {
  const main = document.getElementById("main");
  document.title = page.title;
  main.querySelector("h1").textContent = page.title;
  const { outcome, label, text } = page.verdict;
  document.getElementById("verdict").replaceChildren(
    ...(outcome ? [el("span", { class: `outcome ${outcome}` }, label ?? outcome)] : []), text);
  for (const old of main.querySelectorAll(":scope > [data-section]")) old.remove();
  repaints.length = 0;
  for (const section of page.sections) {
    const drawn = KINDS[section.kind](section);
    drawn.setAttribute("data-section", section.kind);
    main.append(drawn);
  }
  charts.forEach((chart) => { if (!chart.place.isConnected) charts.delete(chart); });
}

function prepareTheme() {
  const button = document.getElementById("theme");
  let theme = "system";
  try { theme = THEMES.includes(localStorage.innerloopTheme) ? localStorage.innerloopTheme : theme; } catch { /* A file may have no storage. */ }
  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.innerloopTheme = theme; } catch { /* It holds until the page is closed. */ }
    apply();
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  apply();
}

// The page is drawn anew only where its data have changed; what was switched off comes back on.
async function follow(known) {
  try {
    const answer = await fetch("page.json", { cache: "no-store" });
    const text = await answer.text();
    if (answer.ok && text !== known && !document.querySelector(".u-select:active")) {
      known = text;
      show(JSON.parse(text));
    }
  } catch {
    document.getElementById("verdict").textContent = "The server of this page has ended; what is shown is the last that it said.";
    return;
  }
  setTimeout(() => follow(known), 2000);
}

const page = JSON.parse(document.getElementById("data").textContent);
prepareTheme();
show(page);
if (page.live) follow("");
