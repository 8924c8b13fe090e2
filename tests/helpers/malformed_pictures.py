"""Pictures and films that were made to harm: giants, bombs, circles, and scripts under a picture's name."""

import struct
import zlib
from pathlib import Path

from malformed_arrays import Spoil, long, raw, text

HEAD = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *more: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose pixels are missing."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return HEAD + head + b"".join(more) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def icon(folder: Path) -> None:
    """An icon of 16 pixels a side that holds a picture of 30,000."""
    inside = png(30_000, 30_000, colour=6)
    head = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    (folder / "h.ico").write_bytes(head + inside)


def tiff(*entries: tuple[int, int, int, int], again: int = 0) -> bytes:
    """A TIFF of these (tag, type, count, value), with its next directory at `again`."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", again)


SIZES = ((256, 4, 1, 30_000), (257, 4, 1, 30_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))
SMALL = ((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1))
PICTURES: dict[str, Spoil] = {
    "PNG of giants": raw("a.png", png(2**31 - 1, 2**31 - 1)),
    "PNG of 30,000 pixels a side": raw("a.png", png(30_000, 30_000)),
    "PNG of no pixels": raw("a.png", png(0, 0)),
    "PNG without its pixels": raw("a.png", png(100, 100)),
    "PNG with words by the gigabyte": raw("a.png", png(9, 9, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))))),
    "PNG with a profile by the gigabyte": raw(
        "a.png", png(9, 9, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8))))
    ),
    "GIF of giants": raw("c.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"),
    "GIF with a picture beyond it": raw("c.gif", b"GIF89a" + bytes([1, 0, 1, 0, 0, 0, 0, 44]) + b"\xff" * 9 + b"\x08;"),
    "TIFF of giants": raw("d.tif", tiff(*SIZES)),
    "TIFF in a circle": raw("d.tif", tiff(*SMALL, again=8)),
    "TIFF with strips by the billion": raw("d.tif", tiff(*SMALL, (273, 4, 2**31, 8), (279, 4, 2**31, 8))),
    "WebP of nothing": raw("e.webp", b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes([10, 0, 0, 0, 2, 0, 0, 0]) + b"\xff" * 6),
    "BMP of giants": raw("f.bmp", b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 2**31 - 1, 2**31 - 1, 1, 24, 0)),
    "PPM of giants": raw("g.ppm", b"P6 99999999 99999999 255\n"),
    "PPM of 5,000 digits": raw("g.ppm", b"P6 " + b"9" * 5000 + b" 1 255\n"),
    "an icon with a giant": icon,
    "PostScript called PNG": text("a.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\nshowpage\n"),
    "SVG called PNG": text("a.png", '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    "longer than the disk": long("a.png"),
    "JPEG longer than the disk": long("b.jpg"),
}


VIDEOS: dict[str, Spoil] = {
    "a list of other films": text("a.mp4", "ffconcat version 1.0\nfile b.avi\n"),
    "a list to play": text("a.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nd.ts\n#EXT-X-ENDLIST\n"),
    "a list of places": text("a.mp4", "#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n"),
    "frames of giants": raw("a.mp4", b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(1000)),
    "GIF of giants": raw("a.mp4", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + bytes(9)),
    "frames to be shown 65,535 times as wide": raw(
        "c.mkv", b"YUV4MPEG2 W64 H48 F10:1 Ip A65535:1 C420jpeg\n" + (b"FRAME\n" + bytes(64 * 72)) * 10
    ),
    "a part longer than the file": raw("a.mp4", struct.pack(">I4sQ", 1, b"ftyp", 2**62) + bytes(100)),
    "a picture": raw("a.mp4", png(100, 100)),
    "with much nothing at its end": long("c.mkv", 3 * 10**8),
}
