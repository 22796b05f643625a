"""The tutorial: what each kind of data says, one page a step, without a script."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.volunteers.tutorial import ANSWERS, check_answer, steps
from xbayes.app.volunteers.visitor import page, words_of

router = APIRouter(include_in_schema=False)


@router.get("/volunteer/tutorial")
def tutorial(request: Request) -> Response:
    """A step of the tutorial, and whether the answer to its question is right."""
    all_steps = steps(words_of(request))
    text = request.query_params.get("step", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 1
    number = min(max(number, 1), len(all_steps))
    answer = request.query_params.get("answer", "")
    step = all_steps[number - 1]
    return page(
        request,
        "tutorial.html",
        step=step,
        number=number,
        n_steps=len(all_steps),
        answers=ANSWERS,
        answer=answer if answer in ANSWERS else "",
        right=check_answer(step, answer) if answer in ANSWERS else None,
    )
