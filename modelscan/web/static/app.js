// Comfort on top of pages that work without it: live forms, polling, changes with a key, copying,
// the theme, the context slider, tips. Answers of the server are parsed once, through the policy.
const policy = window.trustedTypes?.createPolicy("modelscan", {
  createHTML: (html) => html,
  createScriptURL: (url) => {
    if (new URL(url, location.href).origin !== location.origin || !new URL(url, location.href).pathname.startsWith("/static/")) throw new TypeError("not a script of this server");
    return url;
  },
}) ?? { createHTML: (html) => html, createScriptURL: (url) => url };
const say = (words) => { document.getElementById("said").textContent = words; };
const parse = (html) => new DOMParser().parseFromString(policy.createHTML(html), "text/html");
const sum = (node) => node.textContent.replace(/\s+/g, " ").trim();

// The key of changes: from the link's fragment, kept for this tab, sent as a header only.
const KEY = "modelscan.key";
const exposed = document.documentElement.hasAttribute("data-exposed");
function takeKey() {
  const match = /^#key=([\x21-\x7e]{8,512})$/.exec(location.hash);
  if (!match) return;
  sessionStorage.setItem(KEY, decodeURIComponent(match[1]));
  history.replaceState(null, "", location.pathname + location.search);
}
takeKey();
const key = () => sessionStorage.getItem(KEY);
const headers = (more = {}, always = exposed) => (always && key() ? { ...more, Authorization: `Bearer ${key()}` } : more);

// Forms that show their answer at once
async function refresh(form, id, signal) {
  const values = [...new FormData(form)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(values).toString();
  await replacePart(`${form.action.split("?")[0]}${query ? `?${query}` : ""}`, id, signal, true);
}

async function replacePart(url, id, signal, show) {
  const area = document.getElementById(id);
  if (show) area.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(url, { signal, headers: headers({ Accept: "text/html" }) });
    const page = parse(await answer.text());
    const fresh = page.getElementById(id);
    if (!fresh) { if (show) location.assign(url); return; }
    const open = new Set([...area.querySelectorAll("details[open] > summary")].map(sum));
    for (const part of fresh.querySelectorAll("details > summary")) if (open.has(sum(part))) part.parentElement.open = true;
    area.replaceWith(document.adoptNode(fresh));
    if (show) {
      history.replaceState(null, "", url);
      document.title = page.title;
      say(sum(fresh.querySelector(".count, .notice, .answer") ?? fresh).slice(0, 300));
    }
    dress(fresh);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    area.removeAttribute("aria-busy");
    if (show) say(`Not updated: ${problem.message}`); else throw problem;
  }
}

function liveForms(root) {
  for (const form of root.querySelectorAll("form[data-live]")) {
    let timer, going;
    const later = (wait) => {
      clearTimeout(timer);
      timer = setTimeout(() => { going?.abort(); going = new AbortController(); refresh(form, form.dataset.live, going.signal); }, wait);
    };
    form.addEventListener("change", () => later(0));
    form.addEventListener("input", (event) => { if (event.target.matches("input:not([type=checkbox])")) later(250); });
    form.addEventListener("submit", (event) => { event.preventDefault(); later(0); });
  }
}

// Polling: one small document every two seconds, with its ETag, while the page is seen
const GIB = 2 ** 30;
const show = {
  tokens_per_s: (v) => rate(v), requests_per_s: (v) => rate(v),
  in_flight: (v) => v.toLocaleString("en"), running: (v) => v.toLocaleString("en"), waiting: (v) => v.toLocaleString("en"),
  kv_cache_used: (v) => `${Math.round(100 * v)} %`,
  measured_bytes: (v) => (v > 0 && v < GIB ? `${Math.round(v / 2 ** 20)} MiB` : `${(v / GIB).toFixed(1)} GiB`),
};
const rate = (v) => (v <= 0 ? "0" : Number(v.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 3 }));
let etag = null, failures = 0, pollTimer, missedSince = null;

async function poll() {
  clearTimeout(pollTimer);
  const area = document.querySelector("[data-poll]");
  if (!area) return;
  if (document.hidden) { pollTimer = setTimeout(poll, 2000); return; }
  try {
    const answer = await fetch(area.dataset.poll, { headers: headers(etag ? { "If-None-Match": etag } : {}), cache: "no-store" });
    if (answer.status === 200) {
      etag = answer.headers.get("ETag");
      await figures(area, await answer.json());
    } else if (answer.status !== 304) throw new Error(`the server answered ${answer.status}`);
    if (failures) { document.getElementById("lost").hidden = true; say("Updated again"); }
    failures = 0;
    missedSince = null;
  } catch (problem) { lost(problem); }
  pollTimer = setTimeout(poll, failures ? Math.min(30, 2 ** failures) * 1000 : 2000);
}

function lost(problem) {
  failures = Math.min(failures + 1, 5);
  missedSince ??= new Date();
  const box = document.getElementById("lost");
  box.textContent = `Not updated since ${missedSince.toLocaleTimeString("en-GB")}: ${problem.message}. The numbers below are the last known ones.`;
  if (box.hidden) say(box.textContent);
  box.hidden = false;
}

async function figures(area, document_) {
  const only = area.dataset.only;
  const services = document_.services.filter((one) => !only || one.name === only);
  const signature = services.map((one) => `${one.name}:${one.state}:${one.health ?? "None"}`).join("|");
  if (signature !== area.dataset.signature && !area.contains(document.activeElement)) {
    area.dataset.signature = signature; // one try per change, whatever the page says
    await replacePart(location.href, area.id, undefined, false);
    return;
  }
  if (!only) devices(area, document_.devices);
  for (const cell of area.querySelectorAll("[data-gateway]")) put(cell, document_.gateway[cell.dataset.gateway], cell.dataset.gateway);
  for (const row of area.querySelectorAll("[data-service]")) {
    const one = services.find((service) => service.name === row.dataset.service);
    for (const cell of row.querySelectorAll("[data-v]")) {
      put(cell, one?.[cell.dataset.v], cell.dataset.v);
    }
  }
}

function put(cell, value, name) {
  const text = value == null ? "–" : show[name](value);
  if (cell.textContent !== text) cell.textContent = text;
}

// The memory of each device: the text always, the bar where it stands for one device
function devices(area, rows) {
  for (const device of rows) {
    const place = area.querySelector(`[data-device="${device.index ?? "host"}"]`);
    if (!place || !device.total_bytes) continue;
    const own = device.shares.reduce((sum, one) => sum + (one.measured_bytes ?? one.promised_bytes), 0);
    const other = Math.max(0, (device.used_bytes ?? 0) - own);
    const gib = (v) => (v / GIB).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    const head = place.querySelector("[data-used]"), text = gib(own + other);
    if (head.textContent === text) continue;
    head.textContent = text;
    const picture = place.querySelector("svg.bar");
    if (place.dataset.alone && picture) redrawn(picture, device, own, other);
  }
}

function redrawn(picture, device, own, other) {
  const all = device.shares.map((one) => [one.measured_bytes == null ? "expected" : "weights", one.measured_bytes == null ? "hatch" : "", one.measured_bytes ?? one.promised_bytes]);
  const large = all.filter(([, , size]) => size >= device.total_bytes / 100), small = all.filter(([, , size]) => size < device.total_bytes / 100);
  const parts = [...large, ["weights", "", small.reduce((sum, [, , size]) => sum + size, 0)], ["other", "stripes", other]];
  const shapes = bar({ parts: parts.map(([, , size]) => size), bytes: own + other }, device.total_bytes, parts, Math.max(own + other, device.total_bytes), 30);
  const labels = own === Number(picture.dataset.own) ? [...picture.querySelectorAll("text:not(.free):not(.other)")] : [];
  picture.dataset.own = own;
  picture.setAttribute("aria-label", `${(own / GIB).toFixed(1)} GiB of deployments, ${(other / GIB).toFixed(1)} GiB of other programs, ${((device.total_bytes - own - other) / GIB).toFixed(1)} GiB free`);
  picture.replaceChildren(...shapes.childNodes, ...labels, ...shares(device.total_bytes, own, other));
}

// The labels of what deployments do not use, where they have room: as charts/bar.py has them
function shares(total, own, other) {
  const gib = (v) => (v / GIB).toFixed(1), free = total - own - other, part = (v) => (100 * v) / total;
  const label = (kind, from, size, words) => {
    const text = svg("text", { class: kind, x: `${part(from + size / 2)}%`, y: 19.5 });
    text.textContent = words;
    return text;
  };
  const long = part(other) >= 16, found = [];
  if (long) found.push(label("in other long", own, other, `other programs ${gib(other)}`));
  if (part(other) >= 8) found.push(label(long ? "in other short" : "in other", own, other, gib(other)));
  if (part(free) >= 18) found.push(label("free", own + other, free, `${gib(free)} free`));
  return found;
}

// Changes
function changes(root) {
  const may = Boolean(key());
  const badge = document.getElementById("mode");
  badge.textContent = may ? "May change" : "Read-only";
  badge.classList.toggle("may", may);
  for (const note of root.querySelectorAll(".read-only")) note.hidden = may;
  for (const control of root.querySelectorAll(".change")) {
    control.hidden = !may;
    if (control.dataset.ready) continue;
    control.dataset.ready = "yes";
    if (control.tagName === "FORM") control.addEventListener("submit", (event) => { event.preventDefault(); change(control, event.submitter); });
    else control.addEventListener("click", () => change(control, control));
  }
  for (const control of root.querySelectorAll(".texts")) texts(control, may);
}

// What a form or a button sends: fields that name a part of the address are put there.
const inPath = (text) => text.split("/").map(encodeURIComponent).join("/");
function wish(control) {
  let action = control.dataset.action;
  const body = JSON.parse(control.dataset.body || "{}");
  for (const field of control.elements ?? []) {
    const value = field.value.trim();
    if (!field.name || value === "") continue;
    if (field.dataset.place) action = action.replace(`{${field.name}}`, inPath(value));
    else body[field.name] = field.type === "number" ? Number(value) : value;
  }
  return { action, body: Object.keys(body).length || control.dataset.body ? JSON.stringify(body) : undefined };
}

async function change(control, button) {
  const { method, confirm: question } = control.dataset;
  if (question && !window.confirm(question)) return;
  const { action, body } = wish(control);
  const told = (control.tagName === "FORM" ? control : control.parentElement).querySelector(".job") ?? document.getElementById("said");
  // What became of a change stays although the part of the page around its button is replaced.
  const write = (words, ended = true) => {
    told.textContent = words;
    if (ended) tell(words); else document.getElementById("told").hidden = true;
  };
  const done = (words) => { write(words); if (control.dataset.again) again(words); };
  button.disabled = true;
  write("…", false);
  try {
    const sent = headers(body ? { "Content-Type": "application/json", Accept: "application/json" } : { Accept: "application/json" }, true);
    const answer = await fetch(action, { method, headers: sent, body });
    const document_ = await answer.json().catch(() => ({}));
    if (answer.status === 202) await follow(answer.headers.get("Location"), write, done);
    else if (answer.ok && document_.ok === undefined) done("done");
    else if (answer.ok) write(document_.ok === false ? `failed: ${document_.detail ?? document_.status ?? ""}` : `answers in ${document_.elapsed_s == null ? "time" : `${document_.elapsed_s.toFixed(2)} s`}`);
    else if (answer.status === 401) { sessionStorage.removeItem(KEY); write("the key is not valid any more"); changes(document); }
    else write(`refused: ${document_.detail ?? document_.error ?? answer.status}`);
  } catch (problem) { write(`failed: ${problem.message}`); }
  button.disabled = false;
}

function tell(words) {
  const box = document.getElementById("told");
  box.textContent = words;
  box.hidden = false;
  say(words);
}

// The page once more, with what was told: most of it changed.
const TOLD = "modelscan.told";
function again(words) { sessionStorage.setItem(TOLD, words); location.reload(); }
// Only with a new page: the old one may still be refreshed while the browser leaves it.
function toldBefore() {
  const words = sessionStorage.getItem(TOLD);
  if (!words || !document.getElementById("told")) return;
  sessionStorage.removeItem(TOLD);
  tell(words);
}

async function follow(place, write, done) {
  for (;;) {
    const answer = await fetch(place, { headers: headers({}, true), cache: "no-store" });
    const { job } = await answer.json();
    if (!job) return;
    if (job.state === "failed") { write(`${job.action} failed: ${job.error.message}`); return; }
    if (job.state === "done") {
      done(`${job.action}: done`);
      if (job.action === "deploy") linkTo(job.name);
      etag = null;
      poll();
      return;
    }
    write(`${job.action}${job.step ? `: ${job.step}` : ""} …`, false);
    await new Promise((next) => setTimeout(next, 1000));
  }
}

function linkTo(name) {
  const link = document.createElement("a");
  link.href = `/deployment/${inPath(name)}`;
  link.textContent = name;
  document.getElementById("told").append(" · ", link);
}

// The texts of a request, where they are kept by choice: with the key only
function texts(control, may) {
  control.hidden = !may;
  const button = control.querySelector("button"), box = control.querySelector("div");
  if (control.dataset.ready) return;
  control.dataset.ready = "yes";
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const answer = await fetch(control.dataset.texts, { headers: headers({ Accept: "application/json" }, true), cache: "no-store" });
      const document_ = await answer.json();
      if (!answer.ok) throw new Error(document_.detail ?? answer.status);
      const { content } = document_.span;
      const said = [...(content?.messages ?? []), ...(content?.answer ? [content.answer] : [])];
      box.replaceChildren(...said.map(message));
      if (content?.cut) box.append("Longer texts were cut.");
      if (!said.length) box.textContent = content ? "The texts that were kept are no conversation." : "No texts of this request were kept.";
      say(`${said.length} messages`);
      button.hidden = said.length > 0;
    } catch (problem) { box.textContent = `refused: ${problem.message}`; }
    button.disabled = false;
  });
}

function message(one) {
  const part = document.createElement("article"), title = document.createElement("h3"), body = document.createElement("pre");
  const { role, content, ...more } = one;
  part.className = "message";
  title.className = "small";
  title.textContent = role;
  body.className = "file";
  body.tabIndex = 0;
  const rest = Object.entries(more).filter(([, value]) => value != null && value.length !== 0);
  body.textContent = [content == null ? "" : typeof content === "string" ? content : JSON.stringify(content, null, 2), rest.length ? JSON.stringify(Object.fromEntries(rest), null, 2) : ""].filter(Boolean).join("\n");
  part.append(title, body);
  return part;
}

// A gateway that others reach: the page itself is fetched with the key
function unlock() {
  const form = document.getElementById("unlock");
  if (!form) return;
  form.hidden = false;
  const field = document.getElementById("unlock-key"), fault = document.getElementById("unlock-fault");
  const open = async () => {
    const answer = await fetch(location.href, { headers: headers({ Accept: "text/html" }, true), cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) { sessionStorage.removeItem(KEY); fault.hidden = false; return; }
    const page = parse(await answer.text());
    document.title = page.title;
    const scripts = [...page.querySelectorAll("head script[src]")].map((one) => one.getAttribute("src"));
    const styles = [...page.querySelectorAll("head link[rel=stylesheet]")];
    document.body.replaceWith(document.adoptNode(page.body));
    const known = new Set([...document.querySelectorAll("head script[src]")].map((one) => one.getAttribute("src")));
    document.head.append(...styles.filter((one) => !document.querySelector(`link[href="${one.getAttribute("href")}"]`)).map((one) => document.adoptNode(one)));
    for (const url of scripts.filter((one) => !known.has(one))) {
      const script = document.createElement("script");
      script.src = policy.createScriptURL(url);
      if (!url.includes("iife")) script.type = "module";
      script.async = false;
      document.head.append(script);
    }
    themes();
    keyBox();
    dress(document);
    toldBefore();
    poll();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); sessionStorage.setItem(KEY, field.value.trim()); open(); });
  if (key()) open();
}

// A key that is typed: a curator's, where the link had the pages' own
function keyBox() {
  const open = document.getElementById("key-open"), box = document.getElementById("key-box"), field = document.getElementById("key-field");
  open.hidden = false;
  open.addEventListener("click", () => { field.value = ""; box.returnValue = ""; box.showModal(); });
  box.addEventListener("close", () => {
    const typed = field.value.trim();
    field.value = "";
    if (box.returnValue === "forget") sessionStorage.removeItem(KEY);
    else if (box.returnValue === "use" && /^[\x21-\x7e]{8,512}$/.test(typed)) sessionStorage.setItem(KEY, typed);
    else return;
    changes(document);
    say(key() ? "The key is used for changes" : "The key was forgotten");
  });
}

// Theme
function themes() {
  const button = document.querySelector(".theme"), kinds = ["system", "light", "dark"];
  let kind = localStorage.getItem("modelscan.theme") ?? "system";
  const wear = () => {
    if (kind === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = kind;
    button.lastElementChild.textContent = kind;
  };
  button.hidden = false;
  wear();
  button.addEventListener("click", () => { kind = kinds[(kinds.indexOf(kind) + 1) % 3]; localStorage.setItem("modelscan.theme", kind); wear(); });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.target.closest("input, select, textarea")) {
    const field = document.querySelector('[data-key="/"]');
    if (field) { event.preventDefault(); field.focus(); }
  }
  if (event.key === "Escape") hide();
});

// The slider of contexts
const svg = (name, values) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [name_, value] of Object.entries(values)) made.setAttribute(name_, value);
  return made;
};
const words = (n) => { const unit = n % 1000 ? 1024 : 1000; return n % unit ? n.toLocaleString("en") : `${n / unit}k`; };

function bar(point, limit, parts, scale, height = 18) {
  const picture = svg("svg", { class: "bar", width: "100%", height, "aria-hidden": "true" });
  picture.append(svg("rect", { class: "track", width: "100%", height }));
  let at = 0;
  parts.forEach(([part, pattern], i) => {
    const share = (100 * point.parts[i]) / scale;
    picture.append(svg("rect", { class: `part ${part}`, x: `${at}%`, width: `${share}%`, height }));
    if (pattern) picture.append(svg("rect", { x: `${at}%`, width: `${share}%`, height, fill: `url(#${pattern})` }));
    at += share;
  });
  if (scale > limit) {
    const edge = (100 * limit) / scale;
    if (at > edge) picture.append(svg("rect", { x: `${edge}%`, width: `${at - edge}%`, height, fill: "url(#over)" }));
    picture.append(svg("line", { class: "limit", x1: `${edge}%`, x2: `${edge}%`, y1: 0, y2: height }));
  }
  return picture;
}

function slider(root) {
  const source = root.querySelector("#curves"), box = root.querySelector(".slider");
  if (!source || !box) return;
  const { limit, now: planned, parts, curves } = JSON.parse(source.textContent);
  const input = box.querySelector("input"), now = box.querySelector("output"), lines = box.querySelector("#tier-bars");
  const said = (p) => p.state === "too_big" ? `${Math.max(0, (p.bytes - limit) / GIB).toFixed(1)} too much` : `${p.state}${p.speed ? `, ${p.speed.toFixed(0)} tokens/s` : ""}`;
  input.value = Math.max(0, curves[0].points.findLastIndex((p) => p.n <= planned));
  const draw = () => {
    const i = Number(input.value), n = curves[0].points[i].n, scale = Math.max(limit, ...curves.map((c) => c.points[i].bytes));
    now.textContent = `${words(n)} tokens`;
    input.setAttribute("aria-valuetext", `${words(n)} tokens: ` + curves.map((c) => `${c.kv} ${(c.points[i].bytes / GIB).toFixed(1)} GiB, ${said(c.points[i])}`).join("; "));
    lines.replaceChildren(...curves.map((c) => {
      const p = c.points[i], line = document.createElement("div"), name = document.createElement("span"), text = document.createElement("span");
      line.className = "tierline";
      name.textContent = c.kv;
      text.textContent = `${(p.bytes / GIB).toFixed(1)} GiB, ${said(p)}`;
      line.dataset.state = p.state;
      line.append(name, bar(p, limit, parts, scale), text);
      return line;
    }));
    for (const g of root.querySelectorAll(".now")) {
      const { left, right, last } = g.dataset, x = Number(left) + (n / last) * (right - left);
      for (const end of ["x1", "x2"]) g.firstElementChild.setAttribute(end, x);
    }
  };
  input.addEventListener("input", draw);
  box.hidden = false;
  draw();
}

// Tips of marks, copying, filtering a log
let tip;
const hide = () => { tip?.remove(); tip = null; };
function tips(root) {
  for (const mark of root.querySelectorAll(".chart .dot, .chart .pt, .chart .score")) {
    const title = mark.querySelector("title");
    if (!title) continue;
    const text = title.textContent;
    title.remove();
    mark.addEventListener("pointerenter", () => {
      hide();
      tip = document.createElement("div");
      tip.className = "tip";
      tip.textContent = text;
      document.body.append(tip);
      const at = mark.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(at.left + scrollX - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 16))}px`;
      tip.style.top = `${at.top + scrollY - tip.offsetHeight - 8}px`;
    });
    mark.addEventListener("pointerleave", hide);
  }
}

function copying(root) {
  for (const button of root.querySelectorAll(".copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      say("Copied");
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

function logs(root) {
  const field = root.querySelector("#log-filter"), box = root.querySelector("#log-lines"), pause = root.querySelector("#log-pause");
  if (!field || !box) return;
  let all = box.textContent.split("\n"), tag = null;
  const draw = () => {
    const text = field.value.toLowerCase(), lines = text ? all.filter((line) => line.toLowerCase().includes(text)) : all;
    const end = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.textContent = lines.join("\n");
    if (end) box.scrollTop = box.scrollHeight;
  };
  field.closest("[hidden]")?.removeAttribute("hidden");
  box.scrollTop = box.scrollHeight;
  field.addEventListener("input", draw);
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? "Go on" : "Pause";
    say(paused ? "The log is paused" : "The log goes on");
  });
  const look = async () => {
    if (!box.isConnected) return;
    if (!document.hidden && pause.getAttribute("aria-pressed") !== "true") {
      try {
        const answer = await fetch(box.dataset.log, { headers: headers(tag ? { "If-None-Match": tag } : {}), cache: "no-store" });
        if (answer.status === 200) { tag = answer.headers.get("ETag"); all = (await answer.json()).lines; draw(); }
      } catch { /* the page says that the server is lost */ }
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
}

function dress(root) {
  liveForms(root);
  changes(root);
  copying(root);
  logs(root);
  slider(root);
  tips(root);
}
themes();
keyBox();
dress(document);
toldBefore();
unlock();
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
window.addEventListener("hashchange", () => { takeKey(); changes(document); });
pollTimer = setTimeout(poll, 2000);
