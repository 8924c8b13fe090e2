"""The page of `Scene.to_html`: one file that loads nothing and runs no script but its own."""

from pathlib import Path

SCRIPT = Path(__file__).parent / "widgets" / "scene_view.js"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src blob:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>:root {{ color-scheme: light dark }} html, body {{ height: 100%; margin: 0; background: Canvas }}
main {{ height: 100vh; height: 100dvh }}
main > img {{ max-width: 100%; max-height: 100%; display: block; margin: auto }}</style></head>
<body><main><img alt="{title}: a still picture" src="data:image/png;base64,{picture}"></main>{section}
<script type="text/plain" id="data">{data}</script>
<script type="module">
{script}
const main = document.querySelector("main"), picture = main.firstChild;
if ("DecompressionStream" in window && document.createElement("canvas").getContext("webgl2")) {{
  picture.remove();
  const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (one) => one.charCodeAt(0));
  const page = {{ whole: true, play: true }};
  const state = {{ data: new DataView(bytes.buffer), height: 0, title: document.title, page }};
  render({{ model: {{ get: (name) => state[name], on() {{}}, off() {{}} }}, el: main }});
}}
</script></body></html>
"""
