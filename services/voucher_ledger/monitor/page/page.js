"use strict";
// Asks for the state each second and shows it. Nothing is kept here: when the monitor restarts, the next answer is whole.

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const here = (id) => document.getElementById(id);
let span = "recent";
let answered = 0;
let shown = null;
// The campaign's id: of the address, so that a link leads to it, or the one that was chosen.
let wanted = new URLSearchParams(location.search).get("campaign");

const ALERTS_SHOWN = 3;
// One name for a campaign, in the list of campaigns and in the alerts.
const called = (one) => one.name ? `${one.name} (${one.campaign_id})` : one.campaign_id || "(no campaign)";
const alert = (state) => (one) => {
  const name = called(state.campaigns.find((known) => known.campaign_id === one.campaign_id) ?? one);
  const link = element(state.whole_day ? "span" : "a", "", name);
  if (!state.whole_day) link.href = `?campaign=${encodeURIComponent(one.campaign_id)}`;
  return element("li", one.severity, element("b", "", one.alert.replaceAll("_", " ")),
    element("span", "", link, `: ${one.summary}`), element("span", "since", `since ${Charts.clock(one.since)}`));
};
// Above 95 % of the budget says all that above 80 % does.
const isNews = (one, all) => one.alert !== "budget" || one.subject !== "80"
  || !all.some((other) => other.alert === "budget" && other.subject === "95" && other.campaign_id === one.campaign_id);
const alerts = (state) => {
  if (!state.alerts.length) return [element("li", "quiet", "No alert fires.")];
  const chosen = state.campaign?.campaign_id;
  const news = state.alerts.filter((one) => isNews(one, state.alerts));
  const lines = [...news.filter((one) => one.campaign_id === chosen), ...news.filter((one) => one.campaign_id !== chosen)];
  const shownLines = lines.slice(0, ALERTS_SHOWN).map(alert(state));
  if (lines.length <= ALERTS_SHOWN) return shownLines;
  const more = element("details", "", element("summary", "", `${lines.length - ALERTS_SHOWN} more fire`),
    element("ul", "", ...lines.slice(ALERTS_SHOWN).map(alert(state))));
  more.open = here("alerts").querySelector("details")?.open ?? false;
  return [...shownLines, element("li", "more", more)];
};

const choices = (state) => {
  const select = here("campaign");
  const known = state.campaigns.map(called);
  if (JSON.stringify(known) !== select.dataset.known) {
    select.replaceChildren(...state.campaigns.map((one) => new Option(called(one), one.campaign_id)));
    select.dataset.known = JSON.stringify(known);
  }
  // It stays with what it has shown: which campaign is hottest changes by the second.
  wanted ??= state.campaign?.campaign_id ?? null;
  select.value = wanted;
};

const troubles = (state) => {
  const age = readingAge(state);
  const read = age === null ? "" : `The ledger was last read ${duration(age)} ago`;
  const away = state.problem && `The ledger cannot be read: ${state.problem}`;
  const trouble = state.recovering ? "Demand is being recovered from the changelog" : state.not_ready || state.campaign_problem || away;
  // What is not ready tells as much by itself.
  const frozen = !state.not_ready && state.alerts_frozen && `Alerts neither begin nor end: ${state.alerts_frozen}`;
  // What the trouble tells as well is not told twice.
  return [trouble, frozen, `${trouble} ${frozen}`.includes("last read") ? "" : read].filter(Boolean).join(". ");
};

const clear = (state) => {
  const known = state.campaigns.length ? `No campaign ${wanted} is known here.` : "No campaign has demand yet.";
  const text = state.campaign_problem || (state.recovering ? "Demand is being recovered: figures come once that is done." : known);
  here("tiles").replaceChildren(element("p", "nothing", text));
  for (const name of ["reasons", "categories", "tiers", "crossing"]) here(name).replaceChildren();
  Charts.clear("demand");
  Charts.clear("burn-down");
};

const show = (state) => {
  choices(state);
  const one = state.campaign;
  const problem = troubles(state);
  here("trouble").hidden = !problem;
  here("trouble").className = state.recovering ? "recovering" : "";
  here("trouble").textContent = problem;
  here("alerts").replaceChildren(...alerts(state));
  here("lags").replaceChildren(lags(state));
  here("books").replaceChildren(books(one));
  document.body.dataset.asOf = one ? one.as_of : "";
  if (!one) { clear(state); return; }
  here("tiles").replaceChildren(...tiles(one, state));
  breakdowns(one, state.whole_day);
  here("crossing").replaceChildren(...crossing(state.crossing));
  const curve = one[span];
  Charts.draw("demand", [curve.at, curve.granted, curve.refused, curve.orders, curve.settled]);
  const burn = one.burn_down;
  if (burn) Charts.draw("burn-down", [burn.at, burn.left, burn.planned, burn.early, burn.middle, burn.late]);
  else Charts.clear("burn-down");
};

const freshness = () => {
  const age = Date.now() - answered;
  const isLost = !answered || age > PATIENCE_MS;
  const isOld = !isLost && (shown.not_ready || shown.alerts_frozen || readingAge(shown) !== null);
  here("freshness").className = isLost ? "lost" : isOld ? "old" : "live";
  document.body.classList.toggle("old", Boolean(isLost || isOld));
  const read = !isLost && readingAge(shown) !== null ? `, ledger read ${duration(readingAge(shown))} ago` : "";
  here("freshness-text").textContent = !answered ? "no answer yet"
    : isLost ? `no answer for ${duration(age / 1000)}, trying on`
    : shown.recovering ? "demand is being recovered" : `as of ${Charts.clock(shown.campaign?.as_of ?? shown.at)} UTC${read}`;
};

const ask = async () => {
  const asked = wanted;
  const query = wanted === null ? "" : `?campaign=${encodeURIComponent(wanted)}`;
  try {
    const answer = await fetch(`/state.json${query}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const state = await answer.json();
    answered = Date.now();
    shown = state;
    // Another may have been chosen meanwhile.
    if (asked === wanted) show(state);
  } catch (error) {
    // The line at the top tells; a monitor that restarts is asked again.
    console.warn("no state:", error.message);
  }
  freshness();
  setTimeout(ask, EVERY_MS);
};

here("campaign").addEventListener("change", (event) => {
  wanted = event.target.value;
  history.replaceState(null, "", `?campaign=${encodeURIComponent(wanted)}`);
});

for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => {
    span = button.dataset.span;
    for (const other of document.querySelectorAll("[data-span]")) other.setAttribute("aria-pressed", String(other === button));
    if (shown) show(shown);
  });
}

// A report is this page with its state in it: shown once, and nobody is asked.
const kept = here("state");
if (kept) {
  shown = JSON.parse(kept.textContent);
  // A campaign of less than two minutes has its seconds only.
  document.querySelector(`[data-span=${shown.campaign.minutes.at.length > 1 ? "minutes" : "recent"}]`).click();
  here("freshness").className = "live";
  here("freshness-text").textContent = `a report: as of ${new Date(1000 * shown.campaign.as_of).toISOString().slice(0, 19)}Z`;
} else {
  ask();
}
