// Statistics over seeds, as layerwise.results.selection.bands has them: a value that is missing counts as
// infinite, and quartiles are values of seeds, those next to the middle from outside.
function ordered(values) {
  return values.map(value => (value == null ? Infinity : value)).sort((a, b) => a - b);
}
const lowerOf = (sorted, q) => sorted[Math.floor((sorted.length - 1) * q + 1e-9)];
const higherOf = (sorted, q) => sorted[Math.ceil((sorted.length - 1) * q - 1e-9)];

// The middle and its spread: {middle, low, high, seeds, lost: infinite ones, missing: undefined ones}.
function over(values, spread) {
  const lost = values.filter(value => value == Infinity).length;
  const missing = values.filter(value => value == null).length;
  const counts = {seeds: values.length, lost, missing};
  if (spread == "error") return {...counts, ...meanOf(values, lost, missing)};
  const sorted = ordered(values),
    middle = higherOf(sorted, 0.5);
  const [low, high] =
    spread == "range" ? [sorted[0], sorted.at(-1)] : [lowerOf(sorted, 0.25), higherOf(sorted, 0.75)];
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
const SPREADS = {
  quartiles: ["quartiles", "medians with quartiles"],
  range: ["range", "medians with the range"],
  error: ["mean", "means with standard errors"],
  seeds: ["every seed", "medians and every seed"],
  none: ["no spread", "medians"],
};

// A ratio seed by seed; undefined where neither side is a number.
function ratios(values, base) {
  return values.map((value, seed) => {
    const ratio = value == null || base[seed] == null ? NaN : value / base[seed];
    return Number.isNaN(ratio) ? null : ratio;
  });
}
