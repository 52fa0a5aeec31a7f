// One panel: where its points lie, which lanes it needs for what no axis holds, and its ticks.
const LANE = 0.22; // of the axis, for each lane
const SEED_POINTS = 4000; // of a panel's lines of seeds along a run; more take seconds, and show no more

function panelOf(s, one, alike, title, notes) {
  const axis = axisOf(s.data, s.x),
    about = metricOf(one.metric),
    log = !!s.ly;
  const onAxis = p => !(s.lx && typeof p.x == "number" && p.x <= 0);
  const fits = value => value != null && Number.isFinite(value) && (!log || value > 0);
  const seen = alike
    .flatMap(other => [...other.points, ...other.predicted])
    .filter(onAxis)
    .flatMap(p => {
      const {middle, low, high} = over(p.values, s.spread);
      return (s.spread == "seeds" ? p.values : s.spread == "none" ? [middle] : [low, middle, high]).filter(
        fits,
      );
    });
  if (s.base) seen.push(1);
  let [bottom, top] = seen.length ? [Math.min(...seen), Math.max(...seen)] : [log ? 0.5 : 0, log ? 2 : 1];
  const middles = one.points.filter(onAxis).map(p => ({p, ...over(p.values, s.spread)}));
  const lost = middles.some(m => m.middle === Infinity),
    zero = log && middles.some(m => m.middle !== null && m.middle <= 0);
  if (lost && about.infinite == "not reached" && !s.base) top = Math.max(top, one.data.budget || 0);
  const pad = log
    ? Math.max((top / bottom) ** 0.04, 1.06)
    : (top - bottom) * 0.05 || Math.abs(top) * 0.1 || 0.1;
  [bottom, top] = log ? [bottom / pad, top * pad] : [bottom - pad, top + pad];

  const lanes = {above: [], below: []}; // what is lost lies at the bad end, what has no logarithm at the low one
  const end = about.better == "larger" && !s.base ? "below" : "above";
  if (lost) lanes[end].push(about.infinite);
  if (zero) lanes.below.push(s.base ? `zero, or ${lookOf(s.base).label} ${about.infinite}` : "0 or less");
  const inner = [bottom, top],
    stretch = side => (lanes[side].length ? LANE : 0);
  if (log)
    [bottom, top] = [bottom * (bottom / top) ** stretch("below"), top * (top / bottom) ** stretch("above")];
  else
    [bottom, top] = [bottom - (top - bottom) * stretch("below"), top + (top - bottom) * stretch("above")];
  const within = ([from, to], share) => (log ? from * (to / from) ** share : from + (to - from) * share);
  const ranges = {above: [inner[1], top], below: [bottom, inner[0]]};

  const rows = [],
    seeds = [],
    keys = [...one.series.keys()];
  const inLanes = keys.filter(key =>
    middles.some(
      m =>
        seriesKey(one.series, m.p) == key &&
        (m.middle === Infinity || (log && m.middle !== null && m.middle <= 0)),
    ),
  );
  const x = p => (axis && !axis.numeric ? axis.labels[axis.values.indexOf(p.x)] : p.x);
  let undefinedPoints = 0,
    offAxis = 0;
  const every =
    s.x == s.data.along
      ? Math.ceil(one.points.reduce((sum, p) => sum + p.values.length, 0) / SEED_POINTS)
      : 1;
  for (const [place, key] of keys.entries()) {
    const label = one.series.get(key).label,
      share = 0.1 + (0.6 * (inLanes.indexOf(key) + 0.5)) / inLanes.length;
    const line = middles
      .filter(m => seriesKey(one.series, m.p) == key)
      .sort((a, b) => order(axis, a.p) - order(axis, b.p));
    const marked = marks(
      line.map(m => m.p.x),
      s,
      place / keys.length,
    );
    const own = new Set(middles.filter(m => m.p.method == line[0]?.p.method).map(m => order(axis, m.p))),
      grid = [...own].sort((a, b) => a - b);
    let segment = 0;
    line.forEach(({p, middle, low, high, seeds: count, lost: gone, missing}, i) => {
      // No line leads across what is undefined, or was not run.
      if (
        s.x != s.data.along &&
        i &&
        grid.indexOf(order(axis, p)) > grid.indexOf(order(axis, line[i - 1].p)) + 1
      )
        segment++;
      if (middle === null) {
        undefinedPoints++;
        segment++;
        return;
      }
      const side = middle === Infinity ? end : log && middle <= 0 ? "below" : null;
      const clip = value => Math.max(inner[0], Math.min(inner[1], value));
      // At the bad end below, an infinite upper quartile says that seeds are lost, not that they are good.
      const upper = high === Infinity && end == "below" ? middle : high;
      rows.push({
        series: label,
        x: x(p),
        order: i,
        segment,
        y: side ? within(ranges[side], side == "above" ? share : 1 - share) : middle,
        low: side || s.spread == "none" || s.spread == "seeds" ? null : clip(low),
        high: side ? null : clip(upper),
        mark: marked[i],
        hollow: (p.edge && s.x != s.data.along) || (side != null && (s.x == "lr" || s.x == "damping")),
        at: shown(p.x),
        said: middle === Infinity ? about.infinite : shown(middle),
        between: `${shown(low)} to ${shown(high)}`,
        count: [String(count), gone && `${gone} ${about.infinite}`, missing && `${missing} undefined`]
          .filter(Boolean)
          .join(", "),
        choice:
          [
            p.lr != null && `step size ${shown(p.lr)}`,
            p.damping ? `damping ${shown(p.damping)}` : "",
            p.edge && "at the edge of its grid",
            p.selected && grids.includes(s.x) && "selected",
          ]
            .filter(Boolean)
            .join(", ") || "–",
        drawn: {
          panel: title,
          ...(s.rows == "none" ? {} : {[s.rows]: one.value}),
          metric: one.metric,
          results: one.folder,
          method: p.method,
          [s.x]: p.x,
          problem: one.data.problems[p.problem],
          low,
          middle,
          high,
          seeds: count,
          lost: gone,
          undefined: missing,
          step_size: p.lr,
          damping: p.damping,
          at_edge: p.edge,
          ...(s.spread == "seeds" ? {values: p.values} : {}),
        },
      });
      if (s.spread == "seeds" && (i < 12 || i % every == 0 || i == line.length - 1))
        p.values.forEach((value, seed) => {
          if (fits(value)) seeds.push({series: label, x: x(p), y: value, seed: label + seed});
        });
    });
  }
  if (s.spread == "seeds" && every > 1)
    notes.push(
      `Lines of seeds have every ${ordinal(every)} place after the first twelve; the median has all.`,
    );
  offAxis = one.points.length - middles.length;
  if (offAxis)
    notes.push(
      s.x == s.data.along
        ? `The logarithmic axis has no place for ${settingOf(s.x)} 0.`
        : `The logarithmic axis has no place for ${offAxis} points at ${settingOf(s.x)} 0.`,
    );
  if (undefinedPoints)
    notes.push(
      `${undefinedPoints} points are undefined, as their runs give no such number, and are not drawn.`,
    );
  const predicted = one.predicted
    .filter(p => onAxis(p) && one.series.has(seriesKey(one.series, p)))
    .flatMap(p => {
      const {middle} = over(p.values, s.spread);
      return fits(middle)
        ? [
            {
              series: one.series.get(seriesKey(one.series, p)).label,
              x: x(p),
              y: middle,
              order: order(axis, p),
            },
          ]
        : [];
    });
  const xs = one.points.map(p => p.x).filter(value => typeof value == "number" && !(s.lx && value <= 0));
  return {
    title,
    rows,
    seeds,
    predicted,
    log,
    ylabel:
      about.label +
      (stopped(s, one.metric) ? ", at each run’s end" : "") +
      (s.base ? `, over ${lookOf(s.base).label}’s` : ""),
    domain: [bottom, top],
    ticks: log ? ticks(...inner) : inside(inner, [bottom, top]),
    lanes: Object.keys(ranges)
      .filter(side => lanes[side].length)
      .map(side => ({from: ranges[side][0], to: ranges[side][1], word: lanes[side].join(" or ")})),
    one: s.base ? 1 : null,
    ...horizontal(s, axis, xs),
  };
}
// Whether a value is of the end of a run that stops at a target: each method's is of another iteration.
const stopped = (s, metric) =>
  s.x != s.data.along && metricOf(metric).at_end && toldOf(s.r, s.e).stop_at != null;
const grids = ["lr", "damping"];
const ordinal = n => ({2: "second", 3: "third"})[n] || `${n}th`;
const order = (axis, p) => (axis && !axis.numeric ? axis.values.indexOf(p.x) : (p.x ?? 0));

// Along a run only some points carry a marker, each method's at places of its own.
function marks(xs, s, offset) {
  if (s.x != s.data.along || xs.length < 24) return xs.map(() => true);
  const at = xs.map(value => (s.lx ? Math.log(Math.max(value, 1e-9)) : value)),
    from = at[0],
    span = at.at(-1) - from || 1;
  let next = offset * 0.12;
  return at.map(value => {
    const due = (value - from) / span >= next;
    while (due && next <= (value - from) / span) next += 0.12;
    return due;
  });
}
function horizontal(s, axis, xs) {
  if ((axis && !axis.numeric) || !xs.length) return {};
  const [first, last] = [Math.min(...xs), Math.max(...xs)],
    run = s.x == s.data.along;
  const wide = s.lx ? (run ? 1.04 : 1.12) : (last - first || 1) * (run ? 0.015 : 0.04);
  const xdomain = s.lx ? [first / wide, last * wide] : [first - wide, last + wide];
  if (xdomain[0] == xdomain[1]) xdomain[1] += 1;
  return {xdomain, xticks: axis ? [...new Set(xs)] : s.lx ? ticks(first, last) : undefined};
}
// Ticks of a logarithmic axis: decades, finer where it spans few; the library's own where it spans less.
function ticks(from, to) {
  const span = Math.log10(to / from),
    parts = span > 2.6 ? [1] : span > 1.3 ? [1, 3] : span > 0.6 ? [1, 2, 5] : null;
  if (!parts) return undefined;
  const made = [];
  for (
    let decade = Math.floor(Math.log10(from));
    decade <= Math.ceil(Math.log10(to));
    decade += span > 8 ? 2 : 1
  )
    for (const part of parts) {
      const value = +(part * 10 ** decade).toPrecision(3);
      if (value >= from && value <= to) made.push(value);
    }
  return made;
}
// Of a linear axis with a lane, the round values outside the lane.
function inside([from, to], [bottom, top]) {
  if (from == bottom && to == top) return undefined;
  const step = 10 ** Math.floor(Math.log10((to - from) / 2)),
    wide = (to - from) / step > 10 ? 5 * step : (to - from) / step > 5 ? 2 * step : step;
  const made = [];
  for (let value = Math.ceil(from / wide) * wide; value <= to; value += wide)
    made.push(+value.toPrecision(6));
  return made;
}
