"use strict";

// Everything that is drawn comes from three blocks of JSON in this page: numbers, figures and packed bars.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const numbers = read("numbers");
const figures = read("figures");
const windows = read("windows");

const touch = window.matchMedia("(pointer: coarse)");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const config = { responsive: true, displaylogo: false, displayModeBar: false };
const colour = (role) => getComputedStyle(document.documentElement).getPropertyValue(role).trim();

// "@equity.moment" names an array of the numbers, "@costs[].leg" a column of a list, "var(--gain)" a colour.
function resolve(value) {
  if (Array.isArray(value)) return value.map(resolve);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, resolve(each)]));
  }
  if (typeof value !== "string") return value;
  if (value.startsWith("var(")) return colour(value.slice(4, -1));
  if (!value.startsWith("@")) return value;
  const [path, column] = value.slice(1).split("[].");
  const found = path.split(".").reduce((part, name) => part[name], numbers);
  return column === undefined ? found : found.map((each) => each[column]);
}

function draw(place, figure) {
  const { data, layout } = resolve(figure);
  // A finger scrolls the page; it does not zoom a chart.
  if (touch.matches) layout.dragmode = false;
  Plotly.react(place, data, layout, config);
}

// --- candles --------------------------------------------------------------------------------------------------------

// Five numbers per bar, as the packer wrote them: seven bits a byte, the lowest first, folded so that small is near zero.
function unpack(chosen) {
  const bytes = Uint8Array.from(atob(chosen.bars), (character) => character.charCodeAt(0));
  const values = [];
  for (let at = 0; at < bytes.length; ) {
    let folded = 0;
    let weight = 1;
    let byte;
    do {
      byte = bytes[at++];
      folded += (byte & 127) * weight;
      weight *= 128;
    } while (byte & 128);
    values.push(folded % 2 ? -(folded + 1) / 2 : folded / 2);
  }
  const bars = { x: [], open: [], high: [], low: [], close: [] };
  const unit = 10 ** chosen.decimals;
  let minute = chosen.minute;
  let before = 0;
  for (let at = 0; at < values.length; at += 5) {
    minute += values[at];
    const open = before + values[at + 1];
    const close = open + values[at + 2];
    bars.x.push(new Date(minute * 60000).toISOString().slice(0, 16));
    bars.open.push(open / unit);
    bars.close.push(close / unit);
    bars.high.push((Math.max(open, close) + values[at + 3]) / unit);
    bars.low.push((Math.min(open, close) - values[at + 4]) / unit);
    before = close;
  }
  return bars;
}

const column = (name, positions) => positions.map((position) => numbers.trades[name][position]);

// A level from entry to exit; null lifts the pen between trades.
function level(name, positions, title, role, dash) {
  const known = positions.filter((position) => numbers.trades[name][position] !== null);
  return {
    type: "scatter",
    mode: "lines",
    name: title,
    x: known.flatMap((at) => [numbers.trades.entry[at], numbers.trades.exit[at], null]),
    y: known.flatMap((at) => [numbers.trades[name][at], numbers.trades[name][at], null]),
    line: { color: colour(role), width: 2, dash },
    hovertemplate: `${title} %{y}<extra></extra>`,
  };
}

function marks(moment, price, positions, title, symbol, role) {
  return {
    type: "scatter",
    mode: "markers",
    name: title,
    x: column(moment, positions),
    y: column(price, positions),
    customdata: positions.map((at) => [numbers.trades.exit_reason[at], numbers.trades.pnl[at], at + 1]),
    marker: { symbol, size: 13, color: colour(role), line: { color: colour("--page"), width: 1.5 } },
    hovertemplate: `${title} of trade %{customdata[2]}: %{y}<br>%{customdata[0]}, %{customdata[1]}<extra></extra>`,
  };
}

function candles(chosen) {
  const positions = chosen.trades;
  const bars = unpack(chosen);
  const data = [
    {
      type: "candlestick",
      name: chosen.symbol,
      ...bars,
      increasing: { line: { color: colour("--gain"), width: 1 }, fillcolor: colour("--page") },
      decreasing: { line: { color: colour("--loss"), width: 1 }, fillcolor: colour("--loss") },
    },
    level("stop_price", positions, "Stop", "--stop", "dot"),
    level("target_price", positions, "Target", "--target", "dash"),
    marks("entry", "entry_price", positions, "Entry", "triangle-up", "--text"),
    marks("exit", "exit_price", positions, "Exit", "x", "--text"),
  ];
  const axis = { gridcolor: "var(--grid)", linecolor: "var(--grid)", automargin: true };
  const layout = {
    height: 460,
    margin: { l: 60, r: 16, t: 16, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: "var(--text)", size: 12 },
    legend: { orientation: "h", y: 1.1 },
    hovermode: "closest",
    xaxis: { ...axis, type: "date", rangeslider: { visible: false } },
    yaxis: { ...axis },
  };
  Plotly.react("candles", data, resolve(layout), config);
}

function cell(row, text, kind) {
  const made = document.createElement("td");
  made.textContent = text === null ? "–" : text;
  if (kind) made.className = kind;
  row.append(made);
}

const fixed = (value, decimals) => (value === null ? null : value.toFixed(decimals));
const percent = (value) => (value === null ? null : `${(value * 100).toFixed(3)} %`);

function list(chosen) {
  const body = document.getElementById("chosen-trades");
  const prices = chosen.decimals;
  body.replaceChildren(
    ...chosen.trades.map((at) => {
      const trade = (name) => numbers.trades[name][at];
      const row = document.createElement("tr");
      cell(row, String(at + 1), "number");
      cell(row, trade("entry").slice(0, 19).replace("T", " "), "moment");
      cell(row, trade("exit").slice(0, 19).replace("T", " "), "moment");
      cell(row, String(trade("quantity")), "number");
      for (const name of ["entry_price", "stop_price", "target_price", "exit_price"]) {
        cell(row, fixed(trade(name), Math.max(prices, 2)), "number");
      }
      cell(row, trade("exit_reason"));
      cell(row, trade("pnl"), "number");
      cell(row, fixed(trade("r_multiple"), 2), "number");
      cell(row, percent(trade("adverse_excursion")), "number");
      cell(row, percent(trade("favourable_excursion")), "number");
      return row;
    }),
  );
}

function show() {
  const select = document.getElementById("window");
  const chosen = windows[select.selectedIndex];
  document.getElementById("earlier").disabled = select.selectedIndex <= 0;
  document.getElementById("later").disabled = select.selectedIndex >= windows.length - 1;
  candles(chosen);
  list(chosen);
}

function step(by) {
  document.getElementById("window").selectedIndex += by;
  show();
}

function start() {
  for (const [key, figure] of Object.entries(figures)) draw(`chart-${key}`, figure);
  if (windows.length) show();
}

if (windows.length) {
  document.getElementById("window").addEventListener("change", show);
  document.getElementById("earlier").addEventListener("click", () => step(-1));
  document.getElementById("later").addEventListener("click", () => step(1));
}
dark.addEventListener("change", start);
start();
