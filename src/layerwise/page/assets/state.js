// The state of a view lives in the address after #, and everything that is drawn follows from it.
const decode = text => decodeURIComponent(text.replaceAll("+", " "));
const listed = text => (text || "").split(",").filter(Boolean).map(decode);
function readAddress() {
  const [view, query] = location.hash.slice(1).split("?");
  const asked = Object.fromEntries(
    (query || "")
      .split("&")
      .filter(Boolean)
      .map(pair => {
        const [key, ...value] = pair.split("=");
        return [decode(key), value.join("=")];
      }),
  );
  return [view || "claims", asked];
}
function writeAddress(view, asked) {
  const encode = value =>
    Array.isArray(value) ? value.map(encodeURIComponent).join(",") : encodeURIComponent(value);
  const pairs = Object.entries(asked).filter(
    ([, value]) => value != null && value !== "" && value.length !== 0,
  );
  const query = pairs.map(([key, value]) => `${encodeURIComponent(key)}=${encode(value)}`).join("&");
  history.replaceState(null, "", `#${view}${query ? "?" + query : ""}`);
}

const axisOf = (data, key) => data.axes.find(axis => axis.key == key);
const measured = (data, x) => (x == data.along ? data.traced : data.metrics);
function horizontals(data) {
  const several = key =>
    new Set(data.final.map(entry => entry[key]).filter(value => value != null)).size > 1;
  return [
    ...(data.along ? [data.along] : []),
    ...(several("l") ? ["lr"] : []),
    ...(several("d") ? ["damping"] : []),
    ...data.axes.map(axis => axis.key),
  ];
}
// How a choice among step sizes and dampings is made: the selected one, the best, each damping apart, or
// one step size for all methods.
function picks(data, x) {
  const dampings = new Set(data.final.map(entry => entry.m + " " + entry.d)).size > data.methods.length;
  const known = {
    chosen: "as the experiment selects",
    best: data.by ? `smallest ${metricOf(data.by).label}` : "best for each panel",
    each: "each damping apart",
  };
  const able = [...(data.chosen ? ["chosen"] : ["best"]), ...(dampings ? ["each"] : [])];
  const fixed = [data.along, "lr"].includes(x) ? [] : stepSizes(data);
  return [
    ...able.map(key => [key, known[key]]),
    ...fixed.map(lr => [String(lr), `step size ${shown(lr)} for all`]),
  ];
}
const usualPick = data => (data.chosen ? "chosen" : data.by ? "best" : "each");
// With which some method was run on every problem.
function stepSizes(data) {
  const problems = new Map();
  for (const {m, l, p} of data.final)
    if (l != null) problems.set(`${m} ${l}`, (problems.get(`${m} ${l}`) || new Set()).add(p));
  const whole = [...problems].filter(([, found]) => found.size == data.problems.length);
  return [...new Set(whole.map(([key]) => +key.split(" ")[1]))].sort((a, b) => a - b);
}

// What is asked for, completed by what the experiment is about.
async function completeState(asked) {
  const folder = META.folders.find(f => f.name == decode(asked.r || "")) || META.folders[0];
  const names = folder.experiments.map(e => e.name),
    wanted = decode(asked.e || "");
  const e = names.includes(wanted) ? wanted : names[0];
  const data = await experimentOf(folder.name, e),
    words = listed(asked.about);
  const xs = horizontals(data),
    keys = data.axes.map(axis => axis.key);
  const first = (...values) => values.find(value => value != null && value !== "");
  const about = words.find(
    word => keys.includes(word) && axisOf(data, word).numeric && words.some(m => data.metrics.includes(m)),
  );
  const x = [asked.x && decode(asked.x), about, data.view.x, xs[0]].find(key => xs.includes(key)) || xs[0];
  const able = measured(data, x),
    known = list => list.filter(m => able.includes(m)).slice(0, 4);
  const y =
    [known(listed(asked.y)), known(words), known(data.view.y), able.slice(0, 1)].find(
      list => list.length,
    ) || [];
  const free = keys.filter(key => key != x),
    few = axis => axis.values.length <= 4 && (data.crossed || !axis.numeric);
  const usual = x == data.view.x ? data.view.rows || "none" : free.find(key => few(axisOf(data, key)));
  const rows =
    [asked.rows && decode(asked.rows), usual].find(key => key == "none" || free.includes(key)) || "none";
  const hold = {};
  for (const key of free.filter(key => key != rows)) {
    const asks = asked["at_" + key] && decode(asked["at_" + key]),
      axis = axisOf(data, key);
    hold[key] = first(
      asks && axis.values.find(value => String(value) == asks),
      asks && axis.numeric && nearest(axis.values, +asks),
      mostCommon(data, key),
    );
  }
  // A claim that names its metric names all its methods too; others compare with further ones.
  const named = asked.only
    ? listed(asked.only)
    : words.some(word => data.metrics.includes(word))
      ? words
      : [];
  const methods = named.filter(word => data.methods.includes(word));
  const off =
    asked.off != null
      ? listed(asked.off)
      : methods.length
        ? data.methods.filter(m => !methods.includes(m))
        : [];
  const pick =
    [asked.pick, usualPick(data)].find(key => picks(data, x).some(([able]) => able == key)) ||
    picks(data, x)[0][0];
  const base = data.methods.includes(decode(asked.base || "")) ? decode(asked.base) : "";
  const spread = SPREADS[asked.spread] ? asked.spread : data.chosen ? "quartiles" : "error";
  return {
    r: folder.name,
    e,
    x,
    y,
    rows,
    hold,
    off: off.filter(m => data.methods.includes(m)),
    pick,
    base,
    spread,
    lx: asked.lx != null ? +asked.lx : +logHorizontal(data, x),
    ly:
      asked.ly != null
        ? +asked.ly
        : +(base ? true : y.every(m => metricOf(m).log || spansDecades(data, x, m))),
    share: +(asked.share || 0),
    with: META.folders.some(f => f.name == decode(asked.with || "") && f.name != folder.name)
      ? decode(asked.with)
      : "",
    data,
  };
}
// A value that is asked for in round numbers, as 3 for 3.16.
function nearest(values, asked) {
  const close = values.filter(value => Math.abs(value - asked) < 0.06 * Math.abs(value));
  return close.sort((a, b) => Math.abs(a - asked) - Math.abs(b - asked))[0] ?? null;
}
function mostCommon(data, key) {
  const at = data.axes.indexOf(axisOf(data, key)),
    axis = axisOf(data, key);
  const counts = axis.values.map((_, value) => data.places.filter(place => place[at] == value).length);
  return axis.values[counts.indexOf(Math.max(...counts))];
}
// Whether an axis that is linear for most experiments would press most of this one's values onto 0.
function spansDecades(data, x, metric) {
  if (x == data.along) return false;
  const at = data.metrics.indexOf(metric),
    values = data.final.flatMap(entry => entry.y[at]).filter(value => Number.isFinite(value));
  return values.length > 0 && Math.min(...values) > 0 && Math.max(...values) > 100 * Math.min(...values);
}
function logHorizontal(data, x) {
  if (x == data.along) return x == "step";
  const values =
    x == "lr"
      ? data.final.map(v => v.l)
      : x == "damping"
        ? data.final.map(v => v.d)
        : axisOf(data, x).values;
  return (axisOf(data, x)?.numeric ?? true) && values.every(value => value == null || value > 0);
}

// A state as its address says it, without what goes without saying.
function addressOf(s) {
  const held = Object.fromEntries(Object.entries(s.hold).map(([key, value]) => ["at_" + key, value]));
  return {
    r: s.r == META.folders[0].name ? "" : s.r,
    e: s.e,
    x: s.x,
    y: s.y,
    rows: s.rows,
    ...held,
    off: s.off,
    pick: s.pick == usualPick(s.data) ? "" : s.pick,
    spread: s.spread == (s.data.chosen ? "quartiles" : "error") ? "" : s.spread,
    base: s.base,
    lx: s.lx,
    ly: s.ly,
    share: s.share || "",
    with: s.with,
  };
}
