// What the page holds, building blocks of HTML, and numbers as readers write them.
const META = JSON.parse(document.getElementById("meta").textContent);
const $ = (query, at = document) => at.querySelector(query);
const $$ = (query, at = document) => [...at.querySelectorAll(query)];

// An element. Children are elements or text, so that no text is ever read as HTML.
function element(tag, attributes = {}, ...children) {
  const inside = ["svg", "path", "line", "tspan"].includes(tag);
  const made = inside
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// Data lie in the page deflated, and are unpacked when first needed.
const unpacked = new Map();
async function unpack(id) {
  if (!unpacked.has(id)) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(id, JSON.parse(await new Response(stream).text()));
  }
  return unpacked.get(id);
}
async function experimentOf(folder, name) {
  const place = META.folders.findIndex(f => f.name == folder);
  return document.getElementById(`data-${place}-${name}`) ? unpack(`data-${place}-${name}`) : null;
}

// κ_x in three ways: with a subscript; as one character where there is one, in menus; and in a picture.
const LOWERED = /([κΣσd])_(\w)(?!\w)/g;
function subscripted(text) {
  const parts = String(text).split(LOWERED);
  return parts.map((part, i) => (i % 3 == 2 ? element("sub", {}, part) : part));
}
const plain = text =>
  String(text).replace(LOWERED, (_, letter, below) => letter + ({x: "ₓ", h: "ₕ", k: "ₖ"}[below] || below));
function lowerIn(picture) {
  const leaves = $$("text, tspan", picture).filter(one => !one.childElementCount);
  for (const words of leaves.filter(one => one.textContent.search(LOWERED) >= 0)) {
    const parts = words.textContent.split(LOWERED).map((part, i) => ({part, below: i % 3 == 2}));
    words.replaceChildren(
      ...parts.flatMap(({part, below}, i) => {
        const dy = below ? "0.25em" : i && parts[i - 1].below ? "-0.19em" : null;
        return part ? [element("tspan", {dy, "font-size": below ? "75%" : null}, part)] : [];
      }),
    );
  }
}

// What the catalogue tells of an experiment, beside its data.
const toldOf = (folder, name) =>
  META.folders.find(f => f.name == folder).experiments.find(e => e.name == name);

const spaced = name => name.replaceAll("_", " ");
const metricOf = name =>
  META.metrics[name] || {
    label: spaced(name),
    log: true,
    better: "smaller",
    infinite: "diverged",
    listed: true,
  };
const settingOf = name => META.settings[name] || spaced(name);
const lookOf = method => META.looks[method];

function shown(value, digits = 4) {
  if (value === Infinity) return "∞";
  if (value == null || Number.isNaN(value)) return "–";
  if (typeof value == "string") return value;
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) {
    const [mantissa, exponent] = value.toExponential(digits - 2).split("e");
    const raised = [...String(+exponent)].map(c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
    return `${+mantissa}·10${raised}`.replace("-", "−");
  }
  return String(+value.toPrecision(digits)).replace("-", "−");
}
