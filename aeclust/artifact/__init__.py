r"""The artifact format, in the only room that opens HDF5.

An artifact is an HDF5 file behind a 512-byte user block that holds the format version and the
SHA-256 of everything after it::

    aeclust artifact 1 sha256:<64 hexadecimal digits>\n, then zeros up to byte 512

so that any flipped bit is found. Root attributes say what the file is (``kind``, ``recipe``,
``seed``, ``parents``, ``versions``, ``details``; all but ``kind`` are JSON), datasets hold the
arrays. Nothing in a file depends on the clock or on a path: equal content gives equal bytes.

- :mod:`~aeclust.artifact.schema`: what each kind of artifact holds;
- :mod:`~aeclust.artifact.header`: the user block and the attributes;
- :mod:`~aeclust.artifact.writing`: files put in place whole or not at all;
- :mod:`~aeclust.artifact.gate`: what every HDF5 file passes before a value of it is used;
- :mod:`~aeclust.artifact.reading`: artifacts through the gate;
- :mod:`~aeclust.artifact.foreign`: arrays from the HDF5 files of others, through the same gate.
"""

from aeclust.artifact.foreign import VECTORS, choose_key, names_of, read_array
from aeclust.artifact.header import FORMAT, MAX_SEED
from aeclust.artifact.reading import claimed_digest, is_artifact, read
from aeclust.artifact.schema import KINDS, Array, Artifact, Json, decode_ids, encode_ids
from aeclust.artifact.writing import write

__all__ = [
    "FORMAT",
    "KINDS",
    "MAX_SEED",
    "VECTORS",
    "Array",
    "Artifact",
    "Json",
    "choose_key",
    "claimed_digest",
    "decode_ids",
    "encode_ids",
    "is_artifact",
    "names_of",
    "read",
    "read_array",
    "write",
]
