"""What a currency's minor unit is, by ISO 4217, and how people read an amount of it. Pure."""

# Of all others two digits. Not the locale's digits, as browsers have them: those are what people write in shops, and
# differ from the standard's for some (HUF, IDR, IQD).
_DIGITS_BY_CODES = {
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF": 0,
    "BHD IQD JOD KWD LYD OMR TND": 3,
    "CLF UYW": 4,
}
_UNITS = ((1e9, " bn"), (1e6, " M"), (1e3, " k"))
_DIGITS = {code: digits for codes, digits in _DIGITS_BY_CODES.items() for code in codes.split()}


def minor_digits(currency: str) -> int:
    """Decimal digits of an amount in `currency`: 100 minor units are 1 where there are two."""
    return _DIGITS.get(currency, 2)


def money(minor: int, currency: str) -> str:
    """Minor units as the page shows them: in whole units of the currency."""
    return f"{short(minor / 10 ** minor_digits(currency))} {currency}"


def short(amount: float) -> str:
    """Three digits and a unit, for axes and money."""
    for size, unit in _UNITS:
        if abs(amount) >= size:
            return f"{_three_digits(amount / size)}{unit}"
    return _three_digits(amount)


def _three_digits(amount: float) -> str:
    text = f"{amount:.3g}"
    return f"{float(text):.0f}" if "e" in text else text
