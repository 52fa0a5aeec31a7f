// The explorer: from the state to what is drawn, and back to the address.
let STATE = null,
  PANELS = [],
  VIEW = null;

function viewOf(s, panels) {
  const data = s.data,
    axis = axisOf(data, s.x),
    series = [...seriesOf(data, s).values()],
    folder = META.folders.find(f => f.name == s.r);
  const words = s.y
    .map(m => metricOf(m).label)
    .join(", ")
    .replace(/, ([^,]*)$/, " and $1");
  const held = Object.entries(s.hold).map(
    ([key, value]) =>
      `${axisOf(data, key).label} = ${axisOf(data, key).labels[axisOf(data, key).values.indexOf(value)]}`,
  );
  const fixed = Object.entries(data.fixed).map(([key, value]) => `${settingOf(key)} = ${shown(value)}`);
  const spread =
    SPREADS[s.spread][1] + ` over ${data.seeds.length} seed${data.seeds.length > 1 ? "s" : ""}`;
  const chosen = {
    chosen: "each method at its selected step size",
    best: data.by ? `each method’s choice with the smallest ${metricOf(data.by).label}` : "",
    each: "each damping apart, at the best step size that was run with it",
  };
  const note = [
    `${spaced(s.e)}, ${s.r}${s.with ? " and " + s.with : ""}`,
    spread + (s.base ? ` of the ratio to ${lookOf(s.base).label} on the same seed` : ""),
    grids.includes(s.x) ? "" : (chosen[s.pick] ?? `all methods at step size ${s.pick}`),
    ...s.y.map(m => metricOf(m).explained),
    whenTaken(s),
    ...held,
    ...fixed,
  ]
    .filter(Boolean)
    .join("; ");
  return {
    series,
    xlabel: settingOf(s.x),
    xlog: !!s.lx,
    nominal: axis && !axis.numeric ? axis.labels : null,
    along: s.x == data.along,
    legend: s.pick == "each",
    hollow: (grids.includes(s.x) ? "beyond the axis, or " : "") + "at the edge of its grid",
    between: {quartiles: "quartiles", range: "range", error: "± standard error"}[s.spread] || null,
    columns: s.with || panels.length == 4 ? 2 : {1: 3, 2: 2, 3: 3, 4: 2}[s.y.length],
    title: `${words[0].toUpperCase()}${words.slice(1)} against ${/^[a-z]{3}/.test(settingOf(s.x)) ? "the " : ""}${settingOf(s.x)}`,
    note,
  };
}
// At which iteration values are taken that no axis of iterations tells of, and how many there may be.
function whenTaken(s) {
  const {steps, stop_at: target} = toldOf(s.r, s.e),
    ends = s.x != "step" && s.y.some(m => metricOf(m).at_end);
  if (ends && target != null)
    return `values are of each run’s end: runs end soon after the subspace distance reaches ${target}, at other iterations for each method, or after ${steps}`;
  if (steps == null) return "";
  return `${ends ? "after" : "at most"} ${steps} iteration${steps > 1 ? "s" : ""}`;
}
const fitting = (columns, width) => Math.max(1, Math.min(columns, Math.floor(width / 290)));

const plainPanel = panel => ({...panel, title: plain(panel.title), ylabel: plain(panel.ylabel)});

let turn = 0;
async function redraw() {
  const mine = ++turn,
    started = performance.now(),
    host = $("#chart");
  host.setAttribute("aria-busy", "true");
  const [panels, notes] = await panelsOf(STATE);
  if (mine != turn) return;
  PANELS = panels;
  VIEW = viewOf(STATE, panels);
  $("#charttitle").replaceChildren(...subscripted(VIEW.title));
  $("#chartnote").replaceChildren(...subscripted(VIEW.note));
  const nothing =
    "There is nothing to draw: switch a method on, hold other settings, or choose another quantity.";
  $("#said").replaceChildren(...subscripted([panels.length ? "" : nothing, ...notes].join(" ").trim()));
  const width = host.clientWidth,
    view = {...VIEW, columns: fitting(VIEW.columns, width)},
    canvas = STATE.spread == "seeds"; // whose lines are too many for elements; it has no subscripts
  if (panels.length)
    await drawInto(
      host,
      canvas
        ? specification({...view, xlabel: plain(view.xlabel)}, panels.map(plainPanel), width, false)
        : specification(view, panels, width, false),
      canvas ? "canvas" : "svg",
    );
  else host.replaceChildren();
  if (mine != turn) return;
  if ($("#drawn").open) fillTable();
  host.setAttribute("aria-busy", "false");
  host.dataset.milliseconds = Math.round(performance.now() - started);
}
async function explore(asked) {
  STATE = await completeState(asked);
  writeAddress("explore", addressOf(STATE));
  controls(STATE);
  await redraw();
}
// Changes some of the state; what depends on it falls back to what the experiment is about.
function change(changes) {
  const asked = Object.fromEntries(
    Object.entries({...addressOf(STATE), ...changes})
      .filter(([, value]) => value != null)
      .map(([key, value]) => [
        key,
        Array.isArray(value) ? value.map(encodeURIComponent).join(",") : encodeURIComponent(value),
      ]),
  );
  return explore(asked);
}
