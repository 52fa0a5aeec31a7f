// Panels as one specification of Vega-Lite, for the page and for files, which carry title and legend.
const PLAIN =
  "datum.value != 0 && (abs(datum.value) >= 1e5 || abs(datum.value) < 1e-3) ? format(datum.value, '.0e') : format(datum.value, '~g')";
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
const TIP = {series: "method", at: null, said: "value", between: null, count: "seeds", choice: "choice"};

function specification(view, panels, width, forFile) {
  const series = view.series,
    names = series.map(one => one.label);
  const channel = range => ({
    field: "series",
    type: "nominal",
    scale: {domain: names, range: series.map(range)},
    legend: null,
  });
  const channels = {
    color: channel(one => one.color),
    strokeDash: channel(one => (one.dash.length ? one.dash : [1, 0])),
    shape: channel(one => one.shape),
  };
  const columns = Math.min(view.columns, panels.length);
  const each = Math.floor((width - 24) / columns) - 74,
    high = Math.round(Math.max(250, Math.min(340, each * 0.74)));
  const size = {width: Math.max(170, Math.min(columns == 1 ? 1200 : 640, each)), height: high};
  const legend = legendSpecification(view, panels, width - 24, forFile),
    drawn = panels.map((panel, i) => panelSpecification(panel, i, view, channels, size, forFile));
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: `${view.title}. ${view.note}`,
    background: "#ffffff",
    padding: forFile ? 14 : 2,
    title: forFile
      ? {
          text: view.title,
          subtitle: wrapped(view.note, Math.max(60, width / 7)),
          anchor: "start",
          fontSize: 15,
          subtitleColor: "#4d5661",
          subtitlePadding: 5,
          offset: 14,
        }
      : undefined,
    vconcat: [legend, {concat: drawn, columns, spacing: 18}].filter(Boolean),
    spacing: 14,
    resolve: {scale: {color: "shared", strokeDash: "shared", shape: "shared"}},
    config: {
      font: FONT,
      view: {stroke: null},
      axis: {
        gridColor: "#e9ecef",
        domainColor: "#55606b",
        tickColor: "#9aa4b0",
        labelFontSize: 11,
        titleFontSize: 12,
        titleFontWeight: 400,
        labelColor: "#39424d",
        titlePadding: 6,
        labelOverlap: true,
      },
    },
  };
}
function panelSpecification(panel, i, view, {color, strokeDash, shape}, size, forFile) {
  const scale = (log, domain) => ({
    type: log ? "log" : "linear",
    domain,
    nice: false,
    ...(log ? {} : {zero: false}),
  });
  const x = view.nominal
    ? {
        field: "x",
        type: "nominal",
        title: view.xlabel,
        sort: view.nominal,
        scale: {type: "point"},
        axis: {labelAngle: 0, grid: true, labelLimit: Math.max(60, size.width / view.nominal.length)},
      }
    : {
        field: "x",
        type: "quantitative",
        title: view.xlabel,
        scale: scale(view.xlog, panel.xdomain),
        axis: {values: panel.xticks, labelExpr: PLAIN},
      };
  const y = field => ({
    field,
    type: "quantitative",
    title: panel.ylabel,
    scale: scale(panel.log, panel.domain),
    axis: {values: panel.ticks, labelExpr: PLAIN},
    stack: null,
  });
  const values = list => ({data: {values: list}});
  const tooltip = Object.entries({...TIP, at: view.xlabel, between: view.between})
    .filter(([, title]) => title)
    .map(([field, title]) => ({field, type: "nominal", title}));
  const spread = panel.rows.some(row => row.low != null);
  const layer = [
    panel.one != null && {
      ...values([{y: panel.one}]),
      mark: {type: "rule", color: "#55606b", strokeDash: [4, 3], aria: false},
      encoding: {y: y("y")},
    },
    ...panel.lanes.flatMap(lane => [
      {
        ...values([lane]),
        mark: {type: "rect", color: "#eef0f3", aria: false},
        encoding: {y: y("from"), y2: {field: "to"}},
      },
      {
        ...values([{y: lane.to, word: lane.word}]),
        mark: {
          type: "text",
          align: "left",
          baseline: "top",
          dx: 4,
          dy: 3,
          fontSize: 10.5,
          color: "#4d5661",
        },
        encoding: {y: y("y"), x: {value: 0}, text: {field: "word"}},
      },
    ]),
    spread && {
      transform: [{filter: "datum.low != null"}],
      mark: view.along
        ? {type: "area", opacity: 0.13, clip: true, aria: false}
        : {type: "rule", strokeWidth: 1, clip: true, aria: false},
      encoding: {x, y: y("low"), y2: {field: "high"}, color},
    },
    panel.seeds.length && {
      ...values(panel.seeds),
      mark: {type: "line", opacity: 0.28, strokeWidth: 0.8, clip: true, aria: false},
      encoding: {x, y: y("y"), color, detail: {field: "seed"}},
    },
    panel.predicted.length && {
      ...values(panel.predicted),
      mark: {type: "line", strokeWidth: PALE.width, opacity: PALE.opacity, clip: true, aria: false},
      encoding: {
        x,
        y: y("y"),
        color,
        detail: {field: "series"},
        order: {field: "order", type: "quantitative"},
      },
    },
    {
      mark: {type: "line", strokeWidth: 1.7, clip: true, aria: false},
      encoding: {
        x,
        y: y("y"),
        color,
        strokeDash,
        detail: {field: "segment"},
        order: {field: "order", type: "quantitative"},
      },
    },
    {
      transform: [{filter: "datum.mark"}],
      mark: {type: "point", size: 38, filled: true, opacity: 1, clip: true},
      encoding: {x, y: y("y"), color, shape, description: {field: "spoken"}},
    },
    panel.rows.some(row => row.hollow) && {
      transform: [{filter: "datum.hollow"}],
      mark: {type: "point", size: 12, filled: true, opacity: 1, color: "#ffffff", clip: true, aria: false},
      encoding: {x, y: y("y"), shape},
    },
    !forFile && {
      params: [
        {
          name: "near" + i,
          select: {type: "point", on: "pointerover", nearest: true, clear: "pointerout", toggle: false},
        },
      ],
      mark: {type: "point", size: 90, strokeWidth: 2, filled: false, clip: true, aria: false},
      encoding: {
        x,
        y: y("y"),
        color,
        tooltip,
        opacity: {condition: {param: "near" + i, empty: false, value: 1}, value: 0},
      },
    },
  ].filter(Boolean);
  const rows = panel.rows.map(({drawn, ...row}) => ({
    ...row,
    spoken: `${panel.title ? panel.title + ": " : ""}${row.series}, ${view.xlabel} ${row.at}, ${panel.ylabel} ${row.said}`,
  }));
  return {
    title: {
      text: panel.title || "",
      fontSize: 12.5,
      fontWeight: 600,
      anchor: "start",
      frame: "group",
      offset: 6,
    },
    ...size,
    ...values(rows),
    layer,
  };
}
function wrapped(text, most) {
  return text
    .split("; ")
    .reduce((lines, part) => {
      const last = lines.at(-1),
        longer = last ? `${last}; ${part}` : part;
      return last == null || longer.length > most ? [...lines, part] : [...lines.slice(0, -1), longer];
    }, [])
    .map((line, i, lines) => (i + 1 < lines.length ? line + ";" : line));
}

// The areas that find the point nearest to the pointer are for nobody who listens.
function silenced(spec) {
  for (const mark of spec.marks || []) {
    if (mark.name?.endsWith("_voronoi")) mark.aria = false;
    silenced(mark);
  }
  return spec;
}
function tooltipTable(value, sanitize) {
  const rows = Object.entries(value).map(([key, said]) => {
    const name = sanitize(key).replace(LOWERED, "$1<sub>$2</sub>");
    return `<tr><td class="key">${name}</td><td class="value">${sanitize(said)}</td></tr>`;
  });
  return `<table><tbody>${rows.join("")}</tbody></table>`;
}
const EMBED = {
  patch: silenced,
  mode: "vega-lite",
  ast: true,
  actions: false,
  defaultStyle: false,
  tooltip: {theme: "custom", disableDefaultStyle: true, formatTooltip: tooltipTable},
};
const made = new Map(); // what each place shows, to be ended before it shows another
async function drawInto(host, spec, renderer = "svg") {
  const result = await vegaEmbed(host, spec, {...EMBED, renderer});
  made.get(host)?.finalize();
  made.set(host, result);
  lowerIn(host);
  return result;
}
