"""Values as COPY takes them."""

import pytest

from voucher_ledger.ledger.copy_text import array


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), ""),
        ((2500, 0), '{"2500","0"}'),
        (("v-1",), '{"v-1"}'),
        (("a,b", "{}", "NULL", ' "x" ', "\\"), '{"a,b","{}","NULL"," \\"x\\" ","\\\\"}'),
    ],
)
def test_an_array_quotes_what_would_end_an_element(values: tuple[str | int, ...], expected: str) -> None:
    assert array(values) == expected
