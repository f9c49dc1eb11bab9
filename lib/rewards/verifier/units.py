"""Units and other words beside a number: `5\\text{ cm}`, `90^\\circ`, `10\\%`, `\\$18`, `1010_2`. A unit may be left out, but it
may not be another one. The percent sign is a unit like any other: 10% is 10, never 0.1, so that no answer is right for two golds.
There is no conversion: 2 m is not 200 cm."""

import re

UNITS = """
cm centimeter centimetre | mm millimeter millimetre | km kilometer kilometre | m meter metre | in inch inches |
ft foot feet | yd yard | mi mile | kg kilogram | mg milligram | g gram | lb pound | oz ounce | l liter litre |
ml milliliter millilitre | s second sec | min minute | h hour hr | day | week | month | year yr | $ dollar usd |
¢ cent | € euro eur | £ gbp | % percent percentage pct | ° degree deg | °c celsius | °f fahrenheit | rad radian | unit |
point | mph | hz hertz | n newton | j joule | w watt | v volt | pa pascal | k kelvin | mol mole | ev | erg | a.m am |
p.m pm | sq square squared | cu cubic cubed
"""  # each unit, and after it other words for it
KNOWN = {word: names.split()[0] for names in UNITS.split("|") for word in names.split()}
LETTERS = {unit for unit in KNOWN if len(unit) == 1 and unit.isalpha()}  # variables, unless they are set as text
# Words that change what an answer says, so that they are no unit; digits do too
MEANINGFUL = re.compile(
    r"(?i)\b(?:or|and|not|nor|either|neither|if|than|then|more|less|least|most|about|around|approximately|between|to|but|except|maybe|"
    r"possibly|perhaps|zero|one|two|three|four|five|six|seven|eight|nine|ten|hundred|thousand|million|billion|trillion|dozen|half|"
    r"third|quarter|twice|double|factorial|negative|minus|plus|times|inverse|root|score|gross|recurring|repeating|hex|hexadecimal|binary|"
    r"octal|base|mega|kilo|below|above|\d)\b|\d|^\W*(?:squared?|cubed?|cubic)\W*$"
)
FUNCTION = re.compile(r"\\(?!frac|sqrt|pi|cdot|times)[A-Za-z]+")  # whose argument the degrees belong to
DEGREE = re.compile(r"\^ ?\{? ?\\circ ?\}? ?(?:\\text ?\{ ?([CF]) ?\}|([CF]))?$")
INSIDE = r"\\text ?\{((?:[^{}]|\{[^{}]*+\})*+)\} ?(\^ ?\{?[23]\}?)?"
TEXT = re.compile(rf"{INSIDE}(?: ?/ ?{INSIDE})?\.?$")
WORD = re.compile(r"(?<=[\d}) ]) ?((?:[A-Za-z]++[ ./]*+)++)(\^ ?\{?[23]\}?)?$")
MONEY = re.compile(r"^([+-]?) ?(?:\\\$|(€|£)|(?:Rs|USD)\.? ?)")


def split(text: str, strict: bool) -> tuple[str, str | None]:
    """(a value without its unit, the unit in one spelling); strict takes known units only, lenient most words."""
    if match := MONEY.match(text):
        return match[1] + text[match.end() :].strip(), match[2] or "$"
    if text.endswith("%"):
        return text.removesuffix("%").removesuffix("\\").strip(), "%"
    if text.endswith(("\\$", "€", "£")):
        return text.rstrip("\\$€£ "), text[-1]
    if (match := DEGREE.search(text)) and match.start() and not FUNCTION.search(text[: match.start()]):
        return text[: match.start()].strip(), "°" + (match[1] or match[2] or "").lower()
    if (match := TEXT.search(text)) and match.start():
        words, power, per, per_power = (part and re.sub("[{}]", "", part) for part in match.groups())
        unit = _spelling(words, power, as_text=True)
        if per is not None:
            unit += "/" + _spelling(per, per_power, as_text=True)
        if ("?" not in unit or not strict) and not MEANINGFUL.search(re.sub(r"\^ ?-?[1-3]", "", words)):
            return text[: match.start()].strip(), unit
    if (match := WORD.search(text)) and re.search(r"\d", text[: match.start() + 1]):
        unit = _spelling(match[1], match[2], as_text=False)
        plain = not re.search(r"[A-Za-z\\]", text[: match.start()])
        if "?" not in unit or (plain and not strict and len(match[1]) > 1 and not MEANINGFUL.search(match[1])):
            return text[: match.start()].strip(), unit
    return text, None


def _spelling(words: str, power: str | None, as_text: bool) -> str:
    """One spelling of a unit, such as `cm^2` or `km/h`; unknown words come with a question mark."""
    parts = []
    for part in re.split(r"/|\bper\b", words.lower().strip(" .")):
        split = [word.partition("^") for word in part.strip(" .").split()]
        names = [KNOWN.get(word) or KNOWN.get(word.removesuffix("s")) for word, _, _ in split]
        known = [f"{name}{caret}{exponent}" for name, (_, caret, exponent) in zip(names, split, strict=True) if name]
        if not set(known) - {"sq", "cu"} or None in names or (not as_text and len(known) == 1 and part.strip(" .") in LETTERS):
            parts.append("?" + part.strip())
        else:
            square = "^2" if "sq" in known else "^3" if "cu" in known else ""
            parts.append(" ".join(name for name in known if name not in ("sq", "cu")) + square)
    return "/".join(parts) + ("^" + re.sub(r"\D", "", power) if power else "")
