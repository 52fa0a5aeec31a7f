// The legend as a view of its own: a line with its marker for each series, where no buttons show them, and
// what else is drawn. Vega-Lite's own leaves lines out, since a series has marks of several kinds.
const PALE = {width: 7, opacity: 0.3}; // of a line of theory, wide enough to be seen under another
const THEORY = {label: "theory", color: "#55606b", dash: [1, 0], ...PALE};
const HOLLOW = {color: "#55606b", shape: "circle"};

function legendSpecification(view, panels, width, forFile) {
  const drawn = new Set(panels.flatMap(panel => panel.rows.map(row => row.series)));
  const entries = [
    ...(forFile || view.legend
      ? view.series
          .filter(one => drawn.has(one.label))
          .map(one => ({
            ...one,
            dash: one.dash.length ? one.dash : [1, 0],
            width: 1.7,
            opacity: 1,
            filled: true,
          }))
      : []),
    ...(panels.some(panel => panel.predicted.length) ? [THEORY] : []),
    ...(panels.some(panel => panel.rows.some(row => row.hollow))
      ? [{...HOLLOW, label: `hollow: ${view.hollow}`}]
      : []),
  ];
  if (!entries.length) return null;
  let x = 0,
    y = 9;
  const placed = entries.map(one => {
    const wide = 60 + 6.6 * one.label.length;
    if (x && x + wide > width) [x, y] = [0, y + 19];
    x += wide;
    return {...one, x: x - wide, y};
  });
  const lines = placed.filter(one => one.dash),
    markers = placed.filter(one => one.shape);
  const layer = [
    ...lines.map(one => ({
      data: {values: [one]},
      mark: {
        type: "rule",
        color: one.color,
        strokeDash: one.dash,
        strokeWidth: one.width,
        opacity: one.opacity,
        aria: false,
      },
      encoding: {x: {value: one.x}, x2: {value: one.x + 34}, y: {value: one.y}},
    })),
    ...markers.map(one => ({
      data: {values: [one]},
      mark: {
        type: "point",
        shape: one.shape,
        size: 42,
        strokeWidth: 1.4,
        opacity: 1,
        color: one.color,
        filled: !!one.filled,
        aria: false,
      },
      encoding: {x: {value: one.x + 17}, y: {value: one.y}},
    })),
    {
      data: {values: placed},
      mark: {type: "text", align: "left", baseline: "middle", fontSize: 12, color: "#1b1f24"},
      encoding: {
        x: {field: "x", type: "quantitative", scale: null, axis: null},
        y: {field: "y", type: "quantitative", scale: null, axis: null},
        xOffset: {value: 41},
        text: {field: "label"},
      },
    },
  ];
  return {width, height: y + 9, layer};
}
