"""Units, money, degrees, percent, bases: they may be left out, and they may not be others."""

from tests.rewards.verifier.table import rows, status


@rows(
    ("5", "5\\text{ cm}", "ok"),
    ("5\\text{ cm}", "5", "ok"),
    ("5\\text{ cm}", "5 \\mathrm{cm}", "ok"),
    ("5\\text{ cm}", "5 cm", "ok"),
    ("5\\text{ cm}", "5 centimeters", "ok"),
    ("5\\text{ cm}", "5\\text{ m}", "wrong"),
    ("5\\text{ cm}", "6\\text{ cm}", "wrong"),
    ("15\\mbox{ cm}^2", "15", "ok"),
    ("15\\mbox{ cm}^2", "15\\text{ cm}^{2}", "ok"),
    ("15\\mbox{ cm}^2", "15\\text{ square cm}", "ok"),
    ("15\\mbox{ cm}^2", "15\\text{ cm}", "wrong"),
    ("60", "60\\text{ km/h}", "ok"),
    ("60\\text{ km/h}", "60\\text{ km per hour}", "ok"),
    ("60\\text{ km/h}", "60\\text{ mph}", "wrong"),
    ("3.2\\,\\mathrm{m/s^2}", "3.2", "ok"),
    ("3.2\\,\\mathrm{m/s^2}", "3.2\\text{ m/s}", "wrong"),
    ("3.2\\,\\mathrm{m/s^2}", "3.2\\text{ m}/\\text{s}^2", "ok"),
    ("3", "3\\text{ hours}", "ok"),
    ("\\frac{1}{2}", "\\frac{1}{2}\\text{ inch}", "ok"),
    ("1.5", "1\\frac12 \\text{ feet}", "ok"),
    ("18", "18\\text{ apples}", ("unparsable", "ok")),  # words that are no unit
    ("18", "18 apples", ("wrong", "ok")),
    ("18", "\\text{18 apples}", ("wrong", "ok")),
    ("\\text{18 apples}", "\\text{17 apples}", "wrong"),
    ("18", "18\\text{ or more}", "unparsable"),
    ("18", "18\\text{ million}", "unparsable"),
    ("18", "18\\text{, not }19", "unparsable"),
    ("5", "5m", ("wrong", "wrong")),  # a product
    # Money
    ("18", "\\$18", "ok"),
    ("18", "$18", "ok"),
    ("18", "\\$18.00", "ok"),
    ("18", "18\\text{ dollars}", "ok"),
    ("\\$18", "18", "ok"),
    ("\\$18", "18\\text{ cents}", "wrong"),
    ("1,234", "\\$1,234", "ok"),
    ("-5", "-\\$5", "ok"),
    # Degrees
    ("90^\\circ", "90", "ok"),
    ("90", "90^\\circ", "ok"),
    ("90", "90^{\\circ}", "ok"),
    ("90", "90°", "ok"),
    ("90", "90\\text{ degrees}", "ok"),
    ("90^\\circ", "90\\text{ radians}", "wrong"),
    ("20^\\circ\\text{C}", "20^\\circ\\text{F}", "wrong"),
    ("90^\\circ", "91^\\circ", "wrong"),
    # Percent is a unit: no answer is right for two golds
    ("10\\%", "10", "ok"),
    ("10", "10\\%", "ok"),
    ("10\\%", "10%", "ok"),
    ("10\\%", "10\\text{ percent}", "ok"),
    ("10\\%", "0.1", "wrong"),
    ("0.1", "10\\%", "wrong"),
    # Words that are no unit
    ("5", "5\\text{ cubed}", "unparsable"),
    ("5", "5 squared", "wrong"),
    ("25", "25 square units", "ok"),
    ("5", "5 factorial", "wrong"),
    ("5", "5 negative", "wrong"),
    ("0.3", "0.3 recurring", "wrong"),
    ("100", "100\\text{ (hex)}", "unparsable"),
    # Number bases
    ("1010_2", "1010_{2}", "ok"),
    ("1010_2", "1010", "wrong"),  # by its digits it is another number
    ("12", "12_5", "wrong"),
    ("12_5", "12", "wrong"),
    ("12_5", "7", ("wrong", "ok")),  # by its value; strict wants the base that was asked for
    ("7", "12_5", ("wrong", "ok")),
    ("12_5", "21_3", ("wrong", "ok")),
    ("-221_3", "-221_{3}", "ok"),
    ("-221_3", "221_3", "wrong"),
    ("-221_3", "-25", ("wrong", "ok")),
    ("0.0011_{2}", "0.00110_2", "ok"),
    ("0.0011_{2}", "\\frac{3}{16}", ("wrong", "ok")),
    ("0.0011_{2}", "0.0011", "wrong"),
    ("19_5", "14", "unparsable"),  # base 5 has no digit 9
    ("1010_2", "1010_3", "wrong"),
    ("1010_2", "1011_2", "wrong"),
    ("2A_{16}", "2A_{16}", "ok"),
)
def test_units(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected
