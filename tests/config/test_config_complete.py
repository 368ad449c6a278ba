import pytest

RULE = '\n        complete: {{{}}}\n        target: {{run: "{{run}}"}}'
PLAIN = '\n        target: {run: "{run}"}'


@pytest.fixture
def complete(good):
    """Give a file whose only rule says `complete`."""
    return lambda text: good.replace(PLAIN, RULE.format(text))


def test_without_complete_end_marks_are_looked_for(settings, good):
    """And nothing else is asked for."""
    (rule,) = settings(good).folders[0].rules
    assert (rule.complete.whole, rule.complete.marker, rule.complete.min_size) == (True, None, 0)
    assert rule.complete.within is None


def test_every_key_of_complete_arrives(settings, complete):
    """Units are converted, a bare off is off."""
    text = complete('whole: off, marker: "{stem}.ok", min_size: 1 kB, within: 10m')
    (rule,) = settings(text).folders[0].rules
    assert (rule.complete.whole, rule.complete.min_size, rule.complete.within) == (False, 1000, 600.0)
    assert rule.complete.marker.text == "{stem}.ok"


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ('marker: "done"', "14:28", "named after its file"),
        ('marker: "{ext}.done"', "14:28", "named after its file"),
        ('marker: "{file}"', "14:28", "the file itself"),
        ('marker: "{stem}.{ext}"', "14:28", "the file itself"),
        ('marker: "{stem}"', "14:28", "the file itself"),
        ('marker: "{file}\\0"', "14:28", "NUL"),
        ('marker: "../{file}"', "14:31", "slash"),
        ('marker: "{run}-{file}"', "14:29", "{run} is not known here"),
        ("min_size: 5", "14:30", "size"),
        ("within: 5", "14:28", "duration"),
        ("whole: yes", "14:27", "auto"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(problems, complete, given, where, said):
    """Line and column are those of the value."""
    (line,) = problems(complete(given))
    assert line.startswith(f"{where}:"), line
    assert said in line
