
"use strict";
(function () {
  const { element, table, number, draw, shown, onTell } = window.elspeth;
  const main = document.getElementById("main");
  const live = element("span", { id: "live", role: "status" }, "Waiting for the first word");
  const runs = element("details", { id: "runs" }, element("summary", {}, "Runs"));
  const input = element("input", { id: "asked", type: "text", autocomplete: "off", spellcheck: "false",
    placeholder: "42, id=1543, or the id of a row or token" });
  const form = element("form", { id: "search", role: "search" }, element("label", { for: "asked" }, "Find a row "), input,
    element("button", { type: "submit" }, "Tell its story"));
  const told = element("section", { id: "told", "aria-label": "The story of a row", hidden: "" });
  document.getElementById("theme").before(live);
  main.before(element("nav", { "aria-label": "Runs and rows" }, form, runs), told);

  // Which run, and what is asked about it, stand behind the # of the address: #RUN or #RUN/WHAT.
  function place() {
    const [run, ...rest] = location.hash.slice(1).split("/");
    let asked = rest.join("/");
    try { asked = decodeURIComponent(asked); } catch (error) { asked = ""; }
    return { run: run || "latest", asked: asked };
  }
  function go(run, asked) {
    const hash = "#" + (run === "latest" && !asked ? "" : run + (asked ? "/" + encodeURIComponent(asked) : ""));
    if (location.hash === hash) follow(); else location.hash = hash;
  }

  let source = null, watched = null, answers = 0;
  function follow() {
    const { run, asked } = place();
    if (run !== watched) watch(run);
    input.value = asked;
    if (asked) ask(run, asked); else told.hidden = true;
  }
  function watch(run) {
    if (source) source.close();
    watched = run;
    source = new EventSource("/events?run=" + encodeURIComponent(run));
    source.addEventListener("run", (event) => {
      const value = JSON.parse(event.data);
      draw(value);
      live.textContent = "Live, last change " + value.made_at.slice(11, 19) + " UTC";
      mark();
    });
    source.addEventListener("runs", (event) => list(JSON.parse(event.data)));
    source.addEventListener("trouble", (event) => {
      const trouble = JSON.parse(event.data);
      live.textContent = trouble.message + (trouble.details.length ? ": " + trouble.details.join("; ") : "");
    });
    source.addEventListener("error", () => {
      live.textContent = source.readyState === EventSource.CLOSED
        ? "The server takes this page no more: open the address that elspeth ui printed last"
        : "Connection lost, trying again";
    });
  }

  function list(value) {
    const open = runs.open, focused = runs.contains(document.activeElement) ? document.activeElement.textContent : null;
    runs.replaceChildren(element("summary", {}, "Runs (" + number(value.runs.length) + (value.more ? " and more" : "") + ")"),
      element("p", {}, element("a", { href: "#" }, "Follow the latest run"), " of " + value.database),
      table(["run", "status", "started", "rows", "set aside", "pipeline"], value.runs.map((one) => [
        element("a", { href: "#" + one.run_id }, one.run_id),
        one.status + (one.state && one.state !== "alive" ? " (" + one.state.replace("_", " ") + ")" : ""),
        one.started_at.slice(0, 16).replace("T", " "), number(one.rows),
        Object.entries(one.failures).map(([name, n]) => number(n) + " " + name).join(", "), one.settings_path]), [3]));
    runs.open = open;
    for (const one of runs.querySelectorAll("a, summary")) if (one.textContent === focused) one.focus({ preventScroll: true });
    mark();
  }
  function mark() {
    for (const one of runs.querySelectorAll("td a")) {
      if (shown() && one.textContent === shown().run.run_id) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
  }

  async function ask(run, asked) {
    const mine = ++answers;
    told.hidden = false;
    told.replaceChildren(element("p", { role: "status" }, "Looking for " + asked));
    let answer;
    try {
      const found = await fetch("/story?run=" + encodeURIComponent(run) + "&of=" + encodeURIComponent(asked));
      answer = found.ok ? await found.json() : { trouble: (await found.text()).trim(), details: [] };
    } catch (error) {
      answer = { trouble: "The server does not answer", details: [] };
    }
    if (mine !== answers) return;  // something else was asked for meanwhile
    told.replaceChildren(...said(run, answer));
    told.scrollIntoView({ block: "nearest" });
    told.querySelector("h2").focus({ preventScroll: true });
  }
  function said(run, answer) {
    const title = (words) => element("h2", { tabindex: "-1" }, words);
    const close = element("button", { type: "button" }, "Close");
    close.addEventListener("click", () => go(run, ""));
    if (answer.trouble) {
      return [title("No story"), element("p", { class: "bad" }, answer.trouble), ...answer.details.map((one) => element("p", { class: "soft" }, one)), close];
    }
    if (answer.rows) {
      const more = answer.found > answer.rows.length ? ", the first of them" : "";
      return [title(number(answer.found) + " rows with " + answer.words),
        element("p", { class: "soft" }, "Of " + number(answer.scanned) + " rows" + (answer.unseen ? "; the data of " + number(answer.unseen) + " is not there to be searched" : "") + more + "."),
        table(["row", "line"], answer.rows.map((one) => [element("a", { href: "#" + run + "/" + one.row }, String(one.row)), number(one.line)]), [1]), close];
    }
    const lines = answer.lines.map((line) => element("span", { class: kind(line) }, line + "\n"));
    return [title("Row " + answer.row + " of run " + answer.run_id + (answer.token ? ", token " + answer.token : "")),
      element("pre", { tabindex: "0", "aria-label": "Story" }, lines),
      answer.more ? element("p", { class: "soft" }, number(answer.more) + " more lines: elspeth explain --run " + answer.run_id + " --row " + answer.row) : null,
      close].filter((one) => one);
  }
  const kind = (line) => (/^[ │├└─]*\+ /.test(line) ? "added" : /^[ │├└─]*- /.test(line) ? "removed" : /^[ │├└─]*~ /.test(line) ? "changed" : "");

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) go(place().run, input.value.trim());
  });
  onTell((asked) => go(place().run, asked));
  window.addEventListener("hashchange", follow);
  follow();
})();
