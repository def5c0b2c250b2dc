// Time series with uPlot: colours come from the page's variables and follow the theme; a series
// without a value is a gap.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });
const axis = (more) => ({ stroke: () => css("--soft"), grid: { stroke: () => css("--line"), width: 1 }, ticks: { stroke: () => css("--line"), width: 1 }, font: "12px system-ui", ...more });
const plots = [];
const authorization = () => {
  const key = sessionStorage.getItem("modelscan.key");
  return document.documentElement.hasAttribute("data-exposed") && key ? { Authorization: `Bearer ${key}` } : {};
};

// Pictures of the same columns share one answer.
const answers = new Map();
function columnsOf(url) {
  const known = answers.get(url);
  if (known && performance.now() - known.at < 4000) return known.answer;
  const answer = fetch(url, { headers: authorization() }).then((one) => (one.ok ? one.json() : null));
  answers.set(url, { at: performance.now(), answer });
  return answer;
}

async function draw(place, plot) {
  const columns = place.dataset.columns.split(",").map((one) => one.split(":"));
  const document_ = await columnsOf(place.dataset.series);
  if (!document_) return plot;
  const data = [document_.t, ...columns.map(([name]) => document_[name])];
  const known = data.slice(1).some((column) => column.some((value) => value !== null && value !== 0));
  if (plot) { plot.setData(data); return plot; }
  if (!known) return null; // what the server drew or said stays
  place.replaceChildren();
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${place.dataset.what}; the table below has the numbers`);
  const made = new window.uPlot({
    width: place.clientWidth, height: 200, cursor: { y: false },
    series: [
      { label: "time", value: (_, s) => (s == null ? "–" : exact.format(s * 1000)) },
      ...columns.map(([, label, colour], i) => ({ label, stroke: () => css(`--${colour}`), width: 2, dash: i ? [6, 4] : [], spanGaps: false, points: { show: (plot) => plot.data[i + 1].filter((v) => v !== null).length < 60, size: 6 }, value: (_, v) => (v == null ? "–" : Number(v.toPrecision(3)).toLocaleString("en")) })),
    ],
    axes: [axis({ values: (_, at) => at.map((s) => clock.format(s * 1000)), space: 80 }), axis({ size: 60 })],
  }, data, place);
  new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: 200 })).observe(place);
  plots.push(made);
  return made;
}

for (const place of document.querySelectorAll("[data-series]")) {
  let plot = null;
  const again = async () => {
    if (!document.hidden) { try { plot = await draw(place, plot); } catch { /* the page says that the server is lost */ } }
    setTimeout(again, 5000);
  };
  again();
}
const redraw = () => plots.forEach((one) => one.redraw(false));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
