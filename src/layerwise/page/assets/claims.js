// The forest: which claims are shown, and what decided the one that is open.
const text = key => asked => (asked[key] ? decode(asked[key]) : "");
const [openOf, verdictOf, groupOf] = ["open", "verdict", "group"].map(text);

function showClaims(asked, jump) {
  const open = openOf(asked),
    verdict = verdictOf(asked),
    group = groupOf(asked),
    rows = $$("#forest tr.claim");
  const fits = row =>
    (!verdict || row.dataset.verdict == verdict) && (!group || row.dataset.group == group);
  for (const row of rows) {
    const opened = row.dataset.claim == open;
    row.hidden = !fits(row) && !opened;
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
  const seen = rows.filter(fits),
    ours = seen.filter(row => row.dataset.group == "ours").length;
  if ($("#shown"))
    $("#shown").textContent =
      `${seen.length} of ${rows.length}: ${seen.length - ours} of the paper’s, ${ours} of ours`;
  if (jump) rows.find(one => one.dataset.claim == open)?.scrollIntoView({block: "center"});
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
      new Blob([(await unpack("data-claims"))[name]], {type: "text/csv"}),
      `${name.replaceAll(" ", "_")}.csv`,
    );
  } else return;
  writeAddress("claims", current);
  showClaims(readAddress()[1], false);
});
