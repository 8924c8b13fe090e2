"""An H.264 stream whose frames are stored as two fields (PAFF), which no encoder of FFmpeg writes."""

import numpy as np


class _Bits:
    """Bits of a NAL unit, first the highest of a byte."""

    def __init__(self) -> None:
        self.bits = ""

    def u(self, count: int, value: int) -> "_Bits":
        self.bits += f"{value:0{count}b}" if count else ""
        return self

    def ue(self, *values: int) -> "_Bits":
        for value in values:  # Exp-Golomb codes
            code = f"{value + 1:b}"
            self.bits += "0" * (len(code) - 1) + code
        return self

    def raw(self, content: bytes) -> "_Bits":
        self.bits += "0" * (-len(self.bits) % 8) + "".join(f"{byte:08b}" for byte in content)
        return self

    def unit(self, head: int) -> bytes:
        """The unit with start code, stop bit and emulation prevention."""
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        made = bytearray()
        for byte in int(bits, 2).to_bytes(len(bits) // 8, "big"):
            if byte <= 3 and made[-2:] == b"\0\0":
                made.append(3)
            made.append(byte)
        return b"\0\0\0\1" + bytes([head]) + bytes(made)


def field_stream(images: list[np.ndarray], rate: int) -> bytes:
    """Gray images (H, W) uint8, sides multiples of 32, as a raw stream of uncompressed macroblocks, all keyframes."""
    height, width = images[0].shape
    settings = _Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, 0, 2, 1).u(1, 0)  # main profile; order of output = of coding
    settings.ue(width // 16 - 1, height // 32 - 1).u(1, 0).u(1, 0).u(1, 1).u(1, 0)  # fields, no MBAFF, no cropping
    settings.u(1, 1).u(4, 0).u(1, 1).u(32, 1).u(32, 2 * rate).u(1, 1).u(4, 0)  # VUI: only the rate of fields
    pictures = _Bits().ue(0, 0).u(1, 0).u(1, 1).ue(0, 0, 0).u(1, 0).u(2, 0).ue(0, 0, 0).u(3, 0)
    stream = settings.unit(0x67) + pictures.unit(0x68)
    for number, image in enumerate(images):
        for bottom in (0, 1):
            slice_ = _Bits().ue(0, 7, 0).u(4, 0).u(1, 1).u(1, bottom)  # all macroblocks, I, field
            slice_.ue(number % 2) if not bottom else slice_
            slice_.u(2, 0) if not bottom else slice_.u(1, 0)  # marking of references
            slice_.ue(0)  # change of the quantizer
            field = image[bottom::2]
            for top in range(0, height // 2, 16):
                for left in range(0, width, 16):
                    slice_.ue(25).raw(field[top : top + 16, left : left + 16].tobytes() + bytes([128]) * 128)
            stream += slice_.unit(0x41 if bottom else 0x65)
    return stream
