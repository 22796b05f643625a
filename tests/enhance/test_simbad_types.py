"""The table of SIMBAD's types: old and new names, inheritance, and tables of users."""

import pytest

from xbayes.enhance.simbad_types import simbad_types
from xbayes.errors import InputError


@pytest.mark.parametrize(
    ("label", "names"),
    {
        "AGN": "AGN QSO Sy1 Sy2 SyG Seyfert_1 Seyfert_2 Seyfert LIN LINER Bla BLL BLLac rG LeQ",
        "LMXB": "LXB LMXB",
        "HMXB": "HXB HMXB",
        "XRB": "XB* XB",
        "CV": "CV* CataclyV* No* Nova DN* DwarfNova AM* AMHer DQ* NL*",
        "YSO": "Y*O YSO TT* TTau* Or* Orion_V* Ae* pr* pMS*",
        "Star": "* Star ** EB* SB* RS* RSCVn BY* Fl* Flare* PM* V* LM* BD* Be* WD* s*b C* Em*",
        "NS": "N* Psr Pulsar",
        "": "X Radio Rad IR Blue blu UV gamma gam PartofG PoG G Galaxy ? PN SN* SNR? Cl* Pl Sy* "
        "LX? HX? CV? XB? AG? Q? Y*? LMXB_Candidate QSO_Candidate nonsense",
    }.items(),
)
def test_types_have_the_class_of_astronomers(label, names):
    types = simbad_types()
    assert {name: types.label(name) for name in names.split()} == dict.fromkeys(
        names.split(), label
    )


def test_blanks_do_not_matter():
    assert simbad_types().label(" QSO ") == "AGN"


def table(tmp_path, *rows):
    path = tmp_path / "types.csv"
    path.write_text("\n".join(["# mine", "type,parent,class,names", *rows]) + "\n")
    return path


def test_users_may_change_the_table(tmp_path):
    path = table(
        tmp_path, "G,,Galaxy,", "AGN,G,,QSO|Q", "Sy2,AGN,Seyfert 2,", "PoG,G,-,", "HII,PoG,,"
    )
    types = simbad_types(path)
    assert [types.label(t) for t in ("G", "AGN", "QSO", "Q", "Sy2", "PoG", "HII")] == [
        *("Galaxy", "Galaxy", "Galaxy", "Galaxy", "Seyfert 2", "", ""),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("A,B,,", "B,A,,"), "circle of parents"),
        (("A,B,x,", "C,D,,"), "'D', the parent of 'C', has no row"),
        (("A,,x,", "A,,y,"), "lists 'A' twice"),
        (("A,,x,N", "B,,y,N"), "'N' is a name of 'A' and of 'B'"),
        ((",,x,",), "a row without a type"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        simbad_types(table(tmp_path, *rows))


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "types.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'type'"):
        simbad_types(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="give a CSV file with the columns"):
        simbad_types(path)
