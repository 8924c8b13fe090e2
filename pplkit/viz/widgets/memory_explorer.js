// Prior and memory of a page: one bank and one of its vectors, and the pose that comes of it.
const SVG = "http://www.w3.org/2000/svg";

export function explore(root, memory) {
  const [bank, vector] = root.querySelectorAll("input"), [bankText, vectorText] = root.querySelectorAll("output");
  const drawing = root.querySelector("svg"), back = root.querySelector("button");
  const make = (name, fixed) => {
    const node = drawing.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(fixed)) node.setAttribute(key, value);
    return node;
  };
  const lines = memory.links.map(([, , strength]) => make("line", {
    "stroke-width": 0.01 + 0.03 * strength, stroke: "#0072B2", "stroke-opacity": 0.25 + 0.75 * strength,
  }));
  const ghosts = memory.prior.map(([cx, cy]) => make("circle", { cx, cy, r: 0.025, fill: "currentColor", opacity: 0.25 }));
  const dots = memory.prior.map((_, number) => make("circle", { r: 0.035, fill: memory.colors[number] }));
  dots.forEach((dot, number) => dot.appendChild(document.createElementNS(SVG, "title")).append(`keypoint ${number}`));

  function show() {
    const chosen = Number(vector.value), which = Number(bank.value);
    const pose = chosen ? memory.banks[which - 1][chosen - 1] : memory.prior;
    bankText.value = `${which} of ${memory.banks.length}`;
    vectorText.value = chosen ? `${chosen} of ${memory.banks[0].length}` : "mean: the prior";
    memory.links.forEach(([i, j], number) => {
      const [[x1, y1], [x2, y2]] = [pose[i], pose[j]];
      for (const [key, value] of Object.entries({ x1, y1, x2, y2 })) lines[number].setAttribute(key, value);
    });
    dots.forEach((dot, number) => { dot.setAttribute("cx", pose[number][0]); dot.setAttribute("cy", pose[number][1]); });
    ghosts.forEach((ghost) => { ghost.style.display = chosen ? "" : "none"; });
    root.dataset.pose = `${which}/${chosen}`;
  }
  bank.max = memory.banks.length;
  vector.max = memory.banks[0].length;
  bank.addEventListener("input", show);
  vector.addEventListener("input", show);
  back.addEventListener("click", () => { vector.value = 0; show(); });
  show();
}
