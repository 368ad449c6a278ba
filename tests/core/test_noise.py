import os
import subprocess
import time

import pytest

from attachd.core.noise import Noise, check_ignore


@pytest.mark.parametrize(
    "path",
    [
        ".hidden",
        ".a.jpg.Xy12",
        "a.tmp",
        "A.TMP",
        "a.jpg.part",
        "a.partial",
        "a.filepart",
        "a.crdownload",
        "~$report.docx",
        "Thumbs.db",
        "thumbs.db",
        ".DS_Store",
        ".attachd-7-a.jpg",
        "x\n.tmp",
        "\udcff.part",
    ],
)
@pytest.mark.parametrize("directory", ["", "st-3/42/"])
def test_leavings_of_writers_are_noise_everywhere(directory, path):
    """Temporary, hidden and owner files are ignored at every depth, in any case."""
    assert Noise().ignores(directory + path, is_directory=False)


@pytest.mark.parametrize(
    "directory", ["lost+found", "_attachd", ".~tmp~", "st/lost+found", "copy.tmp", ".git"]
)
def test_what_lies_in_a_noise_directory_is_noise(directory):
    """Directories of the system, of rsync and of attachd are ignored with all that is in them."""
    noise = Noise()
    assert noise.ignores(directory, is_directory=True)
    assert noise.ignores(f"{directory}/a.jpg", is_directory=False)
    assert noise.ignores(f"{directory}/b/c/a.jpg", is_directory=False)


@pytest.mark.parametrize(
    "path",
    ["a.jpg", "part", "tmp", "a.tmpl", "a.b.jpg", "x~$y", "lost+found", "_attachd", "my_attachd/a", "\n"],
)
def test_other_files_are_not_noise(path):
    """A name is noise only if the list says so; a plain file called like a noise directory is not."""
    assert not Noise().ignores(path, is_directory=False)


def test_ignore_patterns_are_added():
    """Patterns of the folder come on top of the built-in names."""
    noise = Noise(["*.log", "/top", "old/"])
    assert noise.ignores("a/b.log", is_directory=False)
    assert noise.ignores("top", is_directory=False)
    assert not noise.ignores("a/top", is_directory=False)
    assert noise.ignores("a/old/x/y.jpg", is_directory=False)
    assert not noise.ignores("a/old", is_directory=False)
    assert noise.ignores("b.tmp", is_directory=False)


def test_an_ignore_pattern_can_take_a_built_in_name_back():
    """`!` brings a built-in name back, except attachd's own, and nothing below an ignored directory."""
    noise = Noise(["!*.part", "!.attachd-1", "!_attachd/", "old/", "!old/keep.jpg"])
    assert not noise.ignores("gear.part", is_directory=False)
    assert noise.ignores("gear.tmp", is_directory=False)
    assert noise.ignores(".attachd-1", is_directory=False)
    assert noise.ignores("_attachd/a.jpg", is_directory=False)
    assert noise.ignores("old/keep.jpg", is_directory=False)


def test_names_that_are_not_utf_8_or_have_newlines_meet_patterns():
    """Patterns hold for every byte a name can have."""
    noise = Noise(["*.log", "/sub/**/x.jpg", "end"])
    assert noise.ignores("\udcff\n.log", is_directory=False)
    assert noise.ignores("sub/a\nb/x.jpg", is_directory=False)
    assert not noise.ignores("a.log\n", is_directory=False)
    assert not noise.ignores("end\n", is_directory=False)


@pytest.mark.parametrize("pattern", ["", "  ", "# note", "a\nb", "a\0", "!", "/", "!/", "[", "[z-a]", "a\\"])
def test_unusable_patterns_are_refused(pattern):
    """A pattern that could do nothing is an error with a sentence, in the check and in the constructor."""
    with pytest.raises(ValueError, match=" "):
        check_ignore(pattern)
    with pytest.raises(ValueError, match=" "):
        Noise([pattern])


@pytest.mark.parametrize("pattern", ["*.log", "!keep", "a/**/b", r"\#x", "[ab].txt", "é"])
def test_usable_patterns_are_taken(pattern):
    """Everything that gitignore(5) allows is taken."""
    check_ignore(pattern)
    assert not Noise([pattern]).ignores("something", is_directory=False)


TREE = [
    "a.log",
    "keep.log",
    "build/x.jpg",
    "build/keep.log",
    "src/build/y.jpg",
    "src/a.log",
    "deep/a/b/z.jpg",
    "deep/z.jpg",
    "doc/one.txt",
    "doc/sub/one.txt",
    "[x].txt",
    "x.txt",
    "space in name.jpg",
    "caf\udce9.log",
]


@pytest.mark.parametrize(
    "patterns",
    [
        ["*.log", "!keep.log"],
        ["build/"],
        ["/build"],
        ["build/*", "!build/keep.log"],
        ["deep/**/z.jpg"],
        ["**/b"],
        ["doc/*.txt"],
        ["[x].txt"],
        ["*", "!*/", "!*.jpg"],
        ["src/build", "!src"],
        ["/*", "!/deep/"],
        ["/*", "!/deep", "/deep/*", "!/deep/a"],
        ["**", "!**/", "!*.txt"],
        ["**/*", "!*/", "!keep.*"],
        ["doc/**", "!doc/sub/", "!*.txt"],
        ["deep/**/"],
        ["*.log  ", "src/ "],
        ["space*name.jpg", "?.txt"],
        ["*.txt", "!doc/**"],
    ],
)
def test_ignore_patterns_mean_what_they_mean_to_git(tmp_path, patterns):
    """The same tree and the same patterns are judged alike by `git check-ignore`."""
    for path in TREE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / ".gitignore").write_text("\n".join(patterns))
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, env=quiet, check=True, capture_output=True)
    told = subprocess.run(
        ["git", "check-ignore", "-z", "--stdin"],
        cwd=tmp_path,
        env=quiet,
        input=b"\0".join(os.fsencode(path) for path in TREE),
        capture_output=True,
        check=False,
    )
    assert told.returncode in {0, 1}, told.stderr
    noise = Noise(patterns)
    ours = {path for path in TREE if noise.ignores(path, is_directory=False)}
    assert ours == {os.fsdecode(path) for path in told.stdout.split(b"\0") if path}


def test_asking_is_cheap():
    """A directory entry costs a few microseconds, also in a deep directory and with patterns."""
    noise = Noise(["*.log", "!*.part", "/sub/"])
    paths = [f"{'d/' * 1000}IMG_{number}.jpg" for number in range(2000)]
    begun = time.perf_counter()
    assert not any(noise.ignores(path, is_directory=False) for path in paths)
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("a", "a/b/c.txt", True),
        ("a.txt  ", "a.txt", True),
        ("a.txt\\ ", "a.txt ", True),
        ("a.txt\\ ", "a.txt", False),
        (" a.txt", " a.txt", True),
        (" a.txt", "a.txt", False),
        ("a?b", "a\nb", True),
        ("BOX", "BOX", True),
        ("BOX", "BO", False),
    ],
)
def test_a_pattern_is_read_as_git_reads_it(pattern, path, ignored):
    """Spaces at its end count only behind a backslash, and a newline is one character of a name."""
    assert Noise([pattern]).ignores(path, is_directory=False) is ignored


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a\nb", "a pattern is one line; write a list for several"),
        ("# old", r"a pattern that begins with # is a comment; write \\# for the character"),
        ("", "the pattern names nothing"),
        ("!", "the pattern names nothing"),
        ("/", "the pattern names nothing"),
        ("[", "not a gitignore pattern"),
    ],
)
def test_a_pattern_that_does_nothing_is_refused_in_words(pattern, words):
    """Each reason leads to another correction."""
    with pytest.raises(ValueError, match=f"^{words}$"):
        check_ignore(pattern)
