// Everything can be read without this: it copies, filters, switches curves off, and reads them out.
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  const units = {
    plain: (v) => digits(v),
    count: (v) => digits(v),
    share: (v) => digits(v * 100) + " %",
    rate: (v) => digits(v) + "/s",
    times: (v) => v.toFixed(2) + "×",
    time: (v) =>
      v >= 120 ? digits(v / 60) + " min" : v >= 1 ? digits(v) + " s" :
      v >= 1e-3 || v === 0 ? digits(v * 1e3) + " ms" : digits(v * 1e6) + " µs",
  };
  function digits(value) {
    const size = Math.abs(value);
    const places = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    return value.toFixed(places);
  }

  // Copy the command.
  all(".copy").forEach((button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(button.previousElementSibling.textContent).then(
        () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); },
        () => { button.hidden = true; },
      );
    });
  });

  // Filter the cards: each word must occur.
  all(".filter").forEach((label) => {
    label.hidden = false;
    const cards = all(".card").map((card) => [card, card.textContent.toLowerCase()]);
    label.querySelector("input").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/);
      cards.forEach(([card, text]) => { card.hidden = !words.every((word) => text.includes(word)); });
    });
  });

  // Switch a curve off in all pictures of its panel.
  all(".key").forEach((key) => {
    key.addEventListener("click", () => {
      const off = key.getAttribute("aria-pressed") === "true";
      key.setAttribute("aria-pressed", String(!off));
      all("[data-curve='" + key.dataset.curve + "']", key.closest(".panel"))
        .filter((part) => part !== key)
        .forEach((part) => { part.style.display = off ? "none" : ""; });
    });
  });

  // A path back into points: moves with M, then steps from point to point with l.
  function points(path) {
    if (!path.parsed) {
      path.parsed = [];
      for (const piece of path.getAttribute("d").split("M").slice(1)) {
        const numbers = piece.split(/[l ]/).map(Number);
        let [x, y] = numbers;
        path.parsed.push([x, y]);
        for (let at = 2; at + 1 < numbers.length; at += 2) {
          x += numbers[at];
          y += numbers[at + 1];
          path.parsed.push([x, y]);
        }
      }
    }
    return path.parsed;
  }
  // The last point at or before a place: of a step its value, of a line one that is near enough.
  function value_at(path, x) {
    const list = points(path);
    let low = 0, high = list.length;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (list[middle][0] <= x) low = middle; else high = middle;
    }
    const next = list[low + 1];
    const held = path.hasAttribute("data-stepped");
    const nearer = !held && next && next[0] - x < x - list[low][0];
    return list.length ? (nearer ? next : list[low])[1] : NaN;
  }
  function scaled(from, to, log, share) {
    return log ? from * Math.pow(to / from, share) : from + (to - from) * share;
  }

  const plots = all(".plot").map((box) => {
    const svg = box.querySelector("svg.picture");
    // The browser would show the title as a hint, over the curves.
    all(":scope > title", svg).forEach((title) => {
      svg.setAttribute("aria-label", title.textContent);
      svg.removeAttribute("aria-labelledby");
      const about = svg.querySelector("desc");
      if (about) svg.setAttribute("aria-describedby", about.id);
      title.remove();
    });
    const part = (name) => {
      const made = document.createElement("div");
      made.className = name;
      made.hidden = true;
      made.setAttribute("aria-hidden", "true");
      box.append(made);
      return made;
    };
    return { box, svg, panel: box.closest(".panel"), cursor: part("cursor"), readout: part("readout") };
  });

  function read(plot, share) {
    const { svg, readout, box } = plot;
    const data = svg.dataset;
    const lines = [];
    all("path.curve", svg).forEach((path) => {
      if (path.style.display === "none") return;
      const y = value_at(path, share * 2000);
      const value = scaled(+data.y0, +data.y1, "yLog" in data, 1 - y / 1000);
      if (Number.isFinite(value)) {
        lines.push([getComputedStyle(path).stroke, path.dataset.name + ": " + units[data.yUnit](value)]);
      }
    });
    all("path.state", svg).forEach((path) => {
      for (const found of path.getAttribute("d").matchAll(/M(\d+) 0h(\d+)/g)) {
        const from = +found[1];
        if (share * 2000 >= from && share * 2000 <= from + +found[2]) {
          const of = path.dataset.of ? path.dataset.of + ": " : "";
          lines.push([getComputedStyle(path).stroke, of + path.dataset.state]);
          break;
        }
      }
    });
    const at = scaled(+data.x0, +data.x1, "xLog" in data, share);
    readout.replaceChildren();
    const head = document.createElement("div");
    head.textContent = "at " + units[data.xUnit](at);
    readout.append(head);
    for (const [colour, text] of lines) {
      const line = document.createElement("div");
      const dot = document.createElement("i");
      dot.style.background = colour;
      line.append(dot, text);
      readout.append(line);
    }
    const left = svg.getBoundingClientRect().left - box.getBoundingClientRect().left;
    const width = svg.getBoundingClientRect().width;
    if (share > .5) {
      readout.style.left = "auto";
      readout.style.right = box.clientWidth - left - share * width + 10 + "px";
    } else {
      readout.style.right = "auto";
      readout.style.left = left + share * width + 10 + "px";
    }
    readout.hidden = lines.length === 0;
  }

  plots.forEach((plot) => {
    const timed = plot.svg.dataset.xUnit === "time";
    const others = () => plots.filter((other) => other === plot ||
      (timed && other.svg.dataset.xUnit === "time") || (other.panel && other.panel === plot.panel));
    plot.box.addEventListener("pointermove", (event) => {
      const place = plot.svg.getBoundingClientRect();
      const share = (event.clientX - place.left) / place.width;
      const inside = share >= 0 && share <= 1;
      others().forEach((other) => {
        const left = other.svg.getBoundingClientRect().left - other.box.getBoundingClientRect().left;
        other.cursor.hidden = !inside;
        other.cursor.style.left = left + share * other.svg.getBoundingClientRect().width + "px";
        other.cursor.style.height = other.svg.getBoundingClientRect().height - 8 + "px";
        if (inside && other.panel && other.panel === plot.panel) read(other, share);
        else other.readout.hidden = true;
      });
    });
    plot.box.addEventListener("pointerleave", () => {
      plots.forEach((other) => { other.cursor.hidden = true; other.readout.hidden = true; });
    });
  });
})();
