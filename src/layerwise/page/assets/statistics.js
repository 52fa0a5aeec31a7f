// Statistics over seeds, as layerwise.results.selection.bands has them: a value that is missing counts as
// infinite, and quantiles are interpolated; between a finite and an infinite value one is infinite.
function ordered(values) {
  return values.map(value => (value == null ? Infinity : value)).sort((a, b) => a - b);
}
function quantileOf(sorted, q) {
  const place = (sorted.length - 1) * q,
    below = Math.floor(place + 1e-12),
    share = place - below;
  if (share <= 1e-12) return sorted[below];
  const [first, second] = sorted.slice(below, below + 2);
  return Number.isFinite(second) ? first + share * (second - first) : Infinity;
}

// The middle and its spread: {middle, low, high, seeds, lost: infinite ones, missing: undefined ones}.
function over(values, spread) {
  const lost = values.filter(value => value == Infinity).length;
  const missing = values.filter(value => value == null).length;
  const counts = {seeds: values.length, lost, missing};
  if (spread == "error") return {...counts, ...meanOf(values, lost, missing)};
  const sorted = ordered(values),
    middle = quantileOf(sorted, 0.5);
  const [low, high] =
    spread == "range" ? [sorted[0], sorted.at(-1)] : [quantileOf(sorted, 0.25), quantileOf(sorted, 0.75)];
  return {...counts, middle: middle == Infinity && missing > lost ? null : middle, low, high};
}

// Mean with standard errors; one lost seed makes the mean infinite, so that none is averaged away.
function meanOf(values, lost, missing) {
  if (lost) return {middle: Infinity, low: Infinity, high: Infinity};
  if (missing) return {middle: null, low: null, high: null};
  const n = values.length,
    middle = values.reduce((a, b) => a + b, 0) / n;
  const error = n > 1 ? Math.sqrt(values.reduce((sum, v) => sum + (v - middle) ** 2, 0) / (n - 1) / n) : 0;
  return {middle, low: middle - error, high: middle + error};
}
// In a menu, in a caption, and in a table where that says more.
const SPREADS = {
  quartiles: ["quartiles", "medians with quartiles"],
  range: ["range", "medians with the range"],
  error: ["mean", "means with standard errors"],
  seeds: ["every seed", "medians and every seed", "values of each seed; medians with quartiles"],
  none: ["no spread", "medians", "medians with quartiles"],
};

// A ratio seed by seed; undefined where neither side is a number.
function ratios(values, base) {
  return values.map((value, seed) => {
    const ratio = value == null || base[seed] == null ? NaN : value / base[seed];
    return Number.isNaN(ratio) ? null : ratio;
  });
}
