// An image with points to drag, or places to click. All coordinates are (x, y) in [-1, 1], x to the right, y down, -1
// and +1 the centers of the first and last pixel. Loads nothing from elsewhere.

const SVG = "http://www.w3.org/2000/svg";
const BLUE = "#0072B2", ORANGE = "#E69F00", BLACK = "#222222";
const KEY_STEP = 0.02;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const DRAWN = ["points", "second_pose", "links", "image", "title", "names", "colors", "labels", "draggable", "clickable"];

function append(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function imageAddress(model) {
  const view = model.get("image");
  if (!view.byteLength) return "";
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return "data:image/png;base64," + btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function render({ model, el }) {
  const size = model.get("size"), edge = 1 + model.get("margin"), unit = (2 * edge) / size; // one CSS pixel
  const coarse = size * model.get("margin") > 1; // image pixels of more than two CSS pixels
  const figure = document.createElement("figure");
  figure.className = "pplkit-canvas";
  figure.style.cssText = `margin: 1px 8px 1px 1px; width: ${size}px; font: 12px system-ui, sans-serif`;
  const title = document.createElement("figcaption");
  title.style.cssText = "min-height: 1.5em; padding-bottom: 4px; line-height: 1.25; white-space: pre-wrap";
  figure.append(title);
  const box = { viewBox: `${-edge} ${-edge} ${2 * edge} ${2 * edge}`, width: size, height: size, role: "img" };
  const svg = append("svg", box, figure);
  svg.style.cssText = "display: block; background: white; outline: 1px solid #c8c8c8; touch-action: none";
  el.append(figure);

  let points = [], dragged = -1, changed = false;

  function draw() {
    title.textContent = model.get("title");
    svg.setAttribute("aria-label", model.get("title"));
    svg.style.cursor = model.get("clickable") ? "crosshair" : "default";
    const focused = svg.contains(document.activeElement) ? document.activeElement.dataset.index : undefined;
    svg.replaceChildren();
    const href = imageAddress(model);
    if (href) {
      const place = { x: -edge, y: -edge, width: 2 * edge, height: 2 * edge, preserveAspectRatio: "none" };
      append("image", { ...place, href, "pointer-events": "none" }, svg).style.imageRendering = coarse ? "pixelated" : "auto";
    }
    const second = model.get("second_pose");
    drawLinks(points, BLUE, 4);
    drawLinks(second, ORANGE, 2);
    for (const [cx, cy] of second.filter(Boolean)) {
      append("circle", { cx, cy, r: 3 * unit, fill: ORANGE, "pointer-events": "none" }, svg);
    }
    points.forEach(drawPoint);
    if (focused !== undefined) svg.querySelector(`[data-index="${focused}"]`)?.focus();
  }

  function drawLinks(pose, color, width) {
    for (const [i, j, strength] of [...model.get("links")].reverse()) { // the strongest come first, and on top
      if (!pose[i] || !pose[j]) continue;
      const line = { x1: pose[i][0], y1: pose[i][1], x2: pose[j][0], y2: pose[j][1], "stroke-linecap": "round" };
      const opacity = 0.15 + 0.85 * strength;
      const rim = { stroke: "white", "stroke-width": (width * opacity + 1) * unit, opacity: 0.8 * opacity };
      const core = { stroke: color, "stroke-width": width * opacity * unit, opacity };
      for (const look of [rim, core]) append("line", { ...line, ...look, "pointer-events": "none" }, svg);
    }
  }

  function drawPoint(point, index) {
    if (!point) return;
    const movable = model.get("draggable"), name = model.get("names")[index] ?? String(index);
    const look = { fill: model.get("colors")[index] ?? BLUE, stroke: "white", "stroke-width": 1.5 * unit };
    const circle = append("circle", { cx: point[0], cy: point[1], r: (movable ? 7 : 4) * unit, ...look }, svg);
    circle.dataset.index = index;
    append("title", {}, circle).textContent = name;
    if (model.get("labels")) {
      const place = { x: point[0] + 9 * unit, y: point[1] - 6 * unit, "font-size": 12 * unit, fill: BLACK };
      const rim = { stroke: "white", "stroke-width": 3 * unit, "paint-order": "stroke", "pointer-events": "none" };
      append("text", { ...place, ...rim }, svg).textContent = name;
    }
    if (!movable) return;
    circle.style.cursor = "grab";
    circle.setAttribute("tabindex", "0");
    circle.style.outline = "none"; // browsers draw it in units of the plane; a dark rim shows the focus instead
    for (const [event, rim] of [["focus", BLACK], ["blur", "white"]]) {
      circle.addEventListener(event, () => circle.setAttribute("stroke", rim));
    }
    circle.setAttribute("aria-label", `${name}, moved by the arrow keys`);
  }

  const clamp = (value) => Math.min(edge, Math.max(-edge, value));

  function position(event) { // of the pointer
    const box = svg.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map((fraction) => clamp((2 * fraction - 1) * edge));
  }

  function move(index, to) {
    points[index] = to;
    changed = true;
    draw();
  }

  function report() {
    if (!changed) return;
    changed = false;
    model.set({ points: points.map((point) => point && [...point]), moved: model.get("moved") + 1 });
    model.save_changes(); // moves while the kernel is busy reach it as one change
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return; // another button asks for a menu or scrolls; touch and pen are 0 too
    const index = event.target.dataset?.index;
    if (model.get("draggable") && index !== undefined) {
      dragged = Number(index);
      svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    } else if (model.get("clickable")) {
      const [x, y] = position(event);
      model.send({ event: "click", x, y });
    }
  });
  svg.addEventListener("pointermove", (event) => {
    if (dragged < 0) return;
    move(dragged, position(event));
    if (model.get("live")) report();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    svg.addEventListener(end, () => { dragged = -1; report(); });
  }
  svg.addEventListener("keydown", (event) => {
    const steps = KEYS[event.key], index = event.target.dataset?.index;
    if (!steps || index === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(Number(index), points[index].map((value, axis) => clamp(value + KEY_STEP * steps[axis])));
    report();
  });

  function update() { // from the kernel; the point under the pointer stays there
    const own = points[dragged];
    points = model.get("points").map((point) => point && [...point]);
    if (dragged >= 0) points[dragged] = own;
    draw();
  }
  let due = false;
  for (const name of DRAWN) {
    model.on(`change:${name}`, () => { // several that change together are drawn once
      if (due) return;
      due = true;
      queueMicrotask(() => { due = false; update(); });
    });
  }
  update();
}

export default { render };
