// A picture with points on it that can be dragged, or places on it that can be clicked. All coordinates are (x, y) in
// [-1, 1], x to the right, y down, -1 and +1 the centres of the first and last pixel. Loads nothing from elsewhere.

const SVG = "http://www.w3.org/2000/svg";
const BLUE = "#0072B2", ORANGE = "#E69F00", BLACK = "#222222";

function made(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function picture(model) {
  const bytes = model.get("picture");
  if (!bytes.byteLength) return "";
  const part = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let start = 0; start < part.length; start += 8192) {
    text += String.fromCharCode(...part.subarray(start, start + 8192));
  }
  return "data:image/png;base64," + btoa(text);
}

function render({ model, el }) {
  const size = model.get("size"), edge = 1 + model.get("margin"), unit = (2 * edge) / size; // one CSS pixel
  const coarse = size * model.get("margin") > 1; // pixels of more than two CSS pixels
  const figure = document.createElement("figure");
  figure.className = "pplkit-board";
  figure.style.cssText = `margin: 1px 8px 1px 1px; width: ${size}px; font: 12px system-ui, sans-serif`;
  const title = document.createElement("figcaption");
  title.style.cssText = "min-height: 1.5em; padding-bottom: 4px; line-height: 1.25; white-space: pre-wrap";
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: `${-edge} ${-edge} ${2 * edge} ${2 * edge}`, width: size, height: size, role: "img",
  })) svg.setAttribute(key, value);
  svg.style.cssText = "display: block; background: white; outline: 1px solid #c8c8c8; touch-action: none";
  figure.append(title, svg);
  el.append(figure);

  let points = [], dragged = -1, changed = false;

  function draw() {
    title.textContent = model.get("title");
    svg.setAttribute("aria-label", model.get("title"));
    svg.style.cursor = model.get("clickable") ? "crosshair" : "default";
    const focused = svg.contains(document.activeElement) ? document.activeElement.dataset.index : undefined;
    svg.replaceChildren();
    const href = picture(model);
    if (href) {
      const shown = made("image", { x: -edge, y: -edge, width: 2 * edge, height: 2 * edge, href }, svg);
      shown.setAttribute("preserveAspectRatio", "none");
      shown.style.imageRendering = coarse ? "pixelated" : "auto";
      shown.style.pointerEvents = "none";
    }
    lines(points, BLUE, 4);
    lines(model.get("others"), ORANGE, 2);
    for (const point of model.get("others")) {
      if (point) made("circle", { cx: point[0], cy: point[1], r: 3 * unit, fill: ORANGE, "pointer-events": "none" }, svg);
    }
    points.forEach(dot);
    if (focused !== undefined) svg.querySelector(`[data-index="${focused}"]`)?.focus();
  }

  function lines(at, colour, width) {
    for (const [i, j, strength] of [...model.get("links")].reverse()) { // the strongest come first, and on top
      if (!at[i] || !at[j]) continue;
      const place = { x1: at[i][0], y1: at[i][1], x2: at[j][0], y2: at[j][1], "stroke-linecap": "round" };
      const share = 0.15 + 0.85 * strength;
      const wide = { stroke: "white", "stroke-width": (width * share + 1) * unit, opacity: 0.8 * share };
      const thin = { stroke: colour, "stroke-width": width * share * unit, opacity: share };
      for (const look of [wide, thin]) made("line", { ...place, ...look, "pointer-events": "none" }, svg);
    }
  }

  function dot(point, index) {
    if (!point) return;
    const movable = model.get("draggable"), name = model.get("names")[index] ?? String(index);
    const look = { fill: model.get("colours")[index] ?? BLUE, stroke: "white", "stroke-width": 1.5 * unit };
    const circle = made("circle", { cx: point[0], cy: point[1], r: (movable ? 7 : 4) * unit, ...look }, svg);
    circle.dataset.index = index;
    made("title", {}, circle).textContent = name;
    if (model.get("labels")) {
      const place = { x: point[0] + 9 * unit, y: point[1] - 6 * unit, "font-size": 12 * unit, fill: BLACK };
      const rim = { stroke: "white", "stroke-width": 3 * unit, "paint-order": "stroke", "pointer-events": "none" };
      made("text", { ...place, ...rim }, svg).textContent = name;
    }
    if (!movable) return;
    circle.style.cursor = "grab";
    circle.setAttribute("tabindex", "0");
    circle.style.outline = "none"; // browsers draw it in units of the plane; a dark rim says where the focus is
    for (const [event, rim] of [["focus", BLACK], ["blur", "white"]]) {
      circle.addEventListener(event, () => circle.setAttribute("stroke", rim));
    }
    circle.setAttribute("aria-label", `${name}, moved by the arrow keys`);
  }

  function place(event) { // of the pointer
    const box = svg.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map((share) => within((2 * share - 1) * edge));
  }

  function within(value) {
    return Math.min(edge, Math.max(-edge, value));
  }

  function move(index, to) {
    points[index] = to;
    changed = true;
    draw();
  }

  function tell() {
    if (!changed) return;
    changed = false;
    model.set({ points: points.map((point) => point && [...point]), moved: model.get("moved") + 1 });
    model.save_changes(); // what is moved while the kernel is busy comes to it as one change
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return; // another button asks for a menu or scrolls; touch and pen are 0 too
    const index = event.target.dataset?.index;
    if (model.get("draggable") && index !== undefined) {
      dragged = Number(index);
      svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    } else if (model.get("clickable")) {
      const [x, y] = place(event);
      model.send({ event: "click", x, y });
    }
  });
  svg.addEventListener("pointermove", (event) => {
    if (dragged < 0) return;
    move(dragged, place(event));
    if (model.get("live")) tell();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    svg.addEventListener(end, () => { dragged = -1; tell(); });
  }
  svg.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const index = event.target.dataset?.index;
    if (!steps || index === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(Number(index), points[index].map((value, axis) => within(value + 0.02 * steps[axis])));
    tell();
  });

  function take() { // from the kernel; the point under the pointer stays there
    const own = points[dragged];
    points = model.get("points").map((point) => point && [...point]);
    if (dragged >= 0) points[dragged] = own;
    draw();
  }
  const names = ["points", "others", "links", "picture", "title", "names", "colours", "labels", "draggable", "clickable"];
  let due = false;
  for (const name of names) {
    model.on(`change:${name}`, () => { // several that change together are drawn once
      if (due) return;
      due = true;
      queueMicrotask(() => { due = false; take(); });
    });
  }
  take();
}

export default { render };
