// What leaves the page: pictures with title and legend, tables with their settings, addresses.
const drawnRows = () => PANELS.flatMap(panel => panel.rows.map(row => row.drawn));

// Each row says of what it is, so that a table makes sense alone.
function csvOf(rows) {
  const settings = {
    experiment: STATE.e,
    ...STATE.data.fixed,
    ...STATE.hold,
    ...(STATE.base ? {relative_to: STATE.base} : {}),
    statistic: SPREADS[STATE.spread][1],
  };
  const all = rows.map(row => ({...row, label: lookOf(row.method).label, ...settings})),
    keys = Object.keys(all[0] || {});
  const cell = value =>
    value == null
      ? ""
      : value === Infinity
        ? "inf"
        : /[",\n]/.test(value)
          ? `"${String(value).replaceAll('"', '""')}"`
          : String(value);
  return [keys.join(","), ...all.map(row => keys.map(key => cell(row[key])).join(","))].join("\n") + "\n";
}
function fillTable() {
  const keys = [
    "panel",
    "metric",
    "method",
    STATE.x,
    "low",
    "middle",
    "high",
    "seeds",
    "lost",
    "step_size",
    "damping",
  ];
  const head = element(
    "tr",
    {},
    ...keys.map(key => element("th", {scope: "col"}, metricOf(settingOf(key)).label)),
  );
  const cell = (row, key) =>
    key == "method"
      ? lookOf(row.method).label
      : key == "metric"
        ? metricOf(row.metric).label
        : shown(row[key]);
  const body = drawnRows()
    .slice(0, 2000)
    .map(row => element("tr", {}, ...keys.map(key => element("td", {}, cell(row, key)))));
  $("#drawn .scroll").replaceChildren(
    element("table", {class: "grid"}, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}
async function pictureOf(kind) {
  const host = element("div"),
    width = Math.max(820, $("#chart").clientWidth);
  const {view} = await vegaEmbed(host, specification(VIEW, PANELS, width, true), {
    ...EMBED,
    renderer: "svg",
  });
  if (kind == "svg") return new Blob([await view.toSVG()], {type: "image/svg+xml"});
  const canvas = await view.toCanvas(2.5);
  return new Promise(done => canvas.toBlob(done, "image/png"));
}
function save(blob, file) {
  const link = element("a", {href: URL.createObjectURL(blob), download: file});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
async function copyAddress(button) {
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "It is in the address bar";
  }
  setTimeout(() => {
    button.textContent = "Copy link";
  }, 2000);
}
const ACTIONS = {
  png: async () => save(await pictureOf("png"), `${STATE.e}.png`),
  svg: async () => save(await pictureOf("svg"), `${STATE.e}.svg`),
  print: () => print(),
  csv: () => save(new Blob([csvOf(drawnRows())], {type: "text/csv"}), `${STATE.e}.csv`),
  link: copyAddress,
  reset: () => explore({r: encodeURIComponent(STATE.r), e: STATE.e}),
};
$("#drawn").addEventListener("toggle", () => {
  if ($("#drawn").open && STATE) fillTable();
});
