// The forest: which claims are shown, and what decided the one that is open.
const text = key => asked => (asked[key] ? decode(asked[key]) : "");
const [openOf, verdictOf, groupOf] = ["open", "verdict", "group"].map(text);

async function showClaims(asked, jump) {
  const open = openOf(asked),
    verdict = verdictOf(asked),
    group = groupOf(asked),
    rows = $$("#forest tr.claim");
  let count = 0;
  for (const row of rows) {
    const fits = (!verdict || row.dataset.verdict == verdict) && (!group || row.dataset.group == group),
      opened = row.dataset.claim == open;
    row.hidden = !fits && !opened;
    count += fits;
    row.classList.toggle("opened", opened);
    $(".open", row).setAttribute("aria-expanded", String(opened));
    row.nextElementSibling.classList.toggle("opened", opened);
  }
  $$("#forest tr.group").forEach(row => {
    row.hidden = !!group && row.dataset.group != group;
  });
  $$(".filter").forEach(button =>
    button.setAttribute(
      "aria-pressed",
      String(
        (asked[button.dataset.filter] ? decode(asked[button.dataset.filter]) : "") == button.dataset.value,
      ),
    ),
  );
  if ($("#shown")) $("#shown").textContent = `${count} of ${rows.length} statements`;
  const row = rows.find(one => one.dataset.claim == open);
  if (!row) return;
  if (jump) row.scrollIntoView({block: "center"});
  await drawResamples(row);
}
async function drawResamples(row) {
  const host = $(".resamples", row.nextElementSibling);
  if (host.dataset.drawn) return;
  host.dataset.drawn = "once";
  const parts = (await unpack("data-claims"))[row.dataset.claim]?.parts || [];
  for (const part of parts.filter(one => one.counts.length || one.value != null)) {
    const box = host.appendChild(element("div", {class: "resample"}));
    await drawInto(
      box,
      resampleSpecification(part, Math.min(560, Math.max(240, host.clientWidth - 20)), part.verdict),
    );
    if (part.lost) {
      const words = `${part.lost} of ${part.resamples} resamples have no finite value and are not in the bars.`;
      host.append(element("p", {class: "note"}, words));
    }
  }
  const words =
    "Bars: the statistic over resamples of the seeds, shifted where its interval is; " +
    "line: the 95 % interval; dot: on all seeds.";
  if (host.childElementCount) host.append(element("p", {class: "note"}, words));
}
// Resamples, interval and bounds on the statistic's own axis.
const TONES = {reproduced: "#00664b", partly: "#8a5a00", "not reproduced": "#a63a00"};
function resampleSpecification(part, width, verdict) {
  const ends = [
    ...part.edges,
    part.value,
    part.low,
    part.high,
    ...part.sides.flatMap(side => [side.full, side.weaker]),
  ].filter(value => value != null && (!part.log || value > 0));
  const [from, to] = [Math.min(...ends), Math.max(...ends)],
    pad = part.log ? (to / from) ** 0.06 || 1.1 : (to - from) * 0.06 || Math.abs(to) * 0.1 || 1;
  const domain = part.log ? [from / pad, to * pad] : [from - pad, to + pad];
  const x = field => ({
    field,
    type: "quantitative",
    title: part.quantity,
    scale: {type: part.log ? "log" : "linear", domain, nice: false, ...(part.log ? {} : {zero: false})},
    axis: {labelExpr: PLAIN, grid: false, titleLimit: width},
  });
  const tone = TONES[verdict] || "#55606b",
    zone = (side, near, far, color) => ({
      a: side.sign > 0 ? near : far,
      b: side.sign > 0 ? far : near,
      color,
    });
  const zones = part.sides.flatMap(side => [
    zone(side, side.weaker, side.full, "#fbeccb"),
    ...(part.sides.length == 1 ? [zone(side, side.full, domain[side.sign > 0 ? 1 : 0], "#d9efe6")] : []),
  ]);
  if (part.sides.length == 2) zones.push({a: part.sides[0].full, b: part.sides[1].full, color: "#d9efe6"});
  const bounds = part.sides.flatMap(side => [
    {at: side.full, word: "bound"},
    {at: side.weaker, word: "weaker"},
  ]);
  const bars = part.counts.map((count, i) => ({a: part.edges[i], b: part.edges[i + 1], count}));
  const y = {field: "count", type: "quantitative", axis: null},
    values = list => ({data: {values: list}});
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: width - 20,
    height: 96,
    description: `Resamples of: ${part.quantity}`,
    padding: 4,
    background: "#ffffff",
    layer: [
      {
        ...values(zones),
        mark: {type: "rect", clip: true, aria: false},
        encoding: {x: x("a"), x2: {field: "b"}, color: {field: "color", scale: null}},
      },
      ...(bars.length
        ? [
            {
              ...values(bars),
              mark: {type: "rect", color: "#8b95a1", clip: true, aria: false},
              encoding: {x: x("a"), x2: {field: "b"}, y, y2: {datum: 0}},
            },
          ]
        : []),
      {
        ...values(bounds),
        mark: {type: "rule", strokeDash: [3, 2], color: "#55606b"},
        encoding: {x: x("at")},
      },
      {
        ...values(bounds),
        mark: {type: "text", align: "left", dx: 3, baseline: "top", fontSize: 10.5, color: "#39424d"},
        encoding: {x: x("at"), y: {value: 1}, text: {field: "word"}},
      },
      ...(part.low != null && part.high != null
        ? [
            {
              ...values([part]),
              mark: {type: "rule", strokeWidth: 4, color: tone},
              encoding: {x: x("low"), x2: {field: "high"}, y: {value: 92}},
            },
          ]
        : []),
      ...(part.value != null
        ? [
            {
              ...values([part]),
              mark: {type: "point", filled: true, size: 90, color: tone, opacity: 1, stroke: "#ffffff"},
              encoding: {x: x("value"), y: {value: 92}},
            },
          ]
        : []),
    ],
    config: {
      font: FONT,
      view: {stroke: null},
      axis: {domainColor: "#55606b", labelFontSize: 11, titleFontSize: 11.5, titleFontWeight: 400},
    },
  };
}
document.addEventListener("click", async ({target}) => {
  const filter = target.closest(".filter"),
    row = target.closest("#forest tr.claim"),
    [, asked] = readAddress();
  const current = {open: openOf(asked), verdict: verdictOf(asked), group: groupOf(asked)};
  if (filter) current[filter.dataset.filter] = filter.dataset.value;
  else if (row) current.open = current.open == row.dataset.claim ? "" : row.dataset.claim;
  else if (target.closest("[data-do=seeds]")) {
    const name = target.closest("tr").dataset.for;
    return save(
      new Blob([(await unpack("data-claims"))[name].seeds], {type: "text/csv"}),
      `${name.replaceAll(" ", "_")}.csv`,
    );
  } else return;
  writeAddress("claims", current);
  await showClaims(readAddress()[1], false);
});
