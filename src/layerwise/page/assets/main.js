// From an address to a view.
async function route(jump) {
  let [view, asked] = readAddress();
  const figure = view.startsWith("figure-") && document.getElementById(view);
  if (figure) view = "figures";
  if (!$(`section[data-view="${CSS.escape(view)}"]`)) view = "claims";
  for (const section of $$("section[data-view]"))
    section.classList.toggle("shown", section.dataset.view == view);
  for (const link of $$("nav a"))
    link.getAttribute("href") == "#" + view
      ? link.setAttribute("aria-current", "page")
      : link.removeAttribute("aria-current");
  document.title = `${$(`section[data-view="${view}"] h1`).textContent} – layerwise`;
  document.body.dataset.view = view;
  if (view == "claims") showClaims(asked, jump);
  if (view == "explore") await explore(asked);
  if (figure) figure.scrollIntoView();
  else if (jump && !(view == "claims" && asked.open)) scrollTo(0, 0);
}
addEventListener("hashchange", () => route(true));
document.addEventListener("click", ({target}) => {
  const button = target.closest("[data-do]");
  if (button && ACTIONS[button.dataset.do]) ACTIONS[button.dataset.do](button);
});
// On a narrow screen the choices are folded, so that the chart is seen first.
$("#choices").open = innerWidth > 900;
let width = 0;
new ResizeObserver(([{contentRect}]) => {
  if (!STATE || !contentRect.width || Math.abs(contentRect.width - width) < 40) return;
  const first = !width;
  width = contentRect.width;
  if (!first) redraw();
}).observe($("#chart"));
route(true).then(() => {
  document.body.dataset.ready = Math.round(performance.now());
});
