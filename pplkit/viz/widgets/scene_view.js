// A scene in 3D that is turned by hand and played along a time line: in a notebook, and in a page of its own. Axes: x to
// the right, y up, z towards who looks from the front. Loads nothing from elsewhere. `scene_bytes.py` writes the data.

const MISSING = -32768, SHADOW = [0.25, 1, 0.35], FAINTEST = 0.15; // as in scene_picture.py
const VIEW = { yaw: 30, pitch: 12, zoom: 1, pan: [0, 0] };
const SPEEDS = [0.1, 0.25, 0.5, 1, 2], MAX_PIXELS = 9e6, NEAR_POINT = 14; // CSS pixels from the pointer to a joint
const SLOW = 30, LEAST_QUALITY = 0.3; // milliseconds that a frame may wait; share of the pixels a side
const FINE = 1.5; // the same of a still picture whose edges the browser does not smooth
const ICONS = {
  play: "M7 4v16l13-8z", pause: "M6 4h4v16H6zM14 4h4v16h-4z", back: "M5 4h3v16H5zM20 4v16L9 12z",
  next: "M16 4h3v16h-3zM4 4v16l11-8z", home: "M12 3 2 12h3v8h5v-6h4v6h5v-8h3z",
  names: "M3 3h9l9 9-9 9-9-9zM7.5 5.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4z", theme: "M12 2a10 10 0 1 0 0 20zM12 2a10 10 0 0 1 0 20",
};
const HELP = `space plays and stops
, and . go one frame back and on
arrow keys turn, + and - zoom, 0 goes back
n shows names
one finger or the mouse turns, two fingers or
the wheel zoom, shift and drag moves`;
const CSS = `
.pplkit-scene { --ink: #1d2329; --soft: #5b6570; --rim: #d7dce1; --low: #e9edf0; --high: #fbfcfd; --accent: #0072b2;
  position: relative; display: flex; flex-direction: column; width: 100%; min-height: 220px; box-sizing: border-box;
  overflow: hidden; color: var(--ink); background: var(--high); color-scheme: light; border-radius: 6px;
  font: clamp(13px, 10px + 0.35vw, 22px)/1.3 system-ui, sans-serif; container-type: inline-size }
.pplkit-scene.dark { --ink: #e8ecef; --soft: #9fabb5; --rim: #3a4249; --low: #14181b; --high: #23292e; --accent: #56b4e9;
  color-scheme: dark }
.pplkit-scene * { box-sizing: border-box }
.pplkit-scene .stage { flex: 1; min-height: 0; display: flex; flex-direction: row }
.pplkit-scene .stage.tall { flex-direction: column }
.pplkit-scene .stage > div { position: relative; flex: 1; min-width: 0; min-height: 0; overflow: hidden }
.pplkit-scene .solid { background: radial-gradient(circle at 50% 40%, var(--high), var(--low)) }
.pplkit-scene canvas { position: absolute; inset: 0; width: 100%; height: 100%; display: block }
.pplkit-scene video { position: absolute; width: 1px; height: 1px; opacity: 0 }
.pplkit-scene .stage > .film { flex: 0 1 auto; height: 100%; max-width: 60%; background: var(--low) }
.pplkit-scene .stage.tall > .film { flex: 0 0 auto; width: 100%; max-width: 100%; height: auto; max-height: 48% }
.pplkit-scene [hidden] { display: none !important }
.pplkit-scene .solid canvas { touch-action: none; cursor: grab; outline: none }
.pplkit-scene .solid canvas:active { cursor: grabbing }
.pplkit-scene .solid canvas:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px }
.pplkit-scene .over { position: absolute; left: 0; top: 0; pointer-events: none; white-space: nowrap;
  text-shadow: 0 0 3px var(--high), 0 0 3px var(--high), 0 0 3px var(--high) }
.pplkit-scene .title { font-weight: 600; padding-top: 0.5em; text-align: center; text-overflow: ellipsis; overflow: hidden }
.pplkit-scene .name { font-size: 0.8em }
.pplkit-scene .tip { font-size: 0.9em; padding: 0.1em 0.5em; border-radius: 4px; color: var(--high); background: var(--ink);
  text-shadow: none; z-index: 1 }
.pplkit-scene .key { font-size: 0.85em; font-weight: 400; color: var(--soft) }
.pplkit-scene .key.over { left: 0.5em; top: auto; bottom: 0.5em }
.pplkit-scene .key span { margin: 0 0.4em }
.pplkit-scene .key i { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 50%; margin-right: 0.35em }
.pplkit-scene .note { inset: auto 1em 50% 1em; text-align: center; white-space: normal }
.pplkit-scene .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25em; padding: 0.35em 0.6em;
  border-top: 1px solid var(--rim); background: var(--high) }
.pplkit-scene .time { flex: 1 1 12em; display: flex; flex-direction: column; gap: 2px; margin: 0 0.4em }
.pplkit-scene .time span { height: 3px; border-radius: 2px }
.pplkit-scene input { width: 100%; margin: 0; height: 1.6em; accent-color: var(--accent) }
.pplkit-scene output { font-variant-numeric: tabular-nums; color: var(--soft); min-width: 7.5em; text-align: right }
.pplkit-scene button, .pplkit-scene select { font: inherit; color: inherit; background: none; border: 1px solid transparent;
  border-radius: 5px; padding: 0; min-width: 2.1em; height: 2.1em; cursor: pointer }
.pplkit-scene select { background: var(--high) }
.pplkit-scene button:hover, .pplkit-scene select:hover { border-color: var(--rim) }
.pplkit-scene button[aria-pressed=true] { color: var(--accent) }
.pplkit-scene button svg { width: 1.2em; height: 1.2em; vertical-align: -0.25em; fill: currentColor; stroke: currentColor }
@container (max-width: 620px) {
  .pplkit-scene .time { flex-basis: 100%; order: -1; margin: 0 }
  .pplkit-scene output { margin-left: auto; min-width: 0 }
}`;

// ---- data

async function unpack(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer(), length = new DataView(buffer).getUint32(0, true);
  const scene = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const types = { uint8: Uint8Array, int16: Int16Array, uint32: Uint32Array, float32: Float32Array };
  const array = (entry) => {
    const count = entry.shape.reduce((a, b) => a * b, 1);
    if (!entry.split) return new types[entry.type](buffer, 4 + length + entry.offset, count);
    const low = new Uint8Array(buffer, 4 + length + entry.offset, 2 * count), numbers = new Int16Array(count);
    for (let i = 0; i < count; i++) numbers[i] = low[i] | (low[count + i] << 8);
    return numbers;
  };
  const layerOf = (entry) => {
    const [frames, points, axes] = entry.positions.shape, numbers = array(entry.positions), row = points * axes;
    for (let pass = 0; pass < 2; pass++) for (let i = row; i < numbers.length; i++) numbers[i] += numbers[i - row];
    const layer = { ...entry, frames, points, axes, numbers, now: new Float32Array(row), frame: -1 };
    if (entry.faces) Object.assign(layer, { faces: array(entry.faces), normals: new Float32Array(row) });
    if (entry.opacity) layer.opacity = array(entry.opacity);
    return layer;
  };
  for (const panel of scene.panels) {
    panel.center = array(panel.center);
    panel.layers = panel.layers.map(layerOf);
  }
  if (scene.film) Object.assign(scene.film, { bytes: array(scene.film.bytes), layers: scene.film.layers.map(layerOf) });
  return scene;
}

// Brings the points of a layer to a frame; NaN where one is missing. Says whether they changed.
function setFrame(layer, frame) {
  frame = Math.min(frame, layer.frames - 1);
  if (frame === layer.frame) return false;
  layer.frame = frame;
  const { numbers, now, middle, step, axes } = layer, start = frame * now.length;
  for (let i = 0; i < now.length; i++) {
    const number = numbers[start + i];
    now[i] = number === MISSING ? NaN : middle[i % axes] + step * number;
  }
  if (layer.faces) setNormals(now, layer.faces, layer.normals);
  return true;
}

// Those of vertices: the sum over the faces around one, each as long as its face is large. The shader makes them unit.
function setNormals(p, faces, normals) {
  normals.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const x = p[b] - p[a], y = p[b + 1] - p[a + 1], z = p[b + 2] - p[a + 2];
    const u = p[c] - p[a], v = p[c + 1] - p[a + 1], w = p[c + 2] - p[a + 2];
    const i = y * w - z * v, j = z * u - x * w, k = x * v - y * u;
    normals[a] += i; normals[a + 1] += j; normals[a + 2] += k;
    normals[b] += i; normals[b + 1] += j; normals[b + 2] += k;
    normals[c] += i; normals[c + 1] += j; normals[c + 2] += k;
  }
}

const opacityOf = (layer, point) =>
  layer.opacity ? FAINTEST + (1 - FAINTEST) * layer.opacity[layer.frame * layer.points + point] / 255 : 1;

// ---- drawing in 3D

const SHADE = `
vec3 shade(vec3 color, vec3 n, vec3 eye) {
  float key = max(dot(n, light), 0.), sky = .5 + .5 * n.y, rim = pow(1. - max(dot(n, eye), 0.), 3.);
  float shine = pow(max(dot(n, normalize(light + eye)), 0.), 28.);
  return color * (.42 + .2 * sky + .46 * key) + .1 * shine + .08 * rim;
}`;
const HEAD = "#version 300 es\nprecision highp float;\nuniform mat4 toClip; uniform vec3 eye, light, shadow; uniform float floorY, dark;\n";
const FLAT = "vec3 flat_(vec3 p) { return dark > 0. ? p - shadow * ((p.y - floorY) / shadow.y) : p; }\n";
const PROGRAMS = {
  mesh: [
    `${HEAD}${FLAT}in vec3 position, normal; out vec3 n, p;
void main() { p = flat_(position); n = normal; gl_Position = toClip * vec4(p, 1); }`,
    `${HEAD}uniform vec3 color; in vec3 n, p; out vec4 pixel;${SHADE}
void main() {
  if (dark > 0.) { pixel = vec4(0, 0, 0, dark); return; }
  vec3 unit = dot(n, n) > 0. ? normalize(n) : normalize(cross(dFdx(p), dFdy(p)));
  pixel = vec4(shade(color, gl_FrontFacing ? unit : -unit, normalize(eye - p)), 1);
}`,
  ],
  // Balls and bones: a ball whose halves are drawn apart from `a` to `b`.
  part: [
    `${HEAD}${FLAT}in vec4 ball; in vec3 a, b; in vec4 color; in float radius; out vec3 n, p; out vec4 c;
void main() {
  vec3 along = b - a, w = dot(along, along) > 0. ? normalize(along) : vec3(0, 1, 0);
  vec3 u = normalize(cross(w, abs(w.y) < .9 ? vec3(0, 1, 0) : vec3(1, 0, 0))), v = cross(u, w);
  n = ball.x * u + ball.y * w + ball.z * v;
  p = flat_(mix(a, b, ball.w) + radius * n);
  c = color;
  gl_Position = toClip * vec4(p, 1);
}`,
    `${HEAD}in vec3 n, p; in vec4 c; out vec4 pixel;${SHADE}
void main() {
  pixel = dark > 0. ? vec4(0, 0, 0, dark * c.a) : vec4(shade(c.rgb, normalize(n), normalize(eye - p)), 1) * c.a;
}`,
  ],
  floor: [
    `${HEAD}uniform vec3 middle; uniform float reach; in vec2 corner; out vec3 p;
void main() { p = vec3(middle.x + reach * corner.x, floorY, middle.z + reach * corner.y); gl_Position = toClip * vec4(p, 1); }`,
    `${HEAD}uniform vec3 middle, ink; uniform float reach, cell; in vec3 p; out vec4 pixel;
float lines(float size) {
  vec2 at = p.xz / size, width = fwidth(at), near = abs(fract(at - .5) - .5) / max(width, vec2(1e-6));
  return max(1. - min(near.x, near.y), 0.) * (1. - smoothstep(.2, .6, max(width.x, width.y)));
}
void main() {
  float fade = 1. - smoothstep(.25, 1., length(p.xz - middle.xz) / reach);
  float strength = fade * max(.5 * lines(cell), .25 * lines(cell / 5.) * fade);
  pixel = vec4(ink, 1) * strength;
}`,
  ],
};

function ballTriangles(rings, sides) { // (x, y, z, end), from the lower pole to the upper one
  const at = (ring, side) => {
    const end = ring > rings ? 1 : 0, polar = Math.PI * (ring - end) / (2 * rings), turn = 2 * Math.PI * side / sides;
    return [Math.sin(polar) * Math.cos(turn), -Math.cos(polar), Math.sin(polar) * Math.sin(turn), end];
  };
  const corners = [];
  for (let ring = 0; ring < 2 * rings + 1; ring++) {
    for (let side = 0; side < sides; side++) {
      const [a, b, c, d] = [at(ring, side), at(ring, side + 1), at(ring + 1, side), at(ring + 1, side + 1)];
      corners.push(...a, ...c, ...b, ...b, ...c, ...d);
    }
  }
  return new Float32Array(corners);
}

// Whether pictures are drawn by the processor, on which smooth edges halve the frames a second.
function drawnInSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return false;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // a browser keeps some 16 of them
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

function makePainter(canvas) {
  const smooth = !drawnInSoftware();
  const gl = canvas.getContext("webgl2", { antialias: smooth, stencil: true, alpha: true, powerPreference: "high-performance" });
  if (!gl) return null;
  const programs = {};
  for (const [name, sources] of Object.entries(PROGRAMS)) {
    const program = gl.createProgram();
    sources.forEach((source, fragment) => {
      const shader = gl.createShader(fragment ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    });
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw Error(gl.getProgramInfoLog(program));
    const uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const { name: uniform } = gl.getActiveUniform(program, i);
      uniforms[uniform] = gl.getUniformLocation(program, uniform);
    }
    programs[name] = { program, uniforms, at: (attribute) => gl.getAttribLocation(program, attribute) };
  }
  const buffer = (data, target = gl.ARRAY_BUFFER) => {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return made;
  };
  const attribute = (at, size, stride = 0, offset = 0, each = 0) => {
    if (at < 0) return;
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, gl.FLOAT, false, stride, offset);
    gl.vertexAttribDivisor(at, each);
  };
  const ball = ballTriangles(5, 16), floor = gl.createVertexArray(), parts = gl.createVertexArray();
  gl.bindVertexArray(floor);
  buffer(new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]));
  attribute(programs.floor.at("corner"), 2);
  gl.bindVertexArray(parts);
  buffer(ball);
  attribute(programs.part.at("ball"), 4);
  const instances = buffer(new Float32Array(11));
  [["a", 3, 0], ["b", 3, 12], ["color", 4, 24], ["radius", 1, 40]].forEach(([name, size, offset]) =>
    attribute(programs.part.at(name), size, 44, offset, 1));

  function upload(layer, changed) { // a mesh and its normals
    if (!layer.array) {
      layer.array = gl.createVertexArray();
      gl.bindVertexArray(layer.array);
      layer.buffers = ["position", "normal"].map((name) => {
        const made = buffer(layer.now);
        attribute(programs.mesh.at(name), 3);
        return made;
      });
      buffer(layer.faces, gl.ELEMENT_ARRAY_BUFFER);
      gl.bindVertexArray(null);
      changed = true;
    }
    if (changed) [layer.now, layer.normals].forEach((data, i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, layer.buffers[i]);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
    });
  }

  function use(name, values) {
    const { program, uniforms } = programs[name];
    gl.useProgram(program);
    for (const [key, value] of Object.entries(values)) {
      if (!uniforms[key]) continue;
      if (key === "toClip") gl.uniformMatrix4fv(uniforms[key], false, value);
      else if (value.length) gl.uniform3fv(uniforms[key], value);
      else gl.uniform1f(uniforms[key], value);
    }
  }

  function drawLayers(panel, values, count) {
    for (const layer of panel.layers.filter((one) => one.faces)) {
      use("mesh", { ...values, color: layer.colors[0] });
      gl.bindVertexArray(layer.array);
      gl.drawElements(gl.TRIANGLES, layer.faces.length, gl.UNSIGNED_INT, 0);
    }
    if (!count) return;
    use("part", values);
    gl.bindVertexArray(parts);
    gl.enable(gl.CULL_FACE); // so that a faint part shows its front alone
    gl.drawArraysInstanced(gl.TRIANGLES, 0, ball.length / 4, count);
    gl.disable(gl.CULL_FACE);
  }

  function drawPanel(panel, box, camera, dark) { // box: left, bottom, width, height in pixels
    gl.viewport(...box);
    const instanced = partsOf(panel, camera), count = instanced.length / 11;
    gl.bindBuffer(gl.ARRAY_BUFFER, instances);
    gl.bufferData(gl.ARRAY_BUFFER, instanced, gl.DYNAMIC_DRAW);
    const values = { ...camera, shadow: SHADOW, floorY: panel.floor, dark: 0 };
    const reach = 1.6 * panel.radius, cell = 10 ** Math.round(Math.log10(0.6 * panel.radius));
    gl.enable(gl.BLEND);
    gl.disable(gl.DEPTH_TEST);
    use("floor", { ...values, middle: camera.middle, reach, cell, ink: dark ? [0.62, 0.67, 0.71] : [0.4, 0.46, 0.52] });
    gl.bindVertexArray(floor);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    if (camera.eye[1] > panel.floor) { // parts of a shadow do not darken one another
      gl.enable(gl.STENCIL_TEST);
      gl.stencilFunc(gl.EQUAL, 0, 255);
      gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
      drawLayers(panel, { ...values, dark: dark ? 0.35 : 0.14 }, count);
      gl.disable(gl.STENCIL_TEST);
    }
    gl.enable(gl.DEPTH_TEST);
    drawLayers(panel, values, count);
  }

  function begin(width, height) {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  const finish = () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits for the picture
  return { smooth, begin, drawPanel, upload, finish, lost: () => gl.isContextLost(),
    free: () => gl.getExtension("WEBGL_lose_context")?.loseContext() };
}

// Balls and bones of a panel as numbers of the instances (a, b, color, radius), from far to near, as some are faint.
function partsOf(panel, camera) {
  const found = [];
  for (const layer of panel.layers) {
    if (layer.faces) continue;
    const { now, colors, bones, points } = layer;
    const bone = layer.bone ??= boneRadius(layer, panel.radius);
    const ball = bones.length ? 1.5 * bone : 0.022 * panel.radius * Math.min(1, Math.max(0.3, Math.sqrt(40 / points)));
    const add = (i, j, radius, opacity) => {
      const a = now.subarray(3 * i, 3 * i + 3), b = now.subarray(3 * j, 3 * j + 3);
      if (!(Number.isFinite(a[0]) && Number.isFinite(b[0]))) return;
      const depth = [0, 1, 2].reduce((sum, k) => sum + camera.back[k] * (a[k] + b[k]), 0);
      found.push([depth, ...a, ...b, ...colors[j], opacity, radius]);
    };
    for (let i = 0; i < points; i++) add(i, i, ball, opacityOf(layer, i));
    for (const [i, j] of bones) add(i, j, bone, Math.min(opacityOf(layer, i), opacityOf(layer, j)));
  }
  found.sort((one, other) => one[0] - other[0]);
  return new Float32Array(found.flatMap((part) => part.slice(1)));
}

function boneRadius(layer, reach) {
  const { now, bones } = layer, lengths = [];
  for (const [i, j] of bones) lengths.push(Math.hypot(...[0, 1, 2].map((k) => now[3 * i + k] - now[3 * j + k])));
  const known = lengths.filter(Number.isFinite).sort((a, b) => a - b);
  return known.length ? Math.min(0.021 * reach, 0.08 * known[known.length >> 1]) : 0.02 * reach;
}

// Where a panel is looked at from; `view` has yaw and pitch in degrees, zoom, and pan in radii of the panel.
function cameraOf(panel, frame, view, aspect) {
  const [yaw, pitch] = [view.yaw, view.pitch].map((angle) => angle * Math.PI / 180);
  const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
  const right = [cy, 0, -sy], up = [-sp * sy, cp, -sp * cy], back = [cp * sy, sp, cp * cy];
  const start = 3 * Math.min(frame, panel.center.length / 3 - 1), focal = 3.4, { radius } = panel;
  const middle = Array.from(panel.center.subarray(start, start + 3));
  const target = middle.map((value, k) => value + radius * (view.pan[0] * right[k] + view.pan[1] * up[k]));
  const distance = 1.1 * Math.hypot(1, focal) * Math.max(radius, panel.width / aspect) / view.zoom;
  const eye = target.map((value, k) => value + distance * back[k]);
  const near = Math.max(0.02 * distance, distance - 6 * radius), far = distance + 8 * radius;
  const dot = (axis) => axis.reduce((sum, value, k) => sum + value * eye[k], 0);
  const scale = [focal / aspect, focal], depth = [-(far + near) / (far - near), -2 * far * near / (far - near)];
  const toClip = [0, 1, 2].flatMap((k) => [scale[0] * right[k], scale[1] * up[k], depth[0] * back[k], -back[k]]);
  toClip.push(-scale[0] * dot(right), -scale[1] * dot(up), -depth[0] * dot(back) + depth[1], dot(back));
  const light = [0, 1, 2].map((k) => 0.4 * right[k] + 0.6 * up[k] + 0.7 * back[k]), size = Math.hypot(...light);
  return { toClip: new Float32Array(toClip), eye, middle, back, light: light.map((value) => value / size) };
}

function onScreen(camera, [x, y, z], box) { // CSS pixels in the panel's box
  const m = camera.toClip, w = m[3] * x + m[7] * y + m[11] * z + m[15];
  if (!(w > 0)) return null;
  const [u, v] = [0, 1].map((k) => (m[k] * x + m[4 + k] * y + m[8 + k] * z + m[12 + k]) / w);
  return [box.left + box.width * (u + 1) / 2, box.top + box.height * (1 - v) / 2];
}

// Boxes of panels in rows that leave them as large as they can be.
function boxesOf(count, width, height) {
  let best = { side: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns++) {
    const side = Math.min(1.3 * width / columns, height / Math.ceil(count / columns));
    if (side > best.side) best = { side, columns };
  }
  const w = width / best.columns, h = height / Math.ceil(count / best.columns);
  return Array.from({ length: count }, (_, i) =>
    ({ left: (i % best.columns) * w, top: Math.floor(i / best.columns) * h, width: w, height: h }));
}

// ---- the view

function make(name, className, parent, properties = {}) {
  const element = Object.assign(document.createElement(name), { className, ...properties });
  parent.append(element);
  return element;
}

function button(parent, icon, label, act) {
  const made = make("button", "", parent, { type: "button", title: label, onclick: act });
  made.setAttribute("aria-label", label);
  made.icon = (name) => {
    made.innerHTML = `<svg viewBox="0 0 24 24" stroke-width="${name === "theme" ? 1.5 : 0}"><path d="${ICONS[name]}" ` +
      `${name === "theme" ? 'fill="none"' : ""} fill-rule="evenodd"/></svg>`;
  };
  made.icon(icon);
  return made;
}

function darkPage(el) { // JupyterLab says it of its own theme
  const lab = document.querySelector("[data-jp-theme-light]");
  return lab ? lab.dataset.jpThemeLight === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function render({ model, el }) {
  const root = make("div", "pplkit-scene", el), page = model.get("page") || {};
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's, such as 0 0, which restarts the kernel
  make("style", "", root).textContent = CSS;
  root.style.height = model.get("height") ? `${model.get("height")}px` : "100%";
  const stage = make("div", "stage", root), filmBox = make("div", "film", stage, { hidden: true });
  const video = make("video", "", filmBox, { muted: true, playsInline: true, loop: true });
  const drawing = make("canvas", "", filmBox), solid = make("div", "solid", stage), canvas = make("canvas", "", solid, { tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${model.get("title")}. ${HELP}`);
  const titles = make("div", "", solid), over = make("div", "", solid), tip = make("div", "over tip", solid, { hidden: true });
  const key = make("div", "over key", solid), note = make("div", "over note", solid);
  const filmNote = make("div", "over note", filmBox), bar = make("div", "bar", root);
  let scene = null, painter = null, view = structuredClone(VIEW), frame = 0, playing = false, speed = 1, clock = 0;
  let names = false, dark = darkPage(root), due = false, boxes = [], cameras = [], drawn = 0, watching = false;
  let changed = false, quality = 1, still = 0;

  const play = button(bar, "play", "Play (space)", () => setPlaying(!playing));
  const back = button(bar, "back", "One frame back (,)", () => step(-1));
  const next = button(bar, "next", "One frame on (.)", () => step(1));
  const time = make("label", "time", bar), slider = make("input", "", time, { type: "range", min: 0, step: 1, value: 0 });
  slider.setAttribute("aria-label", "Frame");
  const trace = make("span", "", time, { title: "Orange where joints are unsure" });
  const clockText = make("output", "", bar);
  const rate = make("select", "", bar, { title: "Speed" });
  for (const value of SPEEDS) make("option", "", rate, { value, textContent: `${value}×`, selected: value === 1 });
  const labels = button(bar, "names", "Names (n)", () => setNames(!names));
  button(bar, "home", "Back to the first view (0)", () => setView(structuredClone(VIEW)));
  const theme = button(bar, "theme", "Light or dark", () => setDark(!dark));
  theme.hidden = !!document.querySelector("[data-jp-theme-light]");
  const moving = [play, back, next, time, clockText, rate];

  // -- drawing

  function ask() { // several changes are drawn once
    changed = true;
    loop();
  }

  function loop() {
    if (due) return;
    due = true;
    const asked = performance.now();
    requestAnimationFrame((now) => {
      due = false;
      if (!root.isConnected) return;
      if (playing) advance(now);
      if (changed) {
        pace(performance.now() - asked);
        draw();
      }
      if (playing) loop();
    });
  }

  function pace(waited) { // fewer pixels where the machine is too slow for all; all of them once nothing moves
    quality = waited > SLOW ? Math.max(LEAST_QUALITY, quality - 0.15) : Math.min(1, quality + 0.01);
    clearTimeout(still);
    if (quality < 1 || !painter?.smooth) still = setTimeout(() => draw(painter?.smooth ? 1 : FINE), 400);
  }

  function draw(part = quality) {
    changed = false;
    if (!scene || !painter || painter.lost()) return;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const sharp = part * Math.min(devicePixelRatio, Math.sqrt(MAX_PIXELS / (width * height)));
    painter.begin(Math.round(width * sharp), Math.round(height * sharp));
    boxes = boxesOf(scene.panels.length, width, height);
    cameras = scene.panels.map((panel, i) => {
      const box = boxes[i], camera = cameraOf(panel, frame, view, box.width / box.height);
      for (const layer of panel.layers) {
        const changed = setFrame(layer, frame);
        if (layer.faces) painter.upload(layer, changed);
      }
      const corner = [box.left, height - box.top - box.height, box.width, box.height];
      painter.drawPanel(panel, corner.map((value) => Math.round(value * sharp)), camera, dark);
      return camera;
    });
    drawNames();
    if (scene.film) drawFilm(drawing, video, scene.film);
    Object.assign(root.dataset, { frame, film: scene.film?.shown ?? "", yaw: view.yaw, pitch: view.pitch, zoom: view.zoom, drawn: ++drawn });
  }

  function drawNames() { // titles of panels, and names of joints if they are asked for
    scene.panels.forEach(({ label }, i) => {
      label.style.transform = `translate(${boxes[i].left}px, ${boxes[i].top}px)`;
      label.style.width = `${boxes[i].width}px`;
    });
    const wanted = names ? scene.panels.flatMap((panel, i) => { // a second motion has the same ones
      const first = panel.layers.find((layer) => layer.names.length);
      return namedPoints(i).filter(({ layer }) => layer === first);
    }) : [];
    while (over.children.length > wanted.length) over.lastChild.remove();
    while (over.children.length < wanted.length) make("div", "over name", over);
    wanted.forEach(({ text, at }, i) => {
      if (over.children[i].textContent !== text) over.children[i].textContent = text;
      over.children[i].style.transform = `translate(${(at[0] + 7).toFixed(1)}px, ${(at[1] - 8).toFixed(1)}px)`;
    });
  }

  function namedPoints(index) {
    const found = [];
    for (const layer of scene.panels[index].layers) {
      layer.names.forEach((text, i) => {
        const at = onScreen(cameras[index], layer.now.subarray(3 * i, 3 * i + 3), boxes[index]);
        if (at) found.push({ text, at, layer, point: i });
      });
    }
    return found;
  }

  // -- time

  function setTime(value, seek = true) {
    frame = Math.max(0, Math.min(scene.frames - 1, value));
    if (scene.film?.plays && seek) video.currentTime = (frame + 0.5) / scene.fps;
    slider.value = frame;
    const [now, end] = [frame, scene.frames - 1].map((one) => (one / scene.fps).toFixed(2));
    clockText.textContent = `${now} / ${end} s`;
    ask();
  }

  function advance(now) {
    if (scene.film?.plays) return setTime(filmFrame(), false); // the video leads
    const passed = (now - clock) / 1000 * speed * scene.fps;
    if (passed < 1) return;
    clock = now - (passed % 1) / (speed * scene.fps) * 1000;
    setTime(frame + Math.floor(passed) >= scene.frames ? 0 : frame + Math.floor(passed));
  }

  function setPlaying(value) {
    playing = value && scene.frames > 1;
    play.icon(playing ? "pause" : "play");
    clock = performance.now();
    if (scene.film?.plays) playing ? video.play().catch(() => setPlaying(false)) : video.pause();
    ask();
  }

  function step(by) {
    setPlaying(false);
    setTime((frame + by + scene.frames) % scene.frames);
  }

  // -- view

  function setView(changes) {
    Object.assign(view, changes);
    view.pitch = Math.max(-89, Math.min(89, view.pitch));
    view.zoom = Math.max(0.3, Math.min(12, view.zoom));
    ask();
  }

  function setNames(value) {
    names = value;
    labels.setAttribute("aria-pressed", names);
    ask();
  }

  function setDark(value) {
    dark = value;
    root.classList.toggle("dark", dark);
    ask();
  }

  const fingers = new Map();
  const between = () => {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  const move = (x, y) => { // by CSS pixels
    const unit = 2.1 / (boxes[0] ? Math.min(boxes[0].width, boxes[0].height) : 400) / view.zoom;
    setView({ pan: [view.pan[0] - x * unit, view.pan[1] + y * unit] });
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    tip.hidden = true;
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId), now = { x: event.clientX, y: event.clientY };
    if (!last) return point(event);
    if (fingers.size === 2) {
      const before = between();
      fingers.set(event.pointerId, now);
      const after = between();
      setView({ zoom: view.zoom * after.distance / Math.max(before.distance, 1) });
      move(after.x - before.x, after.y - before.y);
    } else {
      fingers.set(event.pointerId, now);
      if (event.shiftKey || event.buttons === 4) move(now.x - last.x, now.y - last.y);
      else setView({ yaw: view.yaw - 0.5 * (now.x - last.x), pitch: view.pitch + 0.4 * (now.y - last.y) });
    }
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("dblclick", () => setView(structuredClone(VIEW)));
  canvas.addEventListener("wheel", (event) => { // in a notebook only after a click, or it would not scroll past the view
    if (!page.whole && document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    setView({ zoom: view.zoom * Math.exp(-0.0015 * event.deltaY * (event.deltaMode ? 30 : 1)) });
  }, { passive: false });

  function point(event) { // the name of the joint below the mouse, and how sure it is
    if (!cameras.length || event.pointerType === "touch") return;
    const place = canvas.getBoundingClientRect(), [x, y] = [event.clientX - place.left, event.clientY - place.top];
    const all = scene.panels.flatMap((_, i) => namedPoints(i));
    const distance = ({ at }) => Math.hypot(at[0] - x, at[1] - y);
    const near = all.filter((one) => distance(one) < NEAR_POINT).sort((a, b) => distance(a) - distance(b))[0];
    tip.hidden = !near;
    if (!near) return;
    const { layer, point: i } = near;
    const sure = layer.opacity ? `, ${Math.round(layer.opacity[layer.frame * layer.points + i] / 2.55)} % sure` : "";
    tip.textContent = near.text + sure;
    tip.style.transform = `translate(${Math.min(near.at[0] + 12, canvas.clientWidth - tip.offsetWidth - 4)}px, ${near.at[1] - 30}px)`;
  }

  const KEYS = {
    " ": () => setPlaying(!playing), ",": () => step(-1), ".": () => step(1),
    ArrowLeft: () => setView({ yaw: view.yaw - 10 }), ArrowRight: () => setView({ yaw: view.yaw + 10 }),
    ArrowUp: () => setView({ pitch: view.pitch + 5 }), ArrowDown: () => setView({ pitch: view.pitch - 5 }),
    "+": () => setView({ zoom: view.zoom * 1.15 }), "=": () => setView({ zoom: view.zoom * 1.15 }),
    "-": () => setView({ zoom: view.zoom / 1.15 }), 0: () => setView(structuredClone(VIEW)), n: () => setNames(!names),
  };
  (page.whole ? document : root).addEventListener("keydown", (event) => {
    const own = event.target.closest?.("input, select, button") && /^Arrow| $/.test(event.key); // which use these themselves
    if (!scene || !KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (own && !(event.key === " " && event.target === slider)) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has commands on keys
    KEYS[event.key]();
  });
  slider.addEventListener("input", () => {
    setPlaying(false);
    setTime(Number(slider.value));
  });
  rate.addEventListener("change", () => {
    video.playbackRate = speed = Number(rate.value);
    clock = performance.now();
  });

  // -- life

  function start() {
    painter = makePainter(canvas);
    if (!painter) note.textContent = "This browser has no WebGL 2, which the 3D view needs.";
    for (const panel of scene?.panels ?? []) for (const layer of panel.layers) delete layer.array;
    ask();
  }
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault()); // a browser keeps some 16 of them
  canvas.addEventListener("webglcontextrestored", start);

  async function load() {
    scene = await unpack(model.get("data"));
    slider.max = scene.frames - 1;
    for (const part of moving) part.hidden = scene.frames < 2;
    labels.hidden = !scene.panels.some((panel) => panel.layers.some((layer) => layer.names.length));
    key.innerHTML = scene.sides ? `<span><i style="background:#0072B2"></i>left</span><span><i style="background:#D55E00"></i>right</span>` : "";
    trace.style.background = traceOf(scene);
    titles.replaceChildren();
    for (const panel of scene.panels) {
      panel.label = make("div", "over title", titles);
      make("div", "", panel.label, { textContent: panel.name });
      const legend = make("div", "key", panel.label);
      for (const { title, sides, colors } of panel.layers.filter((layer) => layer.title)) {
        const entry = make("span", "", legend);
        for (const color of sides ? ["#0072B2", "#D55E00"] : [`rgb(${colors[0].map((value) => 255 * value)})`]) {
          make("i", "", entry).style.background = color;
        }
        entry.append(title);
      }
    }
    await loadFilm();
    setTime(Math.min(frame, scene.frames - 1));
  }

  const exact = "requestVideoFrameCallback" in video; // which says which frame can be seen

  function filmFrame() {
    if (!exact) scene.film.shown = Math.floor(video.currentTime * scene.fps + 0.05);
    return scene.film.shown;
  }

  function watchFilm(_, { mediaTime }) {
    scene.film.shown = Math.round(mediaTime * scene.fps);
    ask();
    video.requestVideoFrameCallback(watchFilm);
  }

  async function loadFilm() { // the video comes as bytes, so that a page needs no other file
    filmBox.hidden = !scene.film;
    if (!scene.film) return;
    filmBox.style.aspectRatio = scene.film.size.join("/");
    scene.film.shown = 0;
    URL.revokeObjectURL(video.src);
    video.src = URL.createObjectURL(new Blob([scene.film.bytes], { type: "video/mp4" }));
    scene.film.plays = await new Promise((done) => {
      video.onloadeddata = () => done(true);
      video.onerror = () => done(false);
    });
    video.onseeked = () => {
      filmFrame();
      ask();
    };
    if (exact && !watching) video.requestVideoFrameCallback(watchFilm);
    watching = true;
    filmNote.textContent = scene.film.plays ? "" : "This browser cannot play the video (MP4, H.264).";
  }

  const layout = new ResizeObserver(() => {
    stage.classList.toggle("tall", stage.clientWidth < 1.2 * stage.clientHeight);
    draw(1);
  });
  layout.observe(stage);
  layout.observe(canvas);
  const scheme = matchMedia("(prefers-color-scheme: dark)"), follow = () => setDark(darkPage(root));
  scheme.addEventListener("change", follow);
  const lab = new MutationObserver(follow);
  lab.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  model.on("change:data", load);
  setDark(dark);
  start();
  const ready = load().then(() => page.play && !matchMedia("(prefers-reduced-motion: reduce)").matches && setPlaying(true));
  root.pplkit = { ready, draw: () => draw(1), setTime, setView, finish: () => painter.finish() };
  return () => {
    layout.disconnect();
    lab.disconnect();
    scheme.removeEventListener("change", follow);
    playing = false;
    clearTimeout(still);
    painter?.free(); // a browser keeps some 16 contexts, and would take that of another view
    URL.revokeObjectURL(video.src);
  };
}

// The frame of a video that can be seen, whole, and its keypoints; pixel 0 is the center of the first.
function drawFilm(canvas, video, film) {
  const { clientWidth: width, clientHeight: height } = canvas, sharp = Math.min(devicePixelRatio, 2);
  if (!width || !height) return;
  Object.assign(canvas, { width: Math.round(width * sharp), height: Math.round(height * sharp) }); // clears it
  const scale = Math.min(width / film.size[0], height / film.size[1]), pen = canvas.getContext("2d");
  const left = (width - scale * film.size[0]) / 2, top = (height - scale * film.size[1]) / 2;
  const line = Math.max(2, 0.007 * Math.min(scale * film.size[1], scale * film.size[0]));
  pen.scale(sharp, sharp);
  if (film.plays) pen.drawImage(video, left, top, scale * film.size[0], scale * film.size[1]);
  pen.lineCap = "round";
  for (const layer of film.layers) {
    setFrame(layer, film.shown);
    const at = (i) => [left + scale * (layer.now[2 * i] + 0.5), top + scale * (layer.now[2 * i + 1] + 0.5)];
    const color = (i) => `rgb(${layer.colors[i].map((value) => Math.round(255 * value))})`;
    for (const rim of [true, false]) {
      for (const [i, j] of layer.bones) {
        pen.globalAlpha = Math.min(opacityOf(layer, i), opacityOf(layer, j)) * (rim ? 0.7 : 1);
        Object.assign(pen, { strokeStyle: rim ? "white" : color(j), lineWidth: rim ? 1.8 * line : line });
        pen.beginPath();
        pen.moveTo(...at(i));
        pen.lineTo(...at(j));
        if ([...at(i), ...at(j)].every(Number.isFinite)) pen.stroke();
      }
    }
    for (let i = 0; i < layer.points; i++) {
      if (!at(i).every(Number.isFinite)) continue;
      pen.globalAlpha = opacityOf(layer, i);
      Object.assign(pen, { fillStyle: color(i), strokeStyle: "white", lineWidth: 0.4 * line });
      pen.beginPath();
      pen.arc(...at(i), 1.1 * line, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
  }
}

// Where in time joints are unsure, as a line that is orange there; none where no joint has a confidence.
function traceOf(scene) {
  const layers = scene.panels.flatMap((panel) => panel.layers).filter((layer) => layer.opacity);
  if (!layers.length) return "none";
  const shades = Math.max(2, Math.min(100, scene.frames));
  const stops = Array.from({ length: shades }, (_, i) => {
    const frame = Math.round(i * (scene.frames - 1) / (shades - 1));
    let sum = 0, count = 0;
    for (const { opacity, points, frames } of layers) {
      const start = Math.min(frame, frames - 1) * points;
      for (let k = 0; k < points; k++, count++) sum += opacity[start + k];
    }
    return `color-mix(in srgb, #e69f00 ${Math.min(100, Math.round(300 * (1 - sum / count / 255)))}%, transparent)`;
  });
  return `linear-gradient(to right, ${stops.join(",")})`;
}

export default { render };
