"""The gate for ONNX files of others: what passes is a session, all else an error of one line.

An ONNX file is a program of a small language. What of it could open another file, run code of
another library or never end is refused before the runtime sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aeclust.errors import AeclustError, InputError, reason
from aeclust.network.extras import extra

MOST = (1 << 31) - 1  # bytes; the format itself knows no larger file without others beside it
_MOST_NODES = 1_000_000  # once every function is written out
_FATAL = 4
_STANDARD = ("", "ai.onnx")
_WHOLE = "an ONNX file in one piece, of ONNX's own operators"


def session(data: bytes) -> Any:
    """A session of ONNX Runtime, on one thread of the CPU.

    Raises
    ------
    InputError
        If a library is not installed, or the file is damaged, not self-contained, or has operators
        that are not ONNX's own.
    """
    with extra("onnx", "`encoder`"):
        import onnxruntime
        from onnx import ModelProto
    try:
        model = ModelProto.FromString(data)
        _check(model)
        model.DiscardUnknownFields()  # so that the runtime gets nothing that was not looked at
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # it keeps to itself what it raises anyway
        options.log_severity_level = _FATAL
        onnxruntime.set_default_logger_severity(_FATAL)
        # which a file could otherwise choose by its first bytes
        options.add_session_config_entry("session.load_model_format", "ONNX")
        content = model.SerializeToString()
        del model
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # which prints what went wrong
        )
    except AeclustError:
        raise
    except Exception as error:  # the libraries have a dozen types
        raise unfit(f"is damaged or no ONNX file ({reason(error)})") from error


def unfit(what: str, expected: str = _WHOLE) -> InputError:
    """The error for a file that cannot be used."""
    return InputError(what, expected=expected, mend="export it anew, or choose another `encoder`")


def _check(model: Any) -> None:
    functions = {_key(f, f.name): f for f in model.functions}
    for message in _messages(model):
        kind = message.DESCRIPTOR.name
        if any(isinstance(text, bytes) for text in _texts(message)):
            raise unfit("has names that are no text")
        if kind == "TensorProto" and (message.data_location or message.external_data):
            mend = "export it with external_data=False, or save it by onnx.save in one file"
            raise InputError(
                "keeps data in other files, which are never opened", expected="one file", mend=mend
            )
        if kind != "NodeProto":
            continue
        known = message.domain in _STANDARD or _key(message, message.op_type) in functions
        if not known:
            name = f"{message.domain}:{message.op_type}"[:80]
            raise unfit(f"has an operator that is not ONNX's own, {name}")
        if message.op_type == "Loop" and message.domain in _STANDARD:
            raise unfit("has a loop, which need not end", "an encoder without the operator Loop")
    sizes: dict[Any, int] = {}
    if _written_out(model.graph, functions, sizes, ()) > _MOST_NODES:
        raise unfit(f"has more than {_MOST_NODES} operators")


def _key(message: Any, name: str) -> tuple[str, ...]:
    """What a function, or a node that calls it, is found by; one domain has two names."""
    domain = "" if message.domain in _STANDARD else message.domain
    return domain, name, getattr(message, "overload", "")


def _messages(message: Any) -> Iterator[Any]:
    """A message of protobuf and all within it, however deep: the parser bounds the depth."""
    yield message
    for _, value in message.ListFields():
        if hasattr(value, "DESCRIPTOR"):
            yield from _messages(value)
        elif not isinstance(value, str | bytes | int | float) and hasattr(value[0], "DESCRIPTOR"):
            for each in value:
                yield from _messages(each)


def _texts(message: Any) -> Iterator[str | bytes]:
    """The names in a message itself; what is not UTF-8 is bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            yield from (value,) if isinstance(value, str | bytes) else value


def _written_out(
    body: Any, functions: dict[Any, Any], sizes: dict[Any, int], within: tuple[Any, ...]
) -> int:
    """Operators of a graph or function where every call of a function is replaced by its body."""
    total = 0
    for message in _messages(body):
        if message.DESCRIPTOR.name != "NodeProto":
            continue
        key = _key(message, message.op_type)
        if key not in functions:
            total += 1
            continue
        if key in within or len(within) > 50:
            raise unfit("has functions that call each other in a circle")
        if key not in sizes:
            sizes[key] = _written_out(functions[key], functions, sizes, (*within, key))
        total = min(total + 1 + sizes[key], _MOST_NODES + 1)
    return total
