from pathlib import Path

import pytest

Block = tuple[str, str, list[str]]


def read_table() -> dict[str, Block]:
    """Read mistakes.txt: what is replaced, by what, and what is said then."""
    text = Path(__file__).with_name("mistakes.txt").read_text()
    return {block.partition("\n")[0]: parse(block) for block in text.split("\n## ")[1:]}


def parse(block: str) -> Block:
    lines = block.split("\n")
    marked = {mark: [line[2:] for line in lines if line.startswith(f"{mark} ")] for mark in "-+="}
    old, new = ("".join(f"{line}\n" for line in marked[mark]) for mark in "-+")
    return old, new, marked["="]


TABLE = read_table()


@pytest.mark.parametrize(("old", "new", "lines"), TABLE.values(), ids=TABLE)
def test_a_mistake_is_explained_word_for_word(problems, good, old, new, lines):
    """Each mistake of the table is reported with its place and what to do, and nothing else is."""
    assert good.count(old) == 1
    assert problems(good.replace(old, new)) == lines


def test_the_good_file_has_no_problems(problems, good):
    """What every block of the table starts from is sound, so that only the change is at fault."""
    assert problems(good) == []


SEVEN = """\
version: 1
servce: {drain: 3s}
destinations:
  ion:
    kind: ion
    url: http://ion.example/graphql
    token: {env: ION_TOKEN}
folders:
  - path: drop
    existing: no
    rules:
      - name: photos
        match: "{station}/{x:serial}/*"
        to: ino
        target: {run: "{runn}"}
      - name: photos
        match: "{run}"
        to: ion
        target: {run: "{run}"}
"""


def test_one_file_with_seven_mistakes_names_all_seven(problems):
    """Mistakes of shape, reference, pattern and template are all found in one go."""
    assert [" ".join(line.split(" ")[:2]) for line in problems(SEVEN)] == [
        "2:1: servce:",
        "6:10: destinations.ion.url:",
        "10:15: folders[0].existing:",
        "13:27: folders[0].rules[0].match:",
        "14:13: folders[0].rules[0].to:",
        "15:24: folders[0].rules[0].target.run:",
        "16:15: folders[0].rules[1].name:",
    ]


def test_a_broken_rule_hides_nothing_in_the_others(problems, good):
    """A rule that is no mapping at all leaves the pattern faults of its neighbours to be found."""
    text = good.replace("    rules:\n", "    rules:\n      - 5\n").replace("{run}/*", "{run/*")
    assert [line.split(" ")[1] for line in problems(text)] == [
        "folders[0].rules[0]:",
        "folders[0].rules[1].match:",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "1:1: the file is empty; start from the example rules.yaml"),
        (b"# nothing\n", "1:1: the file is empty; start from the example rules.yaml"),
        (b"- a\n", "1:1: the file is no mapping; write keys such as `version: 1` at the start of the line"),
        (b"text\n", "1:1: the file is no mapping; write keys such as `version: 1` at the start of the line"),
        (b"version: 1\nname: caf\xe9\n", "2:10: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfev\x00", "1:1: byte 0xff is not UTF-8; save the file as UTF-8"),
        (
            b"name: \x07",
            "1:7: character U+0007 is not allowed in YAML; delete it, or write it as an escape in quotes",
        ),
        (b"#" * 1024 * 1024 + b"#", "1:1: the file is larger than 1 MiB; is it rules.yaml?"),
        (b"a: " + b"[" * 5000, "1:1: the document is nested too deeply"),
    ],
)
def test_a_file_that_is_no_document_is_refused(problems, content, line):
    """Empty, binary, huge and absurdly nested files are refused with one plain sentence."""
    assert problems(content) == [line]


def test_aliases_that_multiply_are_stopped(problems):
    """A few hundred bytes of aliases to aliases never become millions of values."""
    lines = ["x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    found = problems("\n".join([*lines, "types: *a8", ""]))
    assert found == ["1:1: there are more than 50000 values; aliases multiply what they stand for"]


def test_many_mistakes_are_reported_in_time(problems, good):
    """Two thousand unknown keys are two thousand problems, each once."""
    text = good + "".join(f"key{number}: 1\n" for number in range(2000))
    assert len(set(problems(text))) == 2000


def test_overlapping_folders_are_refused(problems, good, tmp_path):
    """The same directory, one inside another, and one behind a link are all named with the other's line."""
    (tmp_path / "drop").mkdir()
    (tmp_path / "link").symlink_to("drop")
    text = good.replace("path: drop", "path: [drop, drop/a, ./drop/, link, other]")
    hint = "folders must not overlap: every file belongs to one"
    assert problems(text) == [
        f"8:18: folders[0].path[1]: lies inside `{tmp_path}/drop` of line 8; {hint}",
        f"8:26: folders[0].path[2]: is the same directory as `{tmp_path}/drop` of line 8; {hint}",
        f"8:35: folders[0].path[3]: is the same directory as `{tmp_path}/drop` of line 8; {hint}",
    ]


def test_a_folder_around_another_is_refused(problems, good):
    """The order of the folders does not matter."""
    (line,) = problems(good.replace("path: drop", "path: [drop/in, drop]"))
    assert line.startswith("8:21: folders[0].path[1]: lies around `")


def test_rule_names_are_unique_in_the_whole_file(problems, good):
    """A name may not come back in another folder either."""
    text = good + good.partition("folders:\n")[2].replace("drop", "drop2")
    what = "there is a rule `photos` in line 11 already"
    hint = "a rule's name is unique in the whole file"
    assert problems(text) == [f"18:15: folders[1].rules[0].name: {what}; {hint}"]


def test_a_pattern_in_which_captures_compete_is_a_warning(problems, good):
    """Two captures side by side are allowed and pointed out."""
    (line,) = problems(good.replace("{run}/*", "{run}-{other}/*"))
    assert line.startswith("12:16: folders[0].rules[0].match: warning: ")


def test_examples_wait_until_every_rule_of_the_folder_is_sound(problems, good):
    """An example says nothing while a rule before it, which might have taken the path, is broken."""
    text = good.replace("{run}/*", "{run/*") + (
        '      - {name: b, match: "{part}/*", to: ion, target: {part: "{part}"},'
        ' examples: [{path: "1/a", target: {part: "2"}}]}\n'
    )
    assert [line.split(" ")[1] for line in problems(text)] == ["folders[0].rules[0].match:"]


def test_a_sound_regex_with_a_lone_brace_hides_no_unknown_name(problems, good):
    """Only where a pattern cannot be compiled are the names of templates taken on trust."""
    text = good.replace('match: "{run}/*"', "regex: '(?P<run>[0-9]+)\\{.*'").replace('"{run}"', '"{rnu}"')
    (line,) = problems(text)
    assert "target.run: {rnu} is not known here; did you mean run?" in line
