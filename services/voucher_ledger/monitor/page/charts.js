"use strict";
// The two charts. They are made anew when colours or width change, else only their data is set.

const Charts = (() => {
  const made = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const faint = (name) => `${colour(name)}30`;

  const short = (value) => {
    if (value === null || value === undefined) return "";
    for (const [size, unit] of [[1e9, "bn"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size) return `${+(value / size).toPrecision(3)} ${unit}`;
    }
    return `${+value.toPrecision(3)}`;
  };

  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
  const ticks = (chart, splits) => splits.map((at, index) => {
    const text = clock(at);
    const step = splits.length > 1 ? splits[1] - splits[0] : 60;
    if (step >= 86400) return new Date(at * 1000).toISOString().slice(5, 10);
    return step < 60 ? text : text.slice(0, 5);
  });

  const axes = () => [
    { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, values: ticks, space: 70 },
    { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, size: 58,
      values: (chart, splits) => splits.map(short) },
  ];

  const line = (label, name, more = {}) => ({
    label, stroke: colour(name), width: 2, points: { show: false }, value: (chart, value) => short(value) || "–", ...more,
  });

  const shapes = {
    demand: () => ({
      series: [
        { label: "UTC", value: (chart, at) => at === null ? "–" : clock(at) },
        line("granted", "granted", { fill: faint("granted") }),
        line("refused", "refused"),
        line("orders", "orders"),
        line("settled", "settled"),
      ],
    }),
    "burn-down": () => ({
      series: [
        { label: "UTC", value: (chart, at) => at === null ? "–" : clock(at) },
        line("left", "granted", { fill: faint("granted") }),
        line("plan", "plan", { dash: [6, 5] }),
        line("fast", "refused", { width: 1 }),
        line("trend", "refused", { dash: [3, 4] }),
        line("slow", "refused", { width: 1 }),
      ],
      bands: [{ series: [5, 3], fill: faint("refused") }],
    }),
  };

  // The legend comes below, in as many lines as it needs.
  const size = (holder) => ({ width: Math.max(200, holder.clientWidth), height: innerWidth < 704 ? 200 : 245 });

  const draw = (name, data) => {
    const holder = document.getElementById(name);
    if (!data[0].length) { clear(name); return; }
    const kept = made.get(name);
    if (kept) { kept.setData(data); return; }
    const options = { ...size(holder), ...shapes[name](), axes: axes(), cursor: { y: false },
      scales: { x: { time: true }, y: { range: (chart, low, high) => [0, Math.max(high * 1.05, 1)] } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"), legend: { live: true } };
    made.set(name, new uPlot(options, data, holder));
    holder.dataset.drawn = "true";
  };

  const clear = (name) => { made.get(name)?.destroy(); made.delete(name); };
  const renew = () => { for (const name of [...made.keys()]) { const { data } = made.get(name); clear(name); draw(name, data); } };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renew);
  addEventListener("resize", () => { for (const [name, chart] of made) chart.setSize(size(document.getElementById(name))); });

  return { draw, clear, short, clock };
})();
