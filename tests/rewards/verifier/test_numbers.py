"""Plain numbers: exact, however they are written."""

from tests.rewards.verifier.table import rows, status


@rows(
    ("11217", "11217", "ok"),
    ("7", " 7 ", "ok"),
    ("7", "007", "ok"),  # leading zeros, as AIME's answers have them
    ("073", "73", "ok"),
    ("0", "000", "ok"),
    ("7", "7.0", "ok"),
    ("7", "7.", "ok"),
    ("0.5", ".5", "ok"),
    ("7", "-7", "wrong"),
    ("-7", "−7", "ok"),  # a typographic minus
    ("-7", "- 7", "ok"),
    ("7", "+7", "ok"),
    ("7", "(7)", "ok"),
    ("7", "{7}", "ok"),
    ("7", "$7$", "ok"),
    ("7", "\\(7\\)", "ok"),
    ("7", "7\\,.", "ok"),
    ("123456789012345678901", "123456789012345678902", "wrong"),  # equal as floats
    ("70", "7", "wrong"),
    ("7", "17", "wrong"),  # the gold is a part of it
    ("0.1", "0.10", "ok"),
    ("0.1", "0.11", "wrong"),
    # What is exact is compared exactly, however many digits agree
    ("2^{40}-1", "2^{40}", "wrong"),
    ("2^{100}-1", "2^{100}+5", "wrong"),
    ("1-\\frac{1}{3^{25}}", "1-\\frac{1}{3^{26}}", "wrong"),
    ("\\frac{2^{50}-1}{3}", "\\frac{2^{50}}{3}", "wrong"),
    ("\\sqrt{2}", "\\sqrt{2}+10^{-100}", "wrong"),  # 90 digits agree
    ("\\sqrt{2}", "\\sqrt{2}+10^{-300}", "wrong"),
    ("\\sqrt{3+2\\sqrt{2}}", "1+\\sqrt{2}", "ok"),
    ("\\frac{1}{2004!}", "\\frac{1}{2004!}", "ok"),
    ("\\frac{1}{2004!}", "\\frac{2004}{2004\\cdot 2004!}", "ok"),
    ("\\frac{1}{2004!}", "\\frac{1}{2003!}", "wrong"),
    # Thousands
    ("\\frac{12}{5,\\!525}", "\\frac{4}{1841.666}", "wrong"),
    ("\\frac{12}{5,\\!525}", "\\frac{12}{5525}", "ok"),
    ("\\frac{12}{5,\\!525}", "\\frac{24}{11050}", "ok"),
    ("1234", "1,234", "ok"),
    ("1,234", "1234", "ok"),
    ("1234567", "1,234,567", "ok"),
    ("1234567.5", "1,234,567.50", "ok"),
    ("12345", "12{,}345", "ok"),
    ("12345", "12\\,345", "ok"),
    ("12345", "12,\\!345", "ok"),
    ("12345", "12\\ 345", "ok"),
    ("1234", "1, 234", "wrong"),  # a list of two
    ("1234", "12,34", "wrong"),
    ("1,234", "(1,234)", "wrong"),  # a point
    # Fractions and mixed numbers
    ("\\frac{1}{2}", "0.5", "ok"),
    ("\\frac{1}{2}", "\\dfrac{1}{2}", "ok"),
    ("\\frac{1}{2}", "\\tfrac12", "ok"),
    ("\\frac12", "\\frac{1}2", "ok"),
    ("\\frac{1}{2}", "1/2", "ok"),
    ("\\frac{1}{2}", "\\frac{2}{4}", "ok"),
    ("-\\frac{1}{2}", "\\frac{-1}{2}", "ok"),
    ("-\\frac{1}{2}", "\\frac{1}{-2}", "ok"),
    ("\\frac{1}{2}", "\\frac{2}{1}", "wrong"),
    ("1\\frac{1}{2}", "1.5", "ok"),
    ("\\frac{3}{2}", "1\\frac12", "ok"),
    ("\\frac{3}{2}", "1 1/2", "ok"),
    ("\\frac{1}{2}", "1\\frac{1}{2}", "wrong"),  # not a product
    ("-\\frac{7}{3}", "-2\\frac{1}{3}", "ok"),
    ("\\frac{11}{2}", "1 1/2", "wrong"),
    ("\\frac{11}{2}", "11/2", "ok"),  # not 1 and 1/2
    ("\\frac{36}{1680}", "36/1680", "ok"),
    ("\\frac{36}{1680}", "3 6/1680", "wrong"),
    ("5", "\\frac{5}{0}", "wrong"),
    ("\\frac{1}{3}", "0.333333", ("wrong", "ok")),  # six digits may stand for what no decimal can say
    ("\\frac{1}{3}", "0.3333333333", ("wrong", "ok")),
    ("0.3333333333", "\\frac{1}{3}", ("wrong", "ok")),
    ("\\frac{1}{3}", "0.3333343333", "wrong"),
    ("\\frac{2}{3}", "0.666667", ("wrong", "ok")),  # rounded
    ("\\frac{2}{3}", "0.666666", ("wrong", "ok")),  # cut off
    ("\\frac{2}{3}", "0.666665", "wrong"),
    ("-\\frac{2}{3}", "-0.666667", ("wrong", "ok")),
    ("-\\frac{2}{3}", "0.666667", "wrong"),
    ("\\frac{1}{8}", "0.1250001", "wrong"),
    ("\\frac{1}{3}", "0.333", "wrong"),
    ("\\frac{1}{3}", "0.\\overline{3}", "ok"),
    ("\\frac{7}{12}", "0.58\\overline{3}", "ok"),
    ("0.333333", "0.333334", "wrong"),
    # Scientific notation
    ("4.5e33", "4.5 \\times 10^{33}", "ok"),
    ("4.5e33", "4.5\\cdot10^{33}", "ok"),
    ("4.5e33", "4.5E33", "ok"),
    ("4.5e33", "45e32", "ok"),
    ("4.5e33", "4.6e33", "wrong"),
    ("1.6e-19", "1.7e-19", "wrong"),  # both round to 0 at six decimals
    ("1.6e-19", "0", "wrong"),
    ("1000000", "10^6", "ok"),
    ("0.001", "10^{-3}", "ok"),
    ("300000000", "3\\times10^8", "ok"),
    ("1", "1e0000000009", "wrong"),
    ("1e99999999", "2e99999999", "unparsable"),
    # A plain number wants a number, in the strict variant
    ("7", "3+4", ("wrong", "ok")),
    ("1024", "2^{10}", ("wrong", "ok")),
    ("4", "\\sqrt{16}", ("wrong", "ok")),
    ("11217", "4821+6396", ("wrong", "ok")),
    ("7", "x=7", "ok"),
    ("7", "x = 7", "ok"),
    ("7", "f(2)=7", "ok"),
    # What is no number
    ("7", "٧", "unparsable"),  # digits of other scripts
    ("7", "７", "unparsable"),
    ("32", "3²", ("wrong", "wrong")),
    ("9", "3²", ("wrong", "ok")),
    ("34", "3 4", "unparsable"),
    ("7", "3 4", "unparsable"),  # Math-Verify adds them
    ("34", "3\\quad 4", "unparsable"),
    ("7", "", "unparsable"),
    ("7", "inf", "wrong"),
    ("7", "0/0", "wrong"),
    ("7", "NaN", "wrong"),
    ("7", "1_0", "unparsable"),
    ("16", "0x10", "wrong"),
)
def test_numbers(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected
