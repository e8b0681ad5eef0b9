"""What embit raises for bytes that are not what they should be; it also asserts, in its keys and signatures."""

from embit.base import EmbitError

EMBIT_ERRORS = (
    EmbitError,
    AssertionError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
)
