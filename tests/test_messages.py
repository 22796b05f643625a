"""Every message of wrong input says what to do, or what is allowed."""

import ast
from pathlib import Path

import pytest

import xbayes

PACKAGE = Path(xbayes.__file__).parent
# After one of these a message says what to do or what is right.
ADVICE = (";", ": ", " must ", "use ", "give ", " needs ", "did you mean")
# scikit-learn's own messages, which its tests compare word by word.
OF_SKLEARN = ("estimators/mixture_base.py", "estimators/mixture_shapes.py")
OF_SKLEARN += ("estimators/bayesian_mixture.py",)


def text_of(node: ast.expr) -> str:
    """The literal parts of a message, with {} for its values."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "{}"


def without_advice(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and text of each InputError whose message gives no advice.

    Messages that only pass on another text are not looked at.
    """
    found = []
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", None)
        if not (isinstance(node, ast.Call) and name == "InputError" and node.args):
            continue
        text = text_of(node.args[0])
        # A text that begins or ends with another text may say it there.
        passes_on = text.startswith("{}. ") or text.endswith(("{}", "{})"))
        if not passes_on and not any(part in text for part in ADVICE):
            found.append((node.lineno, text))
    return found


def test_every_message_says_what_to_do():
    poor = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in OF_SKLEARN and (lines := without_advice(ast.parse(path.read_text()))):
            poor[name] = lines
    assert poor == {}


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("raise InputError(f'{x} is wrong{advice}')", 0),
        ("raise InputError(f'the column {x} is not a good one')", 1),
        ("raise InputError(f'the column {x} is wrong; found {y}')", 0),
        ("raise InputError('the rows ' f'{n}' + ' are wrong')", 1),
    ],
)
def test_a_message_without_advice_is_found(text, n):
    assert len(without_advice(ast.parse(text))) == n
