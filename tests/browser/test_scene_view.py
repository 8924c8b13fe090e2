"""A 3D scene as a file, on a phone, a desk and a large screen, and in a notebook: it turns and plays.

Prints the frames a second of 20,000 triangles; without a GPU the browser draws them on the processor.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest

from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.data.video_writer import write_video
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz import Points, Scene

pytestmark = pytest.mark.browser

WAYS = [(390, 844, "light"), (1280, 800, "dark"), (2560, 1440, "light")]
BENCH = """async () => {
    const { pplkit } = document.querySelector(".pplkit-scene"), start = performance.now();
    let count = 0;
    for (; performance.now() - start < 3000; count++) {
        pplkit.setTime(count % 30);
        pplkit.draw();
        pplkit.finish();
    }
    const { width, height } = document.querySelector(".solid canvas");
    return [1000 * count / (performance.now() - start), [width, height]];
}"""


def walk(frames: int = 90) -> PoseSequence:
    """Somebody who swings arms and legs; the left arm cannot be seen for a second."""
    joints = np.array(
        [
            [0, 0.95, 0],
            [-0.12, 0.93, 0],
            [-0.13, 0.5, 0],
            [-0.13, 0.08, 0],
            [0.12, 0.93, 0],
            [0.13, 0.5, 0],
            [0.13, 0.08, 0],
            [0, 1.15, 0],
            [0, 1.4, 0],
            [0, 1.53, 0.05],
            [0, 1.68, 0],
            [0.18, 1.38, 0],
            [0.28, 1.12, 0],
            [0.3, 0.88, 0.05],
            [-0.18, 1.38, 0],
            [-0.28, 1.12, 0],
            [-0.3, 0.88, 0.05],
        ]  # fmt: skip
    )
    phase = np.sin(2 * np.pi * np.arange(frames) / 30)
    motion = np.repeat(joints[None], frames, 0)
    for joint, reach in {2: 0.15, 3: 0.3, 5: -0.15, 6: -0.3, 12: 0.1, 13: 0.25, 15: -0.1, 16: -0.25}.items():
        motion[:, joint, 2] += reach * phase
    confidence = np.ones((frames, 17))
    confidence[30:60, 11:14] = 0.2
    return PoseSequence(points=motion, fps=30, skeleton=H36M17, space="world", confidence=confidence)


def body(frames: int = 30, turns: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """A soft body of 20,000 triangles that breathes: vertices (frames, V, 3) and faces."""
    around, along = np.meshgrid(
        2 * np.pi * np.arange(turns) / turns, np.linspace(0.02, np.pi - 0.02, 101), indexing="ij"
    )
    radius = 0.5 + 0.08 * np.sin(5 * around) * np.sin(4 * along)
    x, y, z = (
        radius * np.sin(along) * np.cos(around),
        1.5 * radius * np.cos(along),
        radius * np.sin(along) * np.sin(around),
    )
    rest = np.stack([x, y, z], -1).reshape(-1, 3)
    first, row = np.meshgrid(np.arange(turns), np.arange(100), indexing="ij")
    a, b = first * 101 + row, (first + 1) % turns * 101 + row
    faces = np.stack([a, a + 1, b, b, a + 1, b + 1], -1).reshape(-1, 3)
    breath = 1 + 0.1 * np.sin(2 * np.pi * np.arange(frames) / frames)[:, None, None] * [1, -0.5, 1]
    return rest * breath, faces


@pytest.fixture
def opened(page: Any, tmp_path: Path) -> Any:
    """Opens the page of a scene at a size and scheme; nothing else may have been asked for."""
    asked: list[str] = []

    def open_page(scene: Scene, width: int = 1280, height: int = 800, scheme: str = "light", **options: Any) -> Any:
        path = tmp_path / "scene.html"
        scene.to_html(path, **options)
        page.on("request", lambda request: asked.append(request.url))
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        page.evaluate("document.querySelector('.pplkit-scene').pplkit.ready")
        return page.locator(".pplkit-scene")

    yield open_page
    assert {urlparse(url).scheme for url in asked} <= {"file", "data", "blob"}


def shown(root: Any, key: str) -> float:
    """What the page says of itself; NaN before it does."""
    return float(root.get_attribute(f"data-{key}") or "nan")


def drag(page: Any, root: Any, right: int, down: int) -> None:
    box = root.locator(".solid canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()


@pytest.mark.parametrize(("width", "height", "scheme"), WAYS)
def test_a_page_turns_and_plays(
    width: int, height: int, scheme: str, page: Any, opened: Any, until: Any, picture: Any
) -> None:
    vertices, faces = body()
    points = Points(vertices[:, ::701] * 1.02)
    motion = walk()
    moved = replace(motion, points=motion.points + np.float32([0.05, 0, 0]), confidence=None)
    panels = {"lifted": {"found": motion, "true": moved}, "mesh": [(vertices, faces), points]}
    root = opened(Scene(panels, fps=30), width, height, scheme)
    until(lambda: shown(root, "frame") > 3)  # it plays by itself
    page.keyboard.press(" ")
    page.wait_for_timeout(300)
    still = shown(root, "frame")
    page.wait_for_timeout(300)
    assert shown(root, "frame") == still
    page.keyboard.press(".")
    until(lambda: shown(root, "frame") == (still + 1) % 90)

    drag(page, root, 80, 0)
    until(lambda: shown(root, "yaw") == -10)
    drag(page, root, 0, 50)
    until(lambda: shown(root, "pitch") == 32)
    for key, name, value in [("ArrowRight", "yaw", 0), ("ArrowDown", "pitch", 27), ("+", "zoom", 1.15)]:
        page.keyboard.press(key)
        until(lambda name=name, value=value: shown(root, name) == pytest.approx(value))
    page.mouse.wheel(0, 200)
    until(lambda: shown(root, "zoom") < 1)
    page.keyboard.press("0")
    until(lambda: (shown(root, "yaw"), shown(root, "zoom")) == (30, 1))

    slider = root.locator("input[type=range]")
    slider.fill("45")
    until(lambda: shown(root, "frame") == 45)
    assert "1.50 / 2.97 s" in root.inner_text() and all(
        word in root.inner_text() for word in ("lifted", "found", "true")
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    parts = root.locator("button:visible, select, input, output").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right, box.bottom])"
    )
    assert len(parts) == 9 and all(left >= 0 and right <= width and end <= height for left, right, end in parts)
    background = root.evaluate("one => getComputedStyle(one).backgroundColor")
    assert (max(map(int, background[4:-1].split(","))) < 80) == (scheme == "dark")
    picture("whole", page.locator("body"))
    page.keyboard.press("n")
    until(lambda: root.get_by_text("left ankle", exact=True).count() == 1)


def test_two_fingers_zoom_and_a_joint_says_its_name(page: Any, opened: Any, until: Any) -> None:
    root = opened(Scene(walk()), 390, 844)
    page.keyboard.press(" ")
    canvas = root.locator(".solid canvas")
    pinch = """(canvas) => {
        const tell = (type, pointerId, x) => canvas.dispatchEvent(new PointerEvent(type,
            { pointerId, clientX: x, clientY: 300, pointerType: "touch", button: type === "pointerdown" ? 0 : -1 }));
        canvas.setPointerCapture = () => {};
        tell("pointerdown", 1, 150); tell("pointerdown", 2, 250);
        tell("pointermove", 1, 100); tell("pointermove", 2, 300);
        tell("pointerup", 1, 100); tell("pointerup", 2, 300);
    }"""
    canvas.evaluate(pinch)
    until(lambda: shown(root, "zoom") == pytest.approx(2))
    page.keyboard.press("0")
    root.locator("input[type=range]").fill("45")
    page.keyboard.press("n")
    name = root.get_by_text("left wrist", exact=True)
    until(lambda: name.count() == 1)
    box = name.bounding_box()
    page.mouse.move(box["x"] - 6, box["y"] + 8)
    until(lambda: root.get_by_text("left wrist, 20 % sure").count() == 1)


@pytest.mark.parametrize(("width", "height", "scheme"), WAYS)
def test_a_video_plays_in_step(
    width: int, height: int, scheme: str, page: Any, opened: Any, until: Any, tmp_path: Path, picture: Any
) -> None:
    motion = walk()
    flat = 100 * motion.points[..., :2] * [1, -1] + [160, 190]
    keypoints = PoseSequence(points=flat, fps=30, skeleton=H36M17, confidence=motion.confidence, size=(320, 240))
    shades = (np.full((240, 320, 3), 40 + 2 * number, np.uint8) for number in range(90))
    video = write_video(tmp_path / "video.mp4", shades, 30)
    root = opened(Scene(motion), width, height, scheme, title="A walk", video=video, keypoints=keypoints)
    until(lambda: shown(root, "film") > 3)
    page.keyboard.press(" ")
    root.locator("input[type=range]").fill("60")
    until(lambda: (shown(root, "frame"), shown(root, "film")) == (60, 60))
    page.keyboard.press(",")
    until(lambda: (shown(root, "frame"), shown(root, "film")) == (59, 59))
    page.wait_for_timeout(300)
    seen = root.locator(".film canvas").evaluate(
        "one => Array.from(one.getContext('2d').getImageData(Math.round(0.1 * one.width), one.height / 2, 1, 1).data)"
    )
    assert seen[:3] == pytest.approx([40 + 2 * 59] * 3, abs=6)  # the frame of the video itself
    root.locator("select").select_option("0.25")
    picture("whole", page.locator("body"))


def size_of(root: Any) -> list[int]:
    """Pixels of the picture in 3D."""
    return root.locator(".solid canvas").evaluate("one => [one.width, one.height]")  # type: ignore[no-any-return]


def test_frames_a_second(page: Any, opened: Any, capsys: Any) -> None:
    root = opened(Scene.of_mesh(*body(), fps=30))
    page.wait_for_timeout(5000)
    start = shown(root, "drawn")
    page.wait_for_timeout(5000)
    playing = (shown(root, "drawn") - start) / 5, size_of(root)
    page.keyboard.press(" ")
    rates = {"played": playing, "one after the other": page.evaluate(BENCH)}
    with capsys.disabled():
        for way, (rate, (width, height)) in rates.items():
            print(f"\n20,000 triangles {way}: {rate:.1f} frames a second at {width} x {height}")
    assert all(rate > 0 for rate, _ in rates.values())


def test_in_a_notebook(lab: Any, page: Any, run_all: Any, until: Any, picture: Any) -> None:
    cells = [
        "import numpy as np\nfrom pplkit.viz import Scene\nvertices = np.eye(3)\nfaces = np.array([[0, 1, 2]])",
        "view = Scene.of_mesh(np.stack([vertices, 2 * vertices]), faces).view(height=300)\nview",
        "view.update(Scene.of_mesh(vertices, faces))",
    ]
    run_all(lab.put_cells("scene", cells))
    root = page.locator(".pplkit-scene")
    root.wait_for()
    until(lambda: root.get_attribute("data-yaw"))
    until(lambda: not root.locator("input[type=range]").is_visible())  # the scene of one frame has come
    root.scroll_into_view_if_needed()
    drag(page, root, 40, 0)
    until(lambda: shown(root, "yaw") == 10)
    page.keyboard.press("+")
    until(lambda: shown(root, "zoom") > 1)
    page.keyboard.press("0")
    page.keyboard.press("0")  # which would restart the kernel
    until(lambda: (shown(root, "zoom"), shown(root, "yaw")) == (1, 30))
    page.wait_for_timeout(500)
    assert page.locator(".jp-Dialog").count() == 0
    picture("view", root)


@pytest.mark.parametrize("width", [360, 1280])
def test_prior_and_memory_are_explored_below(width: int, page: Any, opened: Any, until: Any, picture: Any) -> None:
    model = PosePriorLearner(Config(keypoints=6, banks=3, vectors=4)).eval()
    opened(Scene(walk()), width, 800, memory=model)
    section = page.locator(".memory")
    section.scroll_into_view_if_needed()
    dots = section.locator("circle:has(title)")
    prior = [dot["cx"] for dot in places(dots)]
    assert len(prior) == 6 and "mean: the prior" in section.inner_text()
    section.get_by_label("bank").fill("2")
    assert [dot["cx"] for dot in places(dots)] == prior
    section.get_by_label("vector").focus()
    page.keyboard.press("ArrowRight")
    until(lambda: section.get_attribute("data-pose") == "2/1" and [dot["cx"] for dot in places(dots)] != prior)
    assert "2 of 3" in section.inner_text() and "1 of 4" in section.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture("memory", section)
    section.get_by_role("button").click()
    until(lambda: [dot["cx"] for dot in places(dots)] == prior)


def places(dots: Any) -> list[dict[str, str]]:
    return dots.evaluate_all("all => all.map(one => ({ cx: one.getAttribute('cx') }))")  # type: ignore[no-any-return]
