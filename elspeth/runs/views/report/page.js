
"use strict";
(function () {
  let value = null;  // what is drawn
  let chosen = null;  // the node whose reasons are shown
  let tell = null;  // tells the story of a row, where somebody can be asked for it
  const main = document.getElementById("main");
  const SVG = "http://www.w3.org/2000/svg";

  // Everything that comes from a run goes through textContent: it is shown, and never read as markup.
  function element(name, attributes, ...children) {
    const found = document.createElement(name);
    for (const [key, one] of Object.entries(attributes || {})) found.setAttribute(key, one);
    for (const child of children.flat()) {
      if (child === null || child === undefined) continue;
      found.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return found;
  }
  function drawn(name, attributes, text) {
    const found = document.createElementNS(SVG, name);
    for (const [key, one] of Object.entries(attributes || {})) found.setAttribute(key, one);
    if (text !== undefined) found.textContent = text;
    return found;
  }
  const number = (n) => (typeof n === "number" ? n.toLocaleString("en-US") : n === null || n === undefined ? "" : n);
  function seconds(n) {
    if (n === null || n === undefined) return "";
    if (n < 1) return (n * 1000).toFixed(n < 0.01 ? 2 : 0) + " ms";
    if (n < 60) return n.toFixed(1) + " s";
    if (n < 3600) return Math.floor(n / 60) + " min " + Math.round(n % 60) + " s";
    return Math.floor(n / 3600) + " h " + Math.round((n % 3600) / 60) + " min";
  }
  const share = (part, all) => (all ? ((100 * part) / all).toFixed(part / all < 0.1 ? 1 : 0) + " %" : "");
  const plural = (n, noun) => number(n) + " " + noun + (n === 1 ? "" : "s");
  const short = (hash) => (hash ? element("code", { title: hash }, hash.slice(0, 12)) : "");

  function table(head, rows, numbers) {
    const right = new Set(numbers || []);
    const cell = (name, one, at) =>
      element(name, Object.assign(right.has(at) ? { class: "number" } : {}, name === "th" ? { scope: "col" } : {}), one);
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") },
      element("table", {},
        element("thead", {}, element("tr", {}, head.map((one, at) => cell("th", one, at)))),
        element("tbody", {}, rows.map((row) => element("tr", {}, row.map((one, at) => cell("td", one, at)))))));
  }
  // What can be opened has a key: it stays open when the part is drawn anew.
  function folded(key, title, ...children) {
    return element("details", { "data-key": key }, element("summary", {}, title), ...children);
  }
  function section(id, title, ...children) {
    return element("section", { id: id, "aria-labelledby": id + "-title" },
      element("h2", { id: id + "-title" }, title), ...children);
  }

  function verdict() {
    const v = value.verdict, run = value.run;
    const trouble = Object.entries(v.troubled).map(([name, n]) => plural(n, "row") + " " + name);
    const state = v.status === "running" ? v.state || "running" : v.status;
    const kind = v.status === "completed" ? (trouble.length ? "warn" : "good") : state === "alive" ? "warn" : "bad";
    const words = [state, plural(v.rows, "row"), ...trouble];
    if (v.resumable && state !== "alive") words.push("resumable");
    words.push(v.verified ? (v.verified.holds ? "evidence verified " : "evidence does not hold, ") + v.verified.at
      : "evidence not verified here");
    const box = element("div", { class: "verdict " + kind, id: "verdict" }, element("strong", {}, words.join(", ")));
    if (v.because) box.append(element("div", {}, v.because));
    if (v.waiting) box.append(element("div", {}, v.waiting));
    if (v.removed) box.append(element("div", {}, "Its records about rows were removed."));
    else if (v.purged) box.append(element("div", {}, "What people wrote into its rows was purged; hashes and counts stay."));
    if (v.verified) for (const one of v.verified.findings) box.append(element("div", { class: "bad" }, one));
    box.append(element("div", {}, "Next: ", element("code", {}, v.next_command)));
    box.append(element("div", { class: "soft" }, "Started " + run.started_at + (run.completed_at ? ", ended " + run.completed_at : "")
      + "; " + plural(run.attempts, "attempt") + "; " + plural(v.commits, "commit") + ", head ", short(v.head),
      "; this report was made at " + value.made_at + (value.data ? "" : ", without row data")));
    return box;
  }

  function flow() {
    const nodes = value.flow.nodes, edges = value.flow.edges;
    const width = 184, height = 62, gapX = 136, gapY = 34;
    const x = (column) => column * (width + gapX) + 8, y = (row) => row * (height + gapY) + 8;
    const at = {};
    let columns = 0, rows = 0;
    for (const node of nodes) {
      at[node.id] = { x: x(node.column), y: y(node.row) };
      columns = Math.max(columns, node.column); rows = Math.max(rows, node.row);
    }
    for (const edge of edges) for (const [, row] of edge.by) rows = Math.max(rows, row);
    const ends = nodes.some((node) => node.column === columns && edges.some((edge) => edge.from === node.id));
    const total = { w: x(columns) + width + 8 + (ends ? gapX : 0), h: y(rows) + height + 20 };
    const place = element("div", { id: "detail", "aria-live": "polite" });
    detail(place);
    const svg = drawn("svg", { class: "flow", width: total.w, height: total.h, viewBox: "0 0 " + total.w + " " + total.h, role: "group",
      "aria-label": "The flow of rows through the pipeline" });
    svg.style.minWidth = Math.round(total.w * 0.8) + "px";
    const out = {}, words = [], written = [];
    for (const edge of edges) out[edge.from] = (out[edge.from] || 0) + edge.count;
    // A count stands in the middle of its way, or as near to it as there is room.
    function write(middle, height, text, kind) {
      const half = text.length * 3.4;
      const free = (y) => !written.some((other) => Math.abs(other.y - y) < 14 && Math.abs(other.x - middle) < other.half + half);
      const y = [0, -14, 14, -28, 28, -42, 42].map((by) => height + by).find(free) || height;
      written.push({ x: middle, y: y, half: half });
      words.push(drawn("text", { class: kind, x: middle, y: y + 4, "text-anchor": "middle" }, text));
    }
    for (const edge of edges) {
      const from = at[edge.from], to = at[edge.to];
      if (!from) continue;
      const x1 = from.x + width, y1 = from.y + height / 2;
      const stops = [...edge.by.map(([column, row]) => ({ x: x(column), y: y(row) + height / 2, past: true })),
        to ? { x: to.x, y: to.y + height / 2 } : { x: x1 + gapX / 2, y: y1 + height / 2 + 12 }];
      let way = "M" + x1 + " " + y1, was = { x: x1, y: y1 };
      for (const stop of stops) {
        const mid = (was.x + stop.x) / 2;
        way += " C" + mid + " " + was.y + " " + mid + " " + stop.y + " " + stop.x + " " + stop.y;
        if (stop.past) way += " L" + (stop.x + width) + " " + stop.y;
        was = { x: stop.x + width, y: stop.y };
      }
      const error = edge.error ? " error" : "";
      svg.append(drawn("path", { class: "edge" + error, d: way }));
      const name = (edge.error ? "✗ " : "") + (edge.label === "continue" ? "" : edge.label + " ");
      write(x1 + gapX / 2, (y1 + stops[0].y) / 2,
        name + number(edge.count) + (edge.count ? " (" + share(edge.count, out[edge.from]) + ")" : "") + (to ? "" : " → " + edge.to), "count" + error);
    }
    svg.append(...words);
    for (const node of nodes) {
      const spot = at[node.id];
      const group = drawn("g", { class: "node" + (node.failed ? " failed" : ""), tabindex: "0", role: "button",
        transform: "translate(" + spot.x + " " + spot.y + ")", "data-node": node.id });
      const clip = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
      group.append(drawn("rect", { class: "box", width: width, height: height, rx: 8 }));
      group.append(drawn("text", { x: 10, y: 19 }, clip(node.id, 24)));
      group.append(drawn("text", { class: "sub", x: 10, y: 36 }, clip(node.kind + " · " + node.plugin, 28)));
      group.append(drawn("text", { class: "sub", x: 10, y: 53 }, plural(node.visits, "visit") + (node.failed ? ", ✗ " + number(node.failed) + " failed" : "")));
      const show = () => { chosen = node.id; detail(place); };
      group.addEventListener("click", show);
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(); }
      });
      svg.append(group);
    }
    return section("flow", "Flow", element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Picture of the flow" }, svg),
      element("p", { class: "soft" }, "A node shows its reasons when it is clicked. Dashed ways with ✗ are those of errors."),
      place);
  }

  function detail(place) {
    const node = value.flow.nodes.find((one) => one.id === chosen);
    if (!node) return;
    const kinds = value.errors.kinds.filter((kind) => kind.node === node.id);
    place.replaceChildren(element("h3", {}, node.id),
      element("p", {}, node.kind + " " + node.plugin + ": " + plural(node.visits, "visit") + ", " + number(node.failed) + " failed; "
        + seconds(node.seconds) + " in all, " + seconds(node.longest) + " at the longest"),
      ...kinds.map((kind) => reason(kind, "detail")));
    if (!kinds.length) place.append(element("p", { class: "soft" }, "No errors are known of it."));
  }

  function reason(kind, where) {
    const key = where + "/" + kind.node + "/" + kind.reason;
    const found = folded(key, [element("strong", { class: "bad" }, "✗ " + number(kind.count)), " at " + kind.node + ": " + kind.reason],
      ...kind.samples.map((one) => story(one, key)));
    if (where === "detail") found.setAttribute("open", "");
    return found;
  }
  function story(one, where) {
    const name = one.row === null ? "Token " + one.token : "Row " + one.row + (one.line === null ? "" : ", line " + one.line);
    const steps = one.steps.map((step) => step.node + " " + step.status + " (" + seconds(step.seconds) + ")");
    const end = one.outcome ? one.outcome + (one.sink ? " in " + one.sink + (one.sink_row ? ", row " + one.sink_row : "") : "") : "no end yet";
    const asked = one.row === null ? one.token : String(one.row);
    const button = tell && element("button", { type: "button", class: "tell", "data-key": where + "/tell/" + asked }, "Tell its story");
    if (button) button.addEventListener("click", () => tell(asked));
    return folded(where + "/" + one.token, name + ", token " + one.token,
      element("p", {}, [one.source || "?", ...steps, end].join(" → ")),
      one.data === undefined ? null : element("pre", {}, one.data),
      button || element("p", { class: "soft" }, "All of it: ", element("code", {}, "elspeth explain --run " + value.run.run_id
        + (one.row === null ? " --token " + one.token : " --row " + one.row))));
  }

  function balance() {
    const b = value.balance;
    const outcomes = Object.entries(b.outcomes);
    const words = b.open ? plural(b.open, "token") + " without an end yet" : "every token has its outcome";
    return section("balance", "Balance",
      element("p", {}, plural(b.rows, "row") + " in, " + plural(b.tokens, "token") + ": " + words + "."),
      table(["outcome", "tokens", "share"], outcomes.map(([name, n]) => [name, number(n), share(n, b.tokens)]), [1, 2]),
      table(["sink", "rows", "file", "bytes", "SHA-256"],
        b.sinks.map((s) => [s.sink, number(s.rows), s.path || "", number(s.bytes), short(s.sha256)]), [1, 3]));
  }

  function curve(points) {
    if (points.length < 2) return null;
    const w = 640, h = 160, first = Date.parse(points[0].at), last = Date.parse(points[points.length - 1].at) || first + 1;
    const most = points[points.length - 1].rows || 1;
    const x = (p) => 50 + ((Date.parse(p.at) - first) / Math.max(last - first, 1)) * (w - 60);
    const y = (p) => h - 20 - (p.rows / most) * (h - 40);
    const svg = drawn("svg", { width: w, height: h, viewBox: "0 0 " + w + " " + h, role: "img",
      "aria-label": "Rows committed over time: " + number(most) + " in " + seconds((last - first) / 1000) });
    svg.append(drawn("line", { class: "axis", x1: 50, y1: h - 20, x2: w - 10, y2: h - 20 }));
    svg.append(drawn("path", { class: "curve", d: points.map((p, i) => (i ? "L" : "M") + x(p).toFixed(1) + " " + y(p).toFixed(1)).join(" ") }));
    svg.append(drawn("text", { class: "sub", x: 50, y: 14 }, number(most) + " rows"));
    svg.append(drawn("text", { class: "sub", x: w - 120, y: h - 4 }, seconds((last - first) / 1000)));
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows over time" }, svg);
  }
  function time() {
    const t = value.time;
    return section("time", "Time",
      element("p", {}, "Driven for " + seconds(t.seconds) + (t.rows_per_second ? ", " + number(Math.round(t.rows_per_second)) + " rows a second" : "")
        + "; " + plural(t.restarts, "restart") + " of children, " + plural(t.suspects, "suspicion") + "."),
      curve(t.curve),
      table(["attempt", "began", "ended", "how"], t.attempts.map((a) => [number(a.attempt), a.started_at, a.ended_at || "", a.why || ""]), [0]),
      folded("happened", "What happened (" + number(t.happenings.length + t.earlier) + ")", table(["at", "what"], t.happenings.map((one) => [one.at, one.sentence]))));
  }
  function nodes() {
    const all = value.flow.nodes.filter((node) => node.seconds).sort((a, b) => b.seconds - a.seconds);
    if (!all.length) return null;
    const sum = all.reduce((so, node) => so + node.seconds, 0);
    return section("nodes", "Where the time went",
      table(["node", "visits", "total", "share", "mean", "longest"], all.map((n) => [n.id, number(n.visits), seconds(n.seconds),
        share(n.seconds, sum), seconds(n.seconds / n.visits), seconds(n.longest)]), [1, 2, 3, 4, 5]),
      value.slowest.length ? folded("slowest", "Slowest visits",
        table(["token", "node", "took"], value.slowest.map((one) => [one.token, one.node, seconds(one.seconds)]), [2])) : null);
  }
  function errors() {
    const e = value.errors;
    return section("errors", "Errors by kind", e.kinds.length ? null : element("p", {}, "None."),
      e.kinds.map((kind) => reason(kind, "errors")),
      e.more_kinds ? element("p", { class: "soft" }, plural(e.more_kinds, "more kind") + " of errors are not shown.") : null,
      e.all ? null : element("p", { class: "soft" }, "Counted among the first " + number(e.read) + " errors."));
  }
  function calls() {
    if (!value.calls.length) return null;
    return section("calls", "Calls", table(["provider", "calls", "answered", "429", "unknown", "tokens in", "tokens out", "cost", "p50", "p95"],
      value.calls.map((c) => [c.provider, number(c.exchanges), number(c.answered), number(c.refused), number(c.unknown),
        number(c.input_tokens), number(c.output_tokens), c.cost, seconds(c.p50), seconds(c.p95)]), [1, 2, 3, 4, 5, 6, 7, 8, 9]));
  }
  function changed(rows) {
    return table(["what", "then", "now"], rows.map((one) => [one.key, one.then === null ? "(not there)" : number(one.then),
      one.now === null ? "(not there)" : number(one.now)]));
  }
  function against() {
    const a = value.against;
    if (!a) return null;
    return section("against", "Against run " + a.run_id,
      element("p", {}, "It " + (a.status === "running" ? "is not complete" : "is " + a.status) + ": " + plural(a.rows, "row") + " in " + seconds(a.seconds) + "."),
      ...[["Outcomes", a.outcomes], ["Sinks", a.written], ["Ways", a.edges], ["Reasons", a.reasons]].map(([title, rows]) =>
        element("div", {}, element("h3", {}, title), rows.length ? changed(rows) : element("p", { class: "soft" }, "The same."))));
  }
  function settings() {
    const s = value.settings;
    return section("settings", "Settings and evidence",
      s.since ? element("p", {}, s.changed.length ? plural(s.changed.length, "setting") + " changed since run " + s.since + "." : "The settings are those of run " + s.since + ".") : null,
      s.changed.length ? changed(s.changed) : null,
      s.files.length ? table(["file", "of", "path", "bytes", "SHA-256"], s.files.map((f) => [f.kind, f.node, f.path || "", number(f.bytes), short(f.sha256)]), [3]) : null,
      s.actions.length ? table(["at", "who", "did", "why"], s.actions.map((a) => [a.at, a.user, a.action, a.reason || ""])) : null,
      table(["attempt", "driven by"], Object.entries(s.drivers), [0]),
      folded("settings", "All settings", element("pre", {}, JSON.stringify(s.settings, null, 2))));
  }

  // A part that is drawn anew takes the place of the old one only if it differs, and looks as it was left: what was
  // opened stays open, what was scrolled stays there, and the focus stays where it was.
  function replace(old, fresh) {
    const opened = new Map();
    for (const one of old.querySelectorAll("details[data-key]")) opened.set(one.dataset.key, one.open);
    for (const one of fresh.querySelectorAll("details[data-key]")) {
      if (opened.has(one.dataset.key)) one.open = opened.get(one.dataset.key);
    }
    if (old.isEqualNode(fresh)) return;
    const places = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const focused = old.contains(document.activeElement) ? key(document.activeElement) : null;
    old.replaceWith(fresh);
    fresh.querySelectorAll(".scroll").forEach((one, at) => { if (places[at]) one.scrollLeft = places[at]; });
    if (focused === null) return;
    const again = [...fresh.querySelectorAll("[tabindex], summary, button, a")].find((one) => key(one) === focused);
    if (again) again.focus({ preventScroll: true });
  }
  function key(one) {
    return one.nodeName + "/" + (one.dataset.key || one.dataset.node || one.parentNode.dataset.key || one.getAttribute("aria-label"));
  }

  const parts = { verdict, flow, balance, time, nodes, errors, calls, against, settings };
  function draw(next) {
    if (value && value.run.run_id !== next.run.run_id) { chosen = null; main.replaceChildren(); }
    value = next;
    document.title = "Elspeth run " + value.run.run_id;
    document.getElementById("title").textContent = "Run " + value.run.run_id;
    for (const one of main.querySelectorAll(":scope > :not([id])")) one.remove();  // what stood there before a script ran
    let before = null;
    for (const [name, part] of Object.entries(parts)) {
      const old = document.getElementById(name), fresh = part();
      if (old && fresh) replace(old, fresh);
      else if (old) old.remove();
      else if (fresh && before) before.after(fresh);
      else if (fresh) main.prepend(fresh);
      before = document.getElementById(name) || before;
    }
  }

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const given = JSON.parse(document.getElementById("value").textContent);
  if (given) draw(given);
  else window.elspeth = { element, table, number, draw, shown: () => value, onTell: (how) => { tell = how; } };
})();
