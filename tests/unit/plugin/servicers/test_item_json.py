from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velero_py_plugin.plugin.servicers.item_json import InvalidItemError, decode_object, encode_item

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)  # making the objects takes longer than what is tested
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_objects_survive(content: dict[str, Any]) -> None:
    item = {**content, "kind": "ConfigMap"}
    assert decode_object(encode_item(item), "item") == item


@pytest.mark.parametrize(
    "text",
    [
        '{"kind":"X","n":9223372036854775807}',
        '{"kind":"X","n":-9223372036854775808}',
        '{"kind":"X","n":18446744073709551616}',
        '{"kind":"X","n":1.0}',
        '{"kind":"X","n":0.1}',
        '{"kind":"X","a":null,"b":{},"c":[],"d":""}',
        '{"kind":"X","z":1,"a":2}',
    ],
)
def test_numbers_nulls_empty_values_and_order_stay_as_they_are(text: str) -> None:
    assert encode_item(decode_object(text.encode(), "item")) == text.encode()


@given(st.binary())
def test_garbage_is_one_error(data: bytes) -> None:
    try:
        decoded = decode_object(data, "item")
    except InvalidItemError:
        return
    assert decoded == json.loads(data)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"5", b"\xff\xfe", b'{"a":', b"[" * 100_000])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(InvalidItemError, match=r"^restore is not"):
        decode_object(data, "restore")


@pytest.mark.parametrize("item", [{}, {"kind": ""}, {"kind": None}, {"apiVersion": "v1"}])
def test_an_item_without_kind_is_refused_here_rather_than_by_velero(item: dict[str, Any]) -> None:
    with pytest.raises(InvalidItemError, match="without a kind"):
        encode_item(item)


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, b"bytes"])
def test_what_json_cannot_express_is_refused(value: object) -> None:
    with pytest.raises(InvalidItemError, match="is not JSON"):
        encode_item({"kind": "X", "value": value})
