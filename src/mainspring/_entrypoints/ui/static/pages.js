// Curves for figures that name a series, and the server's own address in examples. Everything else
// on the pages works without this file. Texts go in as text, never as markup.
"use strict";
(() => {
  const drawn = new Map();

  // MLflow's clients print links to pages of MLflow's own server: #/experiments/1/runs/ID.
  const place = (text) => encodeURIComponent(decodeURIComponent(text));
  const linked = [
    [/^#\/experiments\/[^/?]+\/runs\/([^/?]+)/, (found) => `/runs/${place(found[1])}`],
    [/^#\/experiments\/([^/?]+)\/traces/, (found) => `/traces?experiment=${place(found[1])}`],
    [/^#\/experiments\/([^/?]+)/, (found) => `/?experiment=${place(found[1])}`],
    [/^#\/models\/([^/?]+)\/versions\/(\d+)/, (found) => `/models/${place(found[1])}/${found[2]}`],
    [/^#\/models\/([^/?]+)/, (found) => `/models/${place(found[1])}`],
  ];
  const follow = () => {
    for (const [pattern, there] of linked) {
      const found = location.pathname === "/" && pattern.exec(location.hash);
      if (found) return location.replace(there(found));
    }
  };
  addEventListener("hashchange", follow);
  follow();

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const plain = (value) => {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(5)));
  };

  function options(figure, plot, body) {
    const few = body.steps.length <= 40;
    const output = figure.querySelector("output");
    const latest = output.dataset.latest ?? (output.dataset.latest = output.textContent);
    const axis = {
      stroke: token("--quiet"),
      grid: { stroke: token("--rule"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const series = body.runs.map((run, index) => ({
      label: run.id,
      stroke: token(`--series-${(index % 8) + 1}`),
      width: 1.75,
      spanGaps: true,
      points: { show: few, size: 5 },
    }));
    return {
      width: Math.max(plot.clientWidth, 120),
      height: plot.clientHeight,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false } },
      axes: [
        { ...axis, size: 26 },
        { ...axis, size: 56, values: (_, splits) => splits.map(plain) },
      ],
      series: [{ label: "step" }, ...series],
      hooks: {
        setCursor: [
          (chart) => {
            const at = chart.cursor.idx;
            if (at === null || at === undefined) {
              output.textContent = latest;
              return;
            }
            const values = chart.data.slice(1).map((column) => plain(column[at]) || "–");
            output.textContent = `step ${chart.data[0][at]}: ${values.join(", ")}`;
          },
        ],
      },
    };
  }

  function paint(figure, body) {
    const plot = figure.querySelector(".plot");
    drawn.get(figure)?.chart?.destroy();
    plot.replaceChildren();
    const data = [body.steps, ...body.runs.map((run) => run.values)];
    const chart = new uPlot(options(figure, plot, body), data, plot);
    drawn.set(figure, { body, chart });
  }

  async function load(figure) {
    const answer = await fetch(figure.dataset.series, { headers: { accept: "application/json" } });
    if (!answer.ok) {
      figure.querySelector(".plot").textContent = `The curve did not come (${answer.status}).`;
      return;
    }
    paint(figure, await answer.json());
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      load(entry.target).catch(() => {
        entry.target.querySelector(".plot").textContent = "The server did not answer.";
      });
    }
  }, { rootMargin: "200px" });

  const sized = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const found = drawn.get(entry.target.closest("figure"));
      if (found) found.chart.setSize({ width: Math.max(entry.target.clientWidth, 120), height: entry.target.clientHeight });
    }
  });

  function start(root) {
    for (const figure of root.querySelectorAll("figure[data-series]")) {
      if (drawn.has(figure)) continue;
      drawn.set(figure, null);
      seen.observe(figure);
      sized.observe(figure.querySelector(".plot"));
    }
    for (const place of root.querySelectorAll("[data-origin]")) place.textContent = location.origin;
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [figure, found] of drawn) if (found) paint(figure, found.body);
  });

  // A running run brings its facts up to date; its curves follow.
  document.addEventListener("htmx:after:swap", () => {
    for (const [figure, found] of drawn) {
      if (!figure.isConnected) {
        found?.chart.destroy();
        drawn.delete(figure);
      } else if (found && document.querySelector("#now[hx-trigger]")) {
        load(figure).catch(() => {});
      }
    }
    start(document);
  });
  start(document);
})();
