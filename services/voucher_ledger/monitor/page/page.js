"use strict";
// Asks for the state each second and shows it. Nothing is kept here: when the monitor restarts, the next answer is whole.

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const here = (id) => document.getElementById(id);
let span = "recent";
let answered = 0;
let shown = null;

// Text is set as text throughout: names come from producers.
const element = (name, classes, ...children) => {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...children.map((child) => child instanceof Node ? child : String(child)));
  return made;
};
const whole = (value) => value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
const money = (minor, one) => `${Charts.short(minor / 10 ** one.currency_digits)} ${one.facts.currency}`;

const duration = (seconds) => {
  const size = Math.abs(seconds);
  if (size < 120) return `${Math.round(size)} s`;
  if (size < 7200) return `${Math.round(size / 60)} min`;
  return size < 172800 ? `${(size / 3600).toFixed(1)} h` : `${(size / 86400).toFixed(1)} days`;
};

const tile = (name, figure, note, level) =>
  element("div", `tile ${level || ""}`, element("div", "name", name), element("div", "figure", figure), element("div", "note", note));

const ending = (end, facts, asOf, left, other) => {
  if (!facts) return ["–", "not in the ledger", ""];
  if (left <= 0) return ["gone", `plan: ${Charts.clock(facts.ends_at)}`, asOf < facts.ends_at ? "critical" : ""];
  if (!end) return ["–", other <= 0 ? "nothing is granted any more" : "no trend yet", ""];
  if (end.middle === null) return ["not in sight", "by the trend of ten minutes", ""];
  const until = (moment) => moment === null ? "never" : duration(moment - asOf);
  const early = facts.ends_at - end.middle > Math.max(300, 0.05 * (facts.ends_at - facts.starts_at));
  return [`in ${until(end.middle)}`, `${until(end.early)} to ${until(end.late)}`, early ? "critical" : ""];
};

// Only of a campaign that is paced or where somebody waits: of another, what is left can be claimed.
const releases = (one) => {
  const found = one.release;
  if (!found || (!one.facts.tranches.length && !found.waiting)) return [];
  const next = found.next;
  return [
    tile("Claimable now", whole(found.claimable), "released, of the cards left", found.claimable || !next ? "" : "warning"),
    tile("Next tranche", next ? whole(next.quota) : "none", next ? `in ${duration(next.at - one.as_of)}, at ${Charts.clock(next.at)}` : "all is released"),
    tile("Waiting", whole(found.waiting), found.waiting ? `the first for ${duration(found.waiting_seconds)}` : "nobody waits"),
  ];
};

const tiles = (one, state) => {
  const facts = one.facts;
  const affordable = facts && Math.floor(facts.budget_left_minor / facts.face_value_minor);
  const [cards, cardsNote, cardsLevel] = ending(one.cards_end, facts, one.as_of, facts?.cards_left, affordable);
  const [budget, budgetNote, budgetLevel] = ending(one.budget_end, facts, one.as_of, affordable, facts?.cards_left);
  const claims = one.refusals.find((refusals) => refusals.room === "claims");
  // Of one topic not known is not known: the others' may be the shorter.
  const lag = state.lags.some((topic) => topic.seconds === null) ? null : Math.max(0, ...state.lags.map((topic) => topic.seconds));
  const used = facts && facts.budget_minor ? 1 - (facts.budget_left_minor - facts.overspent_minor) / facts.budget_minor : null;
  return [
    tile("Cards left", facts ? whole(facts.cards_left) : "–", facts ? `of ${whole(facts.quota)}; plan ${whole(facts.quota - one.planned_granted)}` : ""),
    ...releases(one),
    tile("Cards end", cards, cardsNote, cardsLevel),
    tile("Budget ends", budget, budgetNote, budgetLevel),
    tile("Budget used", used === null ? "–" : percent(used), facts ? `${money(facts.budget_left_minor, one)} left` : "",
      used >= 0.95 ? "critical" : used >= 0.8 ? "warning" : ""),
    tile("Net grants a second", one.rates ? Charts.short(one.rates.middle) : "–",
      one.rates ? `${Charts.short(one.rates.low)} to ${Charts.short(one.rates.high)} in 10 min` : "no trend yet"),
    tile("Claims refused", percent(claims.share), claims.top_reason ? `most: ${claims.top_reason}` : claims.early ? `${whole(claims.early)} came too early` : "in five minutes", claims.share > 0.5 ? "warning" : ""),
    tile("High-ticket orders", percent(one.high_ticket_share), "of five minutes' orders"),
    tile("Lag", lag === null ? "?" : duration(lag), `${whole(state.lags.reduce((sum, topic) => sum + topic.records, 0))} commands wait`, lag === null || lag > 10 ? "warning" : ""),
  ];
};

const table = (head, rows) => {
  if (!rows.length) return element("p", "nothing", "none yet");
  return element("table", "", element("thead", "", element("tr", "", ...head.map((text) => element("th", "", text)))),
    element("tbody", "", ...rows));
};
const bar = (share) => { const made = element("meter", ""); made.max = 1; made.value = Math.min(1, share || 0); return made; };
const row = (name, share, ...cells) =>
  element("tr", "", element("th", "", name, bar(share)), ...cells.map((cell) => cell instanceof Node ? cell : element("td", "", cell)));
const grown = (ratio) => ratio === null ? "–" : element("td", ratio > 3 ? "up" : "", `${ratio.toFixed(1)}×`);

const breakdowns = (one) => {
  const most = (list, field) => Math.max(1, ...list.map((item) => item[field]));
  const again = one.reasons.filter((item) => item.reason === "duplicate");
  const reasons = one.reasons.filter((item) => item.reason !== "duplicate").slice(0, 10);
  const room = (type) => ({ voucher: "claims", order: "orders", payment: "payments" })[type.split(".")[0]] ?? "campaigns";
  const named = (item) => element("span", "", item.reason, " ", element("span", "room", room(item.type)));
  here("reasons").replaceChildren(table(["reason", "5 min", "in all"],
    reasons.map((item) => row(named(item), item.total / most(reasons, "total"), whole(item.recent), whole(item.total)))),
    again.length ? element("p", "nothing", `${whole(again.reduce((sum, item) => sum + item.total, 0))} commands came again and were answered as before.`) : "");
  const categories = one.categories.filter((item) => item.orders).slice(0, 12);
  here("categories").replaceChildren(table(["vertical", "5 min", "in all", "day before"],
    categories.map((item) => row(item.name, item.orders / most(categories, "orders"), whole(item.orders_recent), whole(item.orders), grown(item.growth)))));
  const tiers = [...one.tiers].sort((a, b) => a.name.localeCompare(b.name));
  here("tiers").replaceChildren(table(["tier", "cards", "orders", "day before"],
    tiers.map((item) => row(`tier ${item.name}`, item.grants / most(tiers, "grants"), whole(item.grants), whole(item.orders), grown(item.growth)))));
};

const crossing = (found) => {
  if (!found?.users) return [element("p", "nothing", found?.problem ? `Not counted: ${found.problem}.` : "none yet")];
  const names = { 1: "one vertical", 2: "two", "3+": "three or more" };
  const all = Object.values(found.users).reduce((sum, users) => sum + users, 0);
  const counts = Object.entries(found.users).map(([verticals, users]) =>
    row(names[verticals], users / Math.max(1, all), whole(users), percent(users / Math.max(1, all))));
  const pairs = found.pairs.slice(0, 5).map((pair) =>
    row(`${pair.first} and ${pair.second}`, pair.users / found.pairs[0].users, whole(pair.users), percent(pair.users / Math.max(1, all))));
  const note = found.problem ? `Trying again: ${found.problem}.` : `counted at ${Charts.clock(found.at)}`;
  return [table(["ordered in", "users", "share"], counts), pairs.length ? table(["commonest pairs", "users", "share"], pairs) : "",
    element("p", "nothing", note)];
};

const books = (one) => {
  const found = one?.reconciliation;
  if (!found) return one?.facts ? "Demand and ledger are compared once nothing is on its way." : "";
  const text = `Out by demand ${whole(found.counted)}, by the ledger ${whole(found.ledger)}`;
  if (found.difference) return element("span", "off", `${text}: ${whole(found.difference)} apart`);
  return found.counted === found.ledger ? `${text}: they agree.` : `${text}: within what is under way.`;
};

const ALERTS_SHOWN = 3;
const alert = (one) => element("li", one.severity, element("b", "", one.alert.replaceAll("_", " ")),
  element("span", "", `${one.campaign_id}: ${one.summary}`), element("span", "since", `since ${Charts.clock(one.since)}`));
const alerts = (state) => {
  if (!state.alerts.length) return [element("li", "quiet", "No alert fires.")];
  const chosen = state.campaign?.campaign_id;
  const lines = [...state.alerts.filter((one) => one.campaign_id === chosen), ...state.alerts.filter((one) => one.campaign_id !== chosen)];
  const shownLines = lines.slice(0, ALERTS_SHOWN).map(alert);
  if (lines.length <= ALERTS_SHOWN) return shownLines;
  const more = element("details", "", element("summary", "", `${lines.length - ALERTS_SHOWN} more fire`),
    element("ul", "", ...lines.slice(ALERTS_SHOWN).map(alert)));
  more.open = here("alerts").querySelector("details")?.open ?? false;
  return [...shownLines, element("li", "more", more)];
};

const choices = (state) => {
  const select = here("campaign");
  const wanted = state.campaigns.map((one) => one.campaign_id);
  const chosen = select.value || state.campaign?.campaign_id;
  if (JSON.stringify(wanted) !== select.dataset.known) {
    select.replaceChildren(...state.campaigns.map((one) => new Option(one.name || one.campaign_id || "(no campaign)", one.campaign_id)));
    select.dataset.known = JSON.stringify(wanted);
  }
  if (chosen !== undefined) select.value = chosen;
};

const show = (state) => {
  choices(state);
  const one = state.campaign;
  const trouble = state.not_ready || state.campaign_problem || (state.problem && `The ledger cannot be read: ${state.problem}`);
  // What is not ready tells as much by itself.
  const frozen = !state.not_ready && state.alerts_frozen && `Alerts neither begin nor end: ${state.alerts_frozen}`;
  const problem = [trouble, frozen].filter(Boolean).join(". ");
  here("trouble").hidden = !problem;
  here("trouble").textContent = problem;
  here("alerts").replaceChildren(...alerts(state));
  here("lags").replaceChildren(table(["topic", "commands", "behind"], state.lags.map((lag) => element("tr", "",
    element("th", "", lag.topic.replace(".commands", "")), element("td", "", whole(lag.records)), element("td", "", lag.seconds === null ? "?" : duration(lag.seconds))))));
  here("books").replaceChildren(books(one));
  document.body.dataset.asOf = one ? one.as_of : "";
  if (!one) { here("tiles").replaceChildren(element("p", "nothing", state.campaign_problem || "No campaign has demand yet.")); Charts.clear("demand"); Charts.clear("burn-down"); return; }
  here("tiles").replaceChildren(...tiles(one, state));
  breakdowns(one);
  here("crossing").replaceChildren(...crossing(state.crossing));
  const curve = one[span];
  Charts.draw("demand", [curve.at, curve.granted, curve.refused, curve.orders, curve.settled]);
  const burn = one.burn_down;
  if (burn) Charts.draw("burn-down", [burn.at, burn.left, burn.planned, burn.early, burn.middle, burn.late]);
  else Charts.clear("burn-down");
};

const freshness = () => {
  const age = Date.now() - answered;
  const lost = !answered || age > PATIENCE_MS;
  here("freshness").className = lost ? "lost" : "live";
  here("freshness-text").textContent = !answered ? "no answer yet"
    : lost ? `no answer for ${duration(age / 1000)}, trying on` : `as of ${Charts.clock(shown.campaign?.as_of ?? shown.at)} UTC`;
};

const ask = async () => {
  const chosen = here("campaign").value;
  const query = here("campaign").options.length && chosen !== null ? `?campaign=${encodeURIComponent(chosen)}` : "";
  try {
    const answer = await fetch(`/state.json${query}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const state = await answer.json();
    answered = Date.now();
    shown = state;
    show(state);
  } catch (error) {
    // The line at the top tells; a monitor that restarts is asked again.
    console.warn("no state:", error.message);
  }
  freshness();
  setTimeout(ask, EVERY_MS);
};

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
