// From an experiment's data and a state to panels of points. Nothing is ever averaged over problems: each
// setting that is not drawn is held at a value.
function placed(data, problem, where) {
  return Object.entries(where).every(([key, value]) => {
    const axis = axisOf(data, key);
    return !axis || axis.values[data.places[problem][data.axes.indexOf(axis)]] === value;
  });
}
const settingAt = (data, problem, key) =>
  axisOf(data, key).values[data.places[problem][data.axes.indexOf(axisOf(data, key))]];

// The entries that a state draws of an experiment, one for each method (or damping) and problem.
function chosenEntries(data, s, metric, where, x) {
  const groups = new Map();
  const fixed = x != "lr" && Number.isFinite(+s.pick) ? +s.pick : null;
  for (const entry of data.final) {
    if (!placed(data, entry.p, where) || (fixed != null && entry.l !== fixed)) continue;
    const key = [
      entry.p,
      entry.m,
      s.pick == "each" || x == "damping" ? entry.d : "",
      x == "lr" ? entry.l : "",
    ].join();
    groups.set(key, [...(groups.get(key) || []), entry]);
  }
  const by = data.by || metric,
    at = data.metrics.indexOf(by),
    sign = metricOf(by).better == "larger" ? -1 : 1;
  const score = entry =>
    entry.n || at < 0 ? Infinity : sign * (over(entry.y[at], s.spread).middle ?? Infinity);
  return [...groups.values()].flatMap(entries => {
    if (s.pick == "chosen" && x != "lr" && x != "damping") return entries.filter(entry => entry.s);
    return [entries.reduce((best, entry) => (score(entry) < score(best) ? entry : best))];
  });
}

// Points of a metric: {method, damping, lr, problem, x, values by seed, edge, selected}.
function pointsOf(data, s, metric, where) {
  const entries = chosenEntries(data, s, metric, where, s.x),
    at = measured(data, s.x).indexOf(metric);
  if (at < 0) return [];
  const point = (entry, x, values) => ({
    method: data.methods[entry.m],
    damping: entry.d,
    lr: entry.l,
    problem: entry.p,
    x,
    values,
    edge: !!entry.e,
    selected: !!entry.s,
  });
  if (s.x == data.along) {
    const key = run => [run.p, run.m, run.d, run.l].join(),
      lines = new Map(data.trace.map(line => [key(line), line]));
    return entries.flatMap(entry => {
      const line = lines.get(key(entry));
      return line
        ? line.t.map((place, i) =>
            point(
              entry,
              place,
              line.y[at].map(seed => seed[i]),
            ),
          )
        : [];
    });
  }
  const grid = {lr: "l", damping: "d"}[s.x];
  // Where a step size or damping is the axis, one with which any seed diverges is drawn as diverged.
  return entries.map(entry =>
    point(
      entry,
      grid ? entry[grid] : settingAt(data, entry.p, s.x),
      grid && entry.n ? entry.y[at].map(() => Infinity) : entry.y[at],
    ),
  );
}

// The points seed by seed over those of the baseline on the same problem, at the same place of a run.
function relativePoints(data, s, metric, where, points) {
  const along = s.x == data.along,
    at = data.metrics.indexOf(metric);
  const base = new Map();
  if (along || axisOf(data, s.x))
    for (const p of points) {
      if (p.method == s.base && !base.has(p.problem + " " + p.x)) base.set(p.problem + " " + p.x, p.values);
    }
  else
    for (const entry of chosenEntries(
      data,
      {...s, pick: data.chosen ? "chosen" : "best"},
      metric,
      where,
      "",
    ))
      if (data.methods[entry.m] == s.base) base.set(entry.p, entry.y[at]);
  return points.flatMap(p => {
    const over = base.get(along || axisOf(data, s.x) ? p.problem + " " + p.x : p.problem);
    return over ? [{...p, values: ratios(p.values, over)}] : [];
  });
}

// A line's name and look: the method's. Where dampings are apart, each has a shade of the method's colour,
// and a marker of its own.
const MARKERS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
function seriesOf(data, s) {
  const series = new Map();
  for (const method of Object.keys(META.looks).filter(
    m => data.methods.includes(m) && !s.off.includes(m),
  )) {
    const dampings = [...new Set(data.final.filter(v => data.methods[v.m] == method).map(v => v.d))].sort(
      (a, b) => a - b,
    );
    const look = {...lookOf(method), method};
    if (s.pick == "each" && dampings.length > 1 && s.x != "damping")
      dampings.forEach((damping, i) =>
        series.set(method + " " + damping, {
          ...look,
          label: `${look.label}, λ = ${shown(damping)}`,
          color: paler(look.color, (0.6 * i) / dampings.length),
          shape: MARKERS[i % MARKERS.length],
        }),
      );
    else series.set(method, look);
  }
  return series;
}
function paler(color, share) {
  const parts = [1, 3, 5].map(i => parseInt(color.slice(i, i + 2), 16));
  return (
    "#" +
    parts
      .map(part =>
        Math.round(part + (255 - part) * share)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("")
  );
}
const seriesKey = (series, p) =>
  series.has(p.method + " " + p.damping) ? p.method + " " + p.damping : p.method;

// All panels of a state, with what a reader must be told of them.
async function panelsOf(s) {
  const panelAxis = axisOf(s.data, s.rows),
    values = panelAxis ? panelAxis.values : [null],
    notes = [],
    drawn = [];
  const label = value =>
    `${panelAxis.label}${panelAxis.numeric ? " =" : ":"} ` +
    panelAxis.labels[panelAxis.values.indexOf(value)];
  for (const value of values)
    for (const metric of s.y)
      for (const folder of s.with ? [s.r, s.with] : [s.r]) {
        const data = folder == s.r ? s.data : await experimentOf(folder, s.e);
        if (!data || !measured(data, s.x).includes(metric)) {
          notes.push(`${folder} has no ${metricOf(metric).label} of ${spaced(s.e)}.`);
          continue;
        }
        const where = {...s.hold, ...(panelAxis ? {[panelAxis.key]: value} : {})},
          series = seriesOf(data, s);
        let points = pointsOf(data, s, metric, where);
        if (s.base) points = relativePoints(data, s, metric, where, points);
        const shownIn = p => series.has(seriesKey(series, p));
        points = points.filter(shownIn);
        if (s.x == data.along && data.left_out[0] < data.left_out[1])
          notes.push(
            `Drawn are ${data.left_out[0]} of ${data.left_out[1]} recorded places along a run, to keep this page small.`,
          );
        notes.push(...lacking(data, s, points, series, panelAxis && label(value)));
        const predicted = s.base ? [] : predictionsOf(data, s, metric, where).filter(shownIn);
        if (points.length) drawn.push({metric, folder, value, points, predicted, data, series});
      }
  const panels = drawn.map(one => {
    const title = [panelAxis && label(one.value), s.with && one.folder].filter(Boolean).join(" · ");
    const alike = drawn.filter(
      other =>
        other.metric == one.metric && (s.share || other == one || (s.with && other.value === one.value)),
    );
    return panelOf(s, one, alike, title, notes);
  });
  return [panels, [...new Set(notes)]];
}
// What a reader might look for in a panel in vain.
function lacking(data, s, points, series, panel) {
  const there = new Set(points.map(p => p.method)),
    gone = [...new Set([...series.values()].map(one => one.method))].filter(m => !there.has(m)),
    several = axisOf(data, s.x)?.values.length > 1,
    places = [...new Set(points.map(p => p.x))];
  return [
    Number.isFinite(+s.pick) &&
      gone.length &&
      `Not run at step size ${s.pick}: ${gone.map(m => lookOf(m).label).join(", ")}.`,
    panel &&
      several &&
      places.length == 1 &&
      `${panel} was run at ${settingOf(s.x)} = ${shown(places[0])} only.`,
  ].filter(Boolean);
}
// What theory says of a metric, at the same settings.
function predictionsOf(data, s, metric, where) {
  const name = metricOf(metric).predicted_by;
  return name && data.metrics.includes(name) && s.x != data.along ? pointsOf(data, s, name, where) : [];
}
