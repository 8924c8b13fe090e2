"""Tables in pickles: of old and new pandas, and files that would run something."""

import base64
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_prep.common.pandas_pickle import read_frame
from pplkit.core.errors import PplkitError

COLUMNS = ("file_name", "value")
# One table as these versions of pandas pickled it, protocol 4: two names, an array of 0 to 3, an array of -1.
WRITTEN = {
    "0.20.3": (
        "c-nna(Q4E{6iw32x~&#1ShO#q56b!yEEMd6(9#vb1|#%+2{+l<onSH>W+v4I3+=;Jgn8@rd;BH;K<`YpvMs9v$z1N7J7><FGv}Qj$7`M&W~&"
        "A<0u|*`$)d4@ilJG53mV?J_zGWM;2HK!n2sokW_uZ52+gE`QlYtbR8I3xA3(r_$+oONq`Jp9@gw$ysVD<QG#ja4pVRj?M+N+@39n;I*jez2r"
        "mAOcdDWD<04ZTce5qvlR46T*TvLe&9T3eOqH~ZdjJ-Jy{0zV03HD<@4(7<WO*qoC+A1@_$9=-Ye!ISA{I8fK$?<O*?iU|u%)VO{>*Jzisc_v"
        "1PoZoWGFmeomr9yT+JSGHomFBbh>2BuV&^4=yq}m*X^@%@VLD1rYm5UMFbaIPCmSMv$RAlDeCMx>IJiXq%pEL*s1_4CROaS?fuERQd`s(_TU"
        "tG<b@0@?F@7B^g2Q&|9U{U0$FjG~!UwB39(dmQ&*jhVY1;{;c9Y+?z1dp9F<*%0&-n`rrv|zv!5NzFt7vyG+HIW!)OO?>rkhz$Djd3W*WDW}"
        "yf(dRB2!u;-}bVmAXf<rLsb?zbG{)#PD2BYa`&8)XXs&APhLNgv|<{ZNr%{E(I4$mKok"
    ),
    "1.0.5": (
        "c-nna&ui2`6i&9Abz3dAV9{QR9+dSGEEM!mXmLf*V1!;gE#W0QyAw=i!_36G;6goYwJ^6n{~rG({{ww9X?0gt2a<VtzrOiizBy}ud$;DfWwt"
        "92Lr`Hhkt`fZC>fgd7og##voG=SXPjZr1j&$`X!aKKbD^0OP^hp30b?c=np@9{N%sCt^WD_<2Gro*a^aADWGYNS5#B~3*lF_0`lx{4G{LoPk"
        "=qUMj;PCO+LV`dp>vQDri7PBmQ94xvd%P>n7}2Xxj}F)<q{)rj(tDHFL;8z$d6ic<U1x9>S<*un%3KAc=5G~t{MLm#&P`mCoT7ijx?qhmc#l"
        "eFIXbnkb)0T)C?KLOxwBQ`kXrOO|!d-ssu5%Tu<!2z>oK06DSQ*(=kn3=}CoA%NmRf-}Phz<ahX8OM~zJCK0vHkw0(;3m~k-m=2Y?{a?v@rZ"
        "rk(diWPp&ob@b_m<X=qbuXM*}BI_Y5&7G_=Caws}Qz4@9g{HV>{YW0x{j>x9wcES0K!<2=j;hkxi%JxdFipP3K9te-Q3BngJR)@(t5Ttr`^$"
        "oV(-x83mr2ZaJ0-#YnN;w9ZLSg3Le_dB&V#h>mY@Yp9j`#|f#0?uJ$4^*u>SroqW`K((MXU4R+ZY4{75ze#u"
    ),
    "2.2.3": (
        "c-nnZUu)Dr5Kq#Jwj$OdXhjeo&zC$2`XKaZMbKaheJ{%-*-Jt<o3OiSJ+M$8T3gt+j-SV`<TudSy_Vj|;lj?&?#}$?-|uYn^X*#Tm)+_?mY|"
        "cOQ#_d}XgS)A4`AS<*RS#QcRa<h9kI4jXkRXxH_~t=LFl9f2^Ciw?ZaKs6-Qs@cXGE+Z#<Z2a((B5c9RXVZ;B(qS?+wiu^ifdmM{<B4#G5`6"
        "wC;gDPD9^8#NThS;pQH?R^6GCfAq-=eQT<_yZ4coQ7$XMi*Fb+PE~c-j!mb{dahEIsad?;Wx~(?DHR5UZgt)^Q%KDHio2^6$Q!tSwE_`9C-a"
        "?8G74B(<Q+7{{RLKaPL*Hw0`g0D3kfIK0z}3UyL_*G3xQE2#<r{?APLUh@7@v&xeM(D5>AE7EQr@p9nj2fNA99Il7v+mnU2DuUscNXyU^ICi"
        "w~b<le}=p4j+S_sl4XEvtG&mlwXB8`Fk{EIqg4V-N#JpWMhlWy1w|)Vucistgp!%B67N&V{h`enu4;P=@NUBW=2#%5e%OCG?ow31TjdpGfV}"
        "yd^kmxdET|A*BSy5Oq({-eXe%l~<pE5Z#Gp<<L{xz;GrY=fvAfJ><z>d7?rz"
    ),
}


def check(found: dict[str, list[Any]]) -> None:
    assert found["file_name"] == ["a.png", "b.png"] and all(isinstance(name, str) for name in found["file_name"])
    assert found["value"][0].dtype == np.float64 and found["value"][0].tolist() == [[0, 1], [2, 3]]
    assert found["value"][1].dtype == np.float32 and found["value"][1].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize("version", WRITTEN)
def test_tables_of_old_versions(version: str, tmp_path: Path) -> None:
    (tmp_path / "gt.pkl").write_bytes(zlib.decompress(base64.b85decode(WRITTEN[version])))
    check(read_frame(tmp_path / "gt.pkl", COLUMNS))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tables_of_this_version(protocol: int, tmp_path: Path) -> None:
    values = [np.arange(4.0).reshape(2, 2), -np.ones((2, 2), np.float32)]
    frame = pd.DataFrame({"file_name": ["a.png", "b.png"], "n": [7, 8], "value": values})
    frame.to_pickle(tmp_path / "gt.pkl", protocol=protocol)
    check(read_frame(tmp_path / "gt.pkl", COLUMNS))
    assert read_frame(tmp_path / "gt.pkl", ["n"]) == {"n": [7, 8]}


def test_arrays_of_other_orders_and_kinds(tmp_path: Path) -> None:
    values = [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(3, dtype=">i4"), [1, 2], np.float64(2.5)]
    pd.DataFrame({"value": pd.Series(values, dtype=object)}).to_pickle(tmp_path / "gt.pkl")
    found = read_frame(tmp_path / "gt.pkl", ["value"])["value"]
    assert found[0].tolist() == [[0, 1, 2], [3, 4, 5]] and found[1].tolist() == [0, 1, 2]
    assert found[2] == [1, 2] and found[3] == 2.5


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"), ("builtins", "getattr"), ("os", "system"), ("numpy", "load"), ("pandas", "read_pickle"),
        ("pandas", "eval"), ("numpy.core.multiarray", "fromfile"), ("pandas.core.frame", "DataFrame.to_csv"),
    ],
)  # fmt: skip
def test_other_names_are_refused_with_their_name(module: str, name: str, tmp_path: Path) -> None:
    # Pickle's opcodes by hand: protocol 4, two strings, look the name up, call it with nothing, stop.
    strings = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    (tmp_path / "gt.pkl").write_bytes(b"\x80\x04" + strings + b"\x93)R.")
    with pytest.raises(PplkitError, match=f"is refused, nothing was run: it names {module}.{name},"):
        read_frame(tmp_path / "gt.pkl", COLUMNS)


def test_arrays_that_lie_about_their_bytes_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(pd.DataFrame({"value": [np.arange(4.0)]}), protocol=4)
    for before, after, message in (
        (b"\x8c\x02f8", b"\x8c\x02f4", "an array of 16 bytes with 32"),
        (b"\x8c\x02f8", b"\x8c\x02O8", "an array of 4 objects without them"),
        (b"\x8c\x02f8", b"\x8c\x02V8", "an array of type 'V8'"),
    ):
        assert before in whole
        (tmp_path / "gt.pkl").write_bytes(whole.replace(before, after))
        with pytest.raises(PplkitError, match=f"is refused, nothing was run: it holds {message}"):
            read_frame(tmp_path / "gt.pkl", ["value"])


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    path = tmp_path / "gt.pkl"
    with pytest.raises(PplkitError, match=r"gt\.pkl is missing"):
        read_frame(path, COLUMNS)
    whole = pickle.dumps(pd.DataFrame({"file_name": ["a"], "value": [1]}))
    for content in (b"", b"no table", pickle.dumps([1]), whole[:200]):
        path.write_bytes(content)
        with pytest.raises(PplkitError, match=r"gt\.pkl cannot be read as a table of pandas"):
            read_frame(path, COLUMNS)
    path.write_bytes(whole)
    with pytest.raises(PplkitError, match=r"gt\.pkl has no column 'pose' among file_name, value"):
        read_frame(path, ["pose"])
