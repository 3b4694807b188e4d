"""Random valid spaces for Hypothesis: every kind of parameter, nested and conditional."""

from typing import Any

from hypothesis import strategies as st

from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Parameter, Scalar, Space

NAMES = [f"p{i}" for i in range(8)]

scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-2, 2, allow_nan=False),
    st.sampled_from([float("inf"), 1.0, 0.5]),
    st.text(max_size=3),
    st.none(),
)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    kind = draw(st.sampled_from(["linear", "log", "reverse", "step", "normal", "lognormal"]))
    if kind == "log":
        low = 10.0 ** draw(st.floats(-8, 3))
        return Float(low, low * 10.0 ** draw(st.floats(0, 6)), log=True)
    if kind == "reverse":
        low = draw(st.floats(0, 0.9))
        return Float(low, draw(st.floats(low, 0.9999)), log="reverse")
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 1.0, 1e-3, 7.0]))
        low = draw(st.integers(-5, 5)) / 10
        return Float(low, low + step * draw(st.floats(0, 9.5)), step=step)
    if kind == "normal":
        bounds = draw(st.sampled_from([(), (-1.0, 2.0), (0.0,)]))
        return Float(*bounds, prior=Normal(draw(st.floats(-1, 1)), draw(st.floats(0.5, 2))))
    if kind == "lognormal":
        return Float(prior=LogNormal(draw(st.floats(-1, 1)), draw(st.floats(0.1, 2))))
    low = draw(st.floats(-1e6, 1e6))
    return Float(low, low + draw(st.floats(0, 1e6)))


@st.composite
def ints(draw: st.DrawFn, most: int = 1000) -> Int:
    size = draw(st.integers(1, most))
    if draw(st.booleans()):
        low = draw(st.integers(1, 5))
        return Int(low, low + size - 1, log=True)
    step = draw(st.integers(1, 4))
    low = draw(st.integers(-9, 9))
    return Int(low, low + step * size - draw(st.integers(1, step)), step=step)


def _kinds(value: Scalar) -> tuple[type, Scalar]:
    return type(value), value


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    values = draw(st.lists(scalars, min_size=1, max_size=4, unique_by=_kinds))
    weights = draw(st.none() | st.lists(st.floats(0.1, 5), min_size=len(values), max_size=len(values)))
    return Choice(values, ordered=draw(st.booleans()), weights=weights)


consts = scalars.map(Const)
finite: st.SearchStrategy[Parameter] = st.one_of(ints(most=4), choices(), consts)
parameters: st.SearchStrategy[Parameter] = st.one_of(floats(), ints(), choices(), consts)


@st.composite
def spaces(draw: st.DrawFn, kinds: st.SearchStrategy[Parameter] = parameters, most: int = 8) -> Space:
    """A space whose parameters depend on any earlier ones that are no Float, at one or more of their values."""
    found: dict[str, Any] = {}
    for name in NAMES[: draw(st.integers(1, most))]:
        parameter = draw(kinds)
        parents = [n for n, p in found.items() if not isinstance(p, Float)]
        when = {}
        if parents and draw(st.booleans()):
            for parent in draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique=True)):
                values = found[parent].grid(4)
                when[parent] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        found[name] = parameter if not when else _under(parameter, when)
    order = draw(st.permutations(list(found)))
    return Space({name: found[name] for name in order})


def _under(p: Parameter, when: dict[str, Any]) -> Parameter:
    match p:
        case Float():
            return Float(p.low, p.high, log=p.log, step=p.step, prior=p.prior, when=when)
        case Int():
            return Int(p.low, p.high, log=p.log, step=p.step, when=when)
        case Choice():
            return Choice(list(p.values), ordered=p.ordered, weights=p.weights, when=when)
        case Const():
            return Const(p.value, when=when)
