// The explorer: what to draw, who is drawn, and drawing it.
function menu(key, label, options, value) {
  const list = element(
    "select",
    {id: "c-" + key, "data-key": key},
    ...options.map(([v, text]) =>
      element("option", {value: v, selected: String(v) == String(value)}, plain(text)),
    ),
  );
  return element("div", {}, element("label", {for: "c-" + key}, ...subscripted(label)), list);
}
function choice(type, name, value, label, checked) {
  const id = `c-${name}-${value}`;
  return element(
    "label",
    {for: id},
    element("input", {type, id, name, value, checked}),
    element("span", {}, ...subscripted(label)),
  );
}
function group(label, ...inside) {
  return element("fieldset", {}, element("legend", {}, label), element("div", {class: "row"}, ...inside));
}
function controls(s) {
  const data = s.data,
    folder = META.folders.find(f => f.name == s.r),
    free = data.axes.filter(axis => axis.key != s.x);
  const others = META.folders.filter(f => f.name != s.r && f.experiments.some(e => e.name == s.e));
  const held = Object.entries(s.hold).map(([key, value]) => {
    const axis = axisOf(data, key);
    return menu(
      "at_" + key,
      `${axis.label} held at`,
      axis.values.map((v, i) => [v, axis.labels[i]]),
      value,
    );
  });
  const focused = document.activeElement?.id;
  $("#controls").replaceChildren(
    ...[
      META.folders.length > 1 &&
        menu(
          "r",
          "Results",
          META.folders.map(f => [f.name, f.name]),
          s.r,
        ),
      menu(
        "e",
        "Experiment",
        folder.experiments.map(e => [e.name, spaced(e.name)]),
        s.e,
      ),
      element("p", {class: "note"}, ...subscripted(toldOf(s.r, s.e).question)),
      menu(
        "x",
        "Horizontal",
        horizontals(data).map(key => [key, settingOf(key)]),
        s.x,
      ),
      group(
        "Vertical (up to four)",
        ...measured(data, s.x)
          .filter(m => metricOf(m).listed || s.y.includes(m))
          .map(m => choice("checkbox", "y", m, metricOf(m).label, s.y.includes(m))),
      ),
      free.length &&
        menu(
          "rows",
          "A panel for each",
          [["none", "nothing"], ...free.map(axis => [axis.key, axis.label])],
          s.rows,
        ),
      ...held,
      picks(data, s.x).length > 1 && menu("pick", "Step size and damping", picks(data, s.x), s.pick),
      menu(
        "base",
        "Relative to",
        [
          ["", "nothing: values as measured"],
          ...data.methods.map(m => [m, `${lookOf(m).label}, seed by seed`]),
        ],
        s.base,
      ),
      menu(
        "spread",
        "Over seeds",
        Object.entries(SPREADS).map(([key, [word]]) => [key, word]),
        s.spread,
      ),
      group(
        "Axes",
        choice("checkbox", "lx", 1, "log x", !!s.lx),
        choice("checkbox", "ly", 1, "log y", !!s.ly),
        choice("checkbox", "share", 1, "same y range", !!s.share),
      ),
      others.length &&
        menu("with", "Beside it", [["", "nothing"], ...others.map(f => [f.name, f.name])], s.with),
    ].filter(Boolean),
  );
  $("#methods").replaceChildren(
    ...Object.keys(META.looks)
      .filter(m => data.methods.includes(m))
      .map(methodButton),
    ...["all", "none"].map(set =>
      element("button", {type: "button", class: "set", id: "m-" + set, "data-set": set}, set),
    ),
  );
  if (focused) document.getElementById(focused)?.focus();
}
function methodButton(method) {
  const look = lookOf(method),
    on = !STATE.off.includes(method);
  const glyph = element(
    "svg",
    {viewBox: "-15 -7 30 14", "aria-hidden": "true"},
    element("line", {
      x1: -15,
      x2: 15,
      y1: 0,
      y2: 0,
      stroke: look.color,
      "stroke-width": 2,
      "stroke-dasharray": look.dash.join(" ") || null,
    }),
    element("path", {d: look.shape, transform: "scale(4.2)", fill: look.color}),
  );
  return element(
    "button",
    {
      type: "button",
      class: "method",
      id: "m-" + method,
      "data-method": method,
      "aria-pressed": String(on),
      title: "Click: on or off. Double click: this one alone",
    },
    glyph,
    look.label,
  );
}

const forgetHeld = () => Object.fromEntries(Object.keys(STATE.hold).map(key => ["at_" + key, null]));
const DEPENDENT = {
  r: () => ({with: null}),
  e: () => ({
    ...forgetHeld(),
    x: null,
    y: null,
    rows: null,
    off: null,
    pick: null,
    spread: null,
    base: null,
    lx: null,
    ly: null,
  }),
  x: () => ({...forgetHeld(), rows: null, lx: null}),
  rows: forgetHeld,
  base: () => ({ly: null}),
};
$("#controls").addEventListener("submit", event => event.preventDefault());
$("#controls").addEventListener("change", ({target}) => {
  const key = target.dataset.key || target.name;
  if (key == "y") {
    const on = $$("#controls [name=y]:checked").map(input => input.value);
    change({y: on.length ? on.slice(0, 4) : [target.value], ly: null});
  } else if (target.type == "checkbox") change({[key]: +target.checked});
  else change({...(DEPENDENT[key]?.() || {}), [key]: target.value});
});
// The second of two quick clicks is told by its count: the first one has made the buttons anew.
$("#methods").addEventListener("click", ({target, detail}) => {
  const button = target.closest("button"),
    method = button?.dataset.method;
  if (method && detail > 1) change({off: STATE.data.methods.filter(m => m != method)});
  else if (method)
    change({
      off: STATE.off.includes(method) ? STATE.off.filter(m => m != method) : [...STATE.off, method],
    });
  else if (button) change({off: button.dataset.set == "all" ? [] : STATE.data.methods});
});
