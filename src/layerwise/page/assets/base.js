// What the page holds, building blocks of HTML, and numbers as readers write them.
const META = JSON.parse(document.getElementById("meta").textContent);
const $ = (query, at = document) => at.querySelector(query);
const $$ = (query, at = document) => [...at.querySelectorAll(query)];

// An element. Children are elements or text, so that no text is ever read as HTML.
function element(tag, attributes = {}, ...children) {
  const inside = ["svg", "path", "line"].includes(tag);
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
