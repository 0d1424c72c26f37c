"""The generated messages and services are those of Velero and go-plugin, and those of the sources in ``proto/``."""

from __future__ import annotations

import filecmp
import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

import velero_py_plugin
from proto.generate import PACKAGE, generate, replace

ROOT = Path(velero_py_plugin.__file__).parents[1]
_TYPES = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def described(file: FileDescriptor) -> Iterator[str]:
    for message in file.message_types_by_name.values():
        yield from message_lines(message)
    for enum in file.enum_types_by_name.values():
        yield enum_line(enum)
    for service in file.services_by_name.values():
        for method in service.methods:
            request = "*" * method.client_streaming + method.input_type.full_name
            response = "*" * method.server_streaming + method.output_type.full_name
            yield f"{method.full_name} {request} {response}"


def message_lines(message: Descriptor) -> Iterator[str]:
    fields = ", ".join(f"{field.name} {field_type(field)} {field.number}" for field in message.fields)
    yield f"{message.full_name}: {fields}".rstrip()
    for nested in message.nested_types:
        yield from message_lines(nested)
    for enum in message.enum_types:
        yield enum_line(enum)


def enum_line(enum: EnumDescriptor) -> str:
    return f"{enum.full_name} = {', '.join(f'{value.name} {value.number}' for value in enum.values)}"


def field_type(field: FieldDescriptor) -> str:
    name: str = field.message_type.full_name if field.message_type else _TYPES[field.type]
    return "*" * field.is_repeated + name


def test_every_name_number_and_type_is_the_protocol_s() -> None:
    expected = {
        line
        for line in Path(__file__).with_name("plugin_protocol.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    found = set()
    for path in (ROOT / PACKAGE).rglob("*_pb2.py"):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found |= set(described(module.DESCRIPTOR))
    assert found == expected


def test_what_is_committed_is_what_the_sources_generate(tmp_path: Path) -> None:
    generate(tmp_path)
    fresh, committed = tmp_path / PACKAGE, ROOT / PACKAGE
    names = sorted(str(path.relative_to(fresh)) for path in fresh.rglob("*.py*"))
    assert names == sorted(
        str(path.relative_to(committed)) for path in committed.rglob("*.py*") if path.suffix != ".pyc"
    )
    _, different, broken = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    assert (different, broken) == ([], []), "run `make proto`"


def test_regenerating_leaves_nothing_of_a_source_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / PACKAGE).mkdir(parents=True)
    stale = tmp_path / PACKAGE / "gone_pb2.py"
    stale.touch()
    replace(tmp_path)
    assert not stale.exists()
    assert (tmp_path / PACKAGE / "velero" / "shared_pb2.py").exists()
    assert [path.name for path in tmp_path.iterdir()] == [PACKAGE.parts[0]]
