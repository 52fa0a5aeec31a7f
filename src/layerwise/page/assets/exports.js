// What leaves the page: pictures with title and legend, tables with their settings, addresses.
const drawnRows = () => PANELS.flatMap(panel => panel.rows.map(row => row.drawn));

// Where every seed is drawn, a row for each.
function bySeed({values, ...row}) {
  return values ? values.map((value, i) => ({...row, seed: STATE.data.seeds[i], value})) : [row];
}
// Each row says of what it is, so that a table makes sense alone.
function csvOf(rows) {
  const settings = {
    experiment: STATE.e,
    ...STATE.data.fixed,
    ...STATE.hold,
    ...(STATE.base ? {relative_to: STATE.base} : {}),
    statistic: SPREADS[STATE.spread][2] || SPREADS[STATE.spread][1],
    most_iterations: toldOf(STATE.r, STATE.e).steps,
    commit: META.folders.find(f => f.name == STATE.r).commit,
  };
  const all = rows.flatMap(bySeed).map(row => ({...row, label: lookOf(row.method).label, ...settings})),
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
    ...keys.map(key => element("th", {scope: "col"}, ...subscripted(metricOf(settingOf(key)).label))),
  );
  const cell = (row, key) =>
    key == "method"
      ? lookOf(row.method).label
      : key == "metric"
        ? metricOf(row.metric).label
        : shown(row[key]);
  const body = drawnRows()
    .slice(0, 2000)
    .map(row => element("tr", {}, ...keys.map(key => element("td", {}, ...subscripted(cell(row, key))))));
  $("#drawn .scroll").replaceChildren(
    element("table", {class: "grid"}, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}
// The picture as SVG text, and as PNG made of that.
async function svgOf() {
  const width = Math.max(820, $("#chart").clientWidth),
    view = {...VIEW, note: `${VIEW.note}; ${madeBy()}`};
  const made = await vegaEmbed(element("div"), specification(view, PANELS, width, true), EMBED);
  const picture = new DOMParser().parseFromString(await made.view.toSVG(), "image/svg+xml");
  lowerIn(picture);
  return new XMLSerializer().serializeToString(picture);
}
function madeBy() {
  const {commit} = META.folders.find(f => f.name == STATE.r);
  return "layerwise" + (commit ? `, commit ${commit.slice(0, 10)}` : "");
}
async function pngOf(text, scale = 2.5) {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = element("canvas", {width: image.width * scale, height: image.height * scale});
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
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
    button.textContent = "See address";
  }
  setTimeout(() => {
    button.textContent = "Copy link";
  }, 2000);
}
const ACTIONS = {
  png: async () => save(await pngOf(await svgOf()), `${STATE.e}.png`),
  svg: async () => save(new Blob([await svgOf()], {type: "image/svg+xml"}), `${STATE.e}.svg`),
  print: () => print(),
  csv: () => save(new Blob([csvOf(drawnRows())], {type: "text/csv"}), `${STATE.e}.csv`),
  link: copyAddress,
  reset: () => explore({r: encodeURIComponent(STATE.r), e: STATE.e}),
};
$("#drawn").addEventListener("toggle", () => {
  if ($("#drawn").open && STATE) fillTable();
});
