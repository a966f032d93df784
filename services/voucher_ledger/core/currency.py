"""What a currency's minor unit is, by ISO 4217. Pure."""

# Of all others two digits. Not the locale's digits, as browsers have them: those are what people write in shops, and
# differ from the standard's for some (HUF, IDR, IQD).
_DIGITS_BY_CODES = {
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF": 0,
    "BHD IQD JOD KWD LYD OMR TND": 3,
    "CLF UYW": 4,
}
_DIGITS = {code: digits for codes, digits in _DIGITS_BY_CODES.items() for code in codes.split()}


def minor_digits(currency: str) -> int:
    """Decimal digits of an amount in `currency`: 100 minor units are 1 where there are two."""
    return _DIGITS.get(currency, 2)
