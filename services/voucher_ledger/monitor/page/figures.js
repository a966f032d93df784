"use strict";
// A campaign's figures, as tiles and tables.

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
  element("div", `tile ${level || ""}`, element("div", "name", name),
    element("div", figure.length > 12 ? "figure words" : "figure", figure), element("div", "note", note));

// Why there is no forecast, or when it will be gone. Both end only where the one does not end before the other.
const ending = (of, one, state) => {
  const facts = one.facts;
  if (!facts) return ["–", "not in the ledger", ""];
  const affordable = Math.floor(facts.budget_left_minor / facts.face_value_minor);
  const [left, other] = of === "cards" ? [facts.cards_left, affordable] : [affordable, facts.cards_left];
  const end = one[`${of}_end`];
  if (left <= 0) {
    const since = one.gone_at === null ? "" : `at ${Charts.clock(one.gone_at)}, `;
    return ["gone", `${since}plan ${Charts.clock(facts.ends_at)}`, facts.state !== "closed" && one.as_of < facts.ends_at ? "critical" : ""];
  }
  if (facts.state === "closed" || one.as_of >= facts.ends_at) return ["–", facts.state === "closed" ? "closed" : "over", ""];
  if (other <= 0) return ["–", "nothing is granted any more", ""];
  if (state.alerts_frozen) return ["–", "no forecast by old figures", ""];
  if (!end) return ["–", one.rates ? `the ${of === "cards" ? "budget ends" : "cards end"} first` : "no trend yet", ""];
  if (end.middle === null) return ["not in sight", "by the trend of ten minutes", ""];
  const isLater = (moment) => moment === null || moment > facts.ends_at;
  const until = (moment) => isLater(moment) ? "past its end" : duration(moment - one.as_of);
  const early = facts.ends_at - end.middle > Math.max(300, 0.05 * (facts.ends_at - facts.starts_at));
  const range = isLater(end.early) ? "by the trend of ten minutes" : `${until(end.early)} to ${until(end.late)}`;
  return [isLater(end.middle) ? "not before its end" : `in ${until(end.middle)}`, range, early ? "critical" : ""];
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

// As the alert `refusals` has it: the share of a handful says nothing.
const REFUSED_SHARE = 0.5;
const ANSWERED_MIN = 100;
const refused = (claims, span) => {
  const most = claims.top_reason ? `, most: ${claims.top_reason}` : "";
  const early = claims.early ? `, ${whole(claims.early)} came too early` : "";
  const isMuch = claims.answered >= ANSWERED_MIN && claims.share > REFUSED_SHARE;
  return tile("Claims refused", percent(claims.share), `${span}${most}${early}`, isMuch ? "warning" : "");
};

// The newest demand of a report may be from hours after the rush: its figures are of the whole day.
const ofTheDay = (one) => [
  tile("Cards granted", whole(one.outcomes["voucher.granted"] ?? 0), `${whole(one.outcomes["voucher.expired"] ?? 0)} expired`),
  refused(one.day.refusals.find((room) => room.room === "claims"), "in all"),
  tile("High-ticket orders", percent(one.day.high_ticket_share), "of all orders"),
];
const ofNow = (one) => [
  tile("Net grants a second", Charts.short(one.net_recent), "in 10 s" + (one.rates ? `; ${Charts.short(one.rates.low)} to ${Charts.short(one.rates.high)} in 10 min` : "")),
  refused(one.refusals.find((room) => room.room === "claims"), "in five minutes"),
  tile("High-ticket orders", percent(one.high_ticket_share), "of five minutes' orders"),
];

const OLD_SECONDS = 10;
// Seconds since the ledger was last read; null where it is young enough to tell of now, or a report's.
const readingAge = (state) => {
  const age = state.at - state.reading_at;
  return !state.whole_day && state.reading_at && age > OLD_SECONDS ? age : null;
};

const lagTile = (state) => {
  const age = readingAge(state);
  if (age !== null) return tile("Lag", "?", `the ledger was read ${duration(age)} ago`, "warning");
  // Of one topic not known is not known: the others' may be the shorter.
  const lag = state.lags.some((topic) => topic.seconds === null) ? null : Math.max(0, ...state.lags.map((topic) => topic.seconds));
  const waiting = state.lags.reduce((sum, topic) => sum + topic.records, 0);
  // That the processors are not behind says nothing of the monitor, whose figures may be.
  const behind = state.alerts_frozen ? "; the monitor is behind" : "";
  return tile("Lag", lag === null ? "?" : duration(lag), `${whole(waiting)} commands wait${behind}`,
    lag === null || lag > 10 || behind ? "warning" : "");
};
const lags = (state) => {
  if (!state.lags.length) return element("p", "nothing", "not read yet");
  const isKnown = readingAge(state) === null;
  return table(["topic", "commands", "behind"], state.lags.map((lag) => element("tr", "",
    element("th", "", lag.topic.replace(".commands", "")), element("td", "", isKnown ? whole(lag.records) : "?"),
    element("td", "", !isKnown || lag.seconds === null ? "?" : duration(lag.seconds)))));
};

const tiles = (one, state) => {
  const facts = one.facts;
  const used = facts && facts.budget_minor ? 1 - (facts.budget_left_minor - facts.overspent_minor) / facts.budget_minor : null;
  return [
    tile("Cards left", facts ? whole(facts.cards_left) : "–", facts ? `of ${whole(facts.quota)}; plan ${whole(facts.quota - one.planned_granted)}` : ""),
    ...releases(one),
    tile("Cards end", ...ending("cards", one, state)),
    tile("Budget ends", ...ending("budget", one, state)),
    tile("Budget used", used === null ? "–" : percent(used), facts ? `${money(facts.budget_left_minor, one)} left` : "",
      used >= 0.95 ? "critical" : used >= 0.8 ? "warning" : ""),
    ...(state.whole_day ? ofTheDay(one) : ofNow(one)),
    lagTile(state),
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

const breakdowns = (one, isWholeDay) => {
  const most = (list, field) => Math.max(1, ...list.map((item) => item[field]));
  // A report is of the whole day: what was lately there says nothing.
  const lately = (value) => isWholeDay ? [] : [value];
  const again = one.reasons.filter((item) => item.reason === "duplicate");
  const repeated = again.reduce((sum, item) => sum + item.total, 0);
  const reasons = one.reasons.filter((item) => item.reason !== "duplicate").slice(0, 10);
  const room = (type) => ({ voucher: "claims", order: "orders", payment: "payments" })[type.split(".")[0]] ?? "campaigns";
  const named = (item) => element("span", "", item.reason, " ", element("span", "room", room(item.type)));
  here("reasons").replaceChildren(table(["reason", ...lately("5 min"), "in all"],
    reasons.map((item) => row(named(item), item.total / most(reasons, "total"), ...lately(whole(item.recent)), whole(item.total)))),
    again.length ? element("p", "nothing", `${whole(repeated)} ${repeated === 1 ? "command came again and was" : "commands came again and were"} answered as before.`) : "");
  const categories = one.categories.filter((item) => item.orders).slice(0, 12);
  here("categories").replaceChildren(table(["vertical", ...lately("5 min"), "in all", "day before"],
    categories.map((item) => row(item.name, item.orders / most(categories, "orders"), ...lately(whole(item.orders_recent)), whole(item.orders), grown(item.growth)))));
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
