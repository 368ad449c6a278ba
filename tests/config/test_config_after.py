import pytest

from attachd.core.afters import AfterKind


def with_after(good, after):
    return good.replace('target: {run: "{run}"}', f'target: {{run: "{{run}}"}}\n        after: {after}')


@pytest.mark.parametrize(("after", "kind"), [("keep", None), ("delete", AfterKind.DELETE)])
def test_plain_words(good, settings, after, kind):
    """`keep` is what happens anyway, `delete` is its own action."""
    (rule,) = settings(with_after(good, after)).folders[0].rules
    assert (rule.after and rule.after.kind) == kind


def test_a_move_counts_from_the_directory_of_the_file(good, settings, tmp_path):
    """A move keeps its template and the directory that relative paths count from."""
    (rule,) = settings(with_after(good, '{move: "sent/{run}/{sha256}-{file}"}')).folders[0].rules
    assert rule.after.kind is AfterKind.MOVE
    assert rule.after.base == str(tmp_path)
    assert rule.after.move.names == ("run", "sha256", "file")


@pytest.mark.parametrize(
    ("after", "what"),
    [
        ('{move: "sent/{topic}/{file}"}', "{topic} is not known here"),
        ('{move: "sent/"}', "an empty name"),
        ('{move: "../sent/{file}"}', "a name `..`"),
        ('{move: "drop/sent/{file}"}', "leads into the watched folder"),
        ('{move: "drop/{file}"}', "leads into the watched folder"),
        ('{move: "{folder}/sent/{file}"}', "leads into the watched folder"),
        ('{move: "link/{file}"}', "leads into the watched folder"),
        ('{move: "sent/{file}", to: x}', "to"),
        ("remove", "after"),
        ("{}", "move"),
    ],
)
def test_mistakes_are_said_where_they_stand(good, problems, tmp_path, after, what):
    """Each mistake of `after` is one problem with its place."""
    (tmp_path / "drop").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "drop")
    (line,) = problems(with_after(good, after))
    assert what in line
    assert "folders[0].rules[0].after" in line


def test_a_move_into_another_watched_folder_is_a_mistake(good, problems):
    """A file that is moved into any watched folder would be attached again."""
    other = (
        good.partition("folders:\n")[2].replace("path: drop", "path: [other, third]").replace("photos", "x")
    )
    (line,) = problems(with_after(good, '{move: "third/{file}"}') + other)
    assert "leads into the watched folder" in line
    assert "third" in line


@pytest.mark.parametrize(
    "move", ["{run}/{file}", "drop2/{file}", "{folder}-sent/{file}", "drop-{run}/{file}"]
)
def test_what_only_the_file_decides_is_no_mistake(good, problems, move):
    """Where the captures decide whether it leads into a folder, the move itself decides."""
    assert problems(with_after(good, f'{{move: "{move}"}}')) == []
