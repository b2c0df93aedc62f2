// Elements, made of text alone: nothing here reads HTML.

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children) {
    if (child === null || child === undefined) continue;
    made.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return made;
}

function formatted(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

// The colour that a custom property stands for in the theme that is shown.
function colour(name) {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(rgb, alpha) {
  const numbers = rgb.match(/[\d.]+/g) || ["128", "128", "128"];
  return `rgba(${numbers.slice(0, 3).join(",")},${alpha})`;
}

// Buttons of which one is pressed.
function choice(label, options, chosen, changed) {
  const group = el("span", { class: "choice", role: "group", "aria-label": label },
    el("span", { "aria-hidden": "true" }, label));
  const buttons = options.map(([value, text]) => el("button", {
    type: "button", "aria-pressed": String(value === chosen),
    onclick: () => {
      buttons.forEach((each, n) => each.setAttribute("aria-pressed", String(options[n][0] === value)));
      changed(value);
    },
  }, text));
  group.append(...buttons);
  return group;
}

function toggle(label, pressed, changed) {
  const button = el("button", { type: "button", "aria-pressed": String(pressed) }, label);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    changed(now);
  });
  return button;
}

function card(section, ...children) {
  return el("section", { class: "card" }, el("h2", {}, section.title),
    section.note ? el("p", { class: "note" }, section.note) : null, ...children);
}
