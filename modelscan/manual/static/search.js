// Search in the site of files, over the rows of index.js: [page, title, heading, anchor, text].
// The rules are those of modelscan/manual/search.py.
"use strict";
(() => {
  const most = 20, around = 70, last = ["reference/", "internals/"];
  const query = (new URLSearchParams(location.search).get("q") || "").slice(0, 200);
  const words = query.toLowerCase().match(/[\p{L}\p{N}]+/gu) || [];
  const begins = words.map((word) => new RegExp(`(?<![\\p{L}\\p{N}])${word}`, "gu"));

  const count = (text, pattern) => (text.toLowerCase().match(pattern) || []).length;
  function score([page, title, heading, , text]) {
    let total = 0;
    for (const pattern of begins) {
      const one = 12 * (count(title, pattern) > 0) + 8 * (count(heading, pattern) > 0)
        + Math.min(count(text, pattern), 4);
      if (!one) return 0;
      total += one;
    }
    return last.some((folder) => page.startsWith(folder)) || page.endsWith("index") ? total / 2 : total;
  }

  function excerpt(text) {
    const at = Math.max(0, ...begins.slice(0, 1).map((one) => text.toLowerCase().search(one)));
    const begin = at > around ? text.indexOf(" ", at - around) + 1 : 0;
    const end = text.length > at + 2 * around ? text.lastIndexOf(" ", at + 2 * around) : text.length;
    return `${begin ? "… " : ""}${text.slice(begin, end).trim()}${end < text.length ? " …" : ""}`;
  }

  function row([page, title, heading, anchor, text]) {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = `${page}.html${anchor ? `#${anchor}` : ""}`;
    link.textContent = heading ? `${title}: ${heading}` : title;
    const shown = document.createElement("p");
    shown.textContent = excerpt(text);
    item.append(link, shown);
    return item;
  }

  addEventListener("DOMContentLoaded", () => {
    document.querySelector("input[name=q]").value = query;
    const found = words.length
      ? MANUAL.map((part, at) => [score(part), at, part]).filter(([points]) => points > 0)
        .sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, most)
      : [];
    const answer = document.getElementById("answer");
    answer.textContent = !words.length ? "Write words into the field above."
      : found.length ? `${found.length === most ? "The best " : ""}${found.length} for “${query}”`
        : `Nothing in the manual has all of “${query}”.`;
    document.getElementById("found").append(...found.map(([, , part]) => row(part)));
  });
})();
