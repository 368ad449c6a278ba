import hashlib
import json
import os


def explained(ended):
    assert ended.code == 0
    return json.loads(ended.out)


def test_each_rule_says_why_and_what_would_be_sent(project, attachd):
    """`explain` gives every rule's verdict, the captures and the deliveries, without any secret."""
    [one] = explained(attachd("explain", "--json", "drop/st-3/42/top/a.jpg"))
    assert one["path"] == "st-3/42/top/a.jpg"
    assert [(rule["rule"], rule["matched"]) for rule in one["rules"]] == [("photos", True), ("hashed", False)]
    assert one["rules"][0]["captures"] == {"station": "st-3", "run_step": "42"}
    assert all(rule["reason"] for rule in one["rules"])
    assert one["deliveries"] == [
        {"rule": "photos", "destination": "ion", "target": {"run_step": "42"}, "filename": "st-3-a.jpg"}
    ]


def test_text_says_the_same(project, call):
    """The text names rule, reason, captures and where the file would go."""
    out = call("explain", "drop/st-3/42/a.jpg").out
    assert "rule     photos: yes" in out
    assert "captures: station = st-3, run_step = 42" in out
    assert "send     to ion: run_step 42, as st-3-a.jpg" in out
    assert "judged as an empty file of now" in out


def test_a_path_may_be_absolute_or_relative_to_the_folder(project, call):
    """The same file is found by its absolute path, from the working directory and from the folder."""
    spellings = (
        f"{project.drop}/st-3/42/a.jpg",
        "drop/st-3/42/a.jpg",
        "st-3/42/a.jpg",
        "./drop/x/../st-3/42/a.jpg",
    )
    for one in explained(call("explain", "--json", *spellings)):
        assert (one["folder"], one["path"]) == (project.drop, "st-3/42/a.jpg")


def test_a_folder_is_found_through_a_link(project, call):
    """A path that leads into a folder through a symbolic link lies in that folder."""
    (project.directory / "alias").symlink_to(project.drop)
    [one] = explained(call("explain", "--json", str(project.directory / "alias" / "st-3" / "42" / "a.jpg")))
    assert one["path"] == "st-3/42/a.jpg"


def test_a_path_outside_every_folder_fails(project, call):
    """Outside, `explain` says which folders there are; so it does for a folder itself."""
    for path in ("/etc/passwd", "../a.jpg", project.drop, "."):
        ended = call("explain", path)
        assert ended.code == 1
        assert f"watched folders: {project.drop}" in ended.err


def test_unmatched_says_no_rule(project, call):
    """A file that no rule takes is unmatched, of kind no_rule."""
    [one] = explained(call("explain", "--json", "readme.txt"))
    assert one["outcome"].startswith("unmatched (no_rule)")
    assert one["deliveries"] == []


def test_noise_is_explained(project, call):
    """A noise name, one below a noise directory, the folder's `ignore`: ignored, with the part that is."""
    for path, part in (
        ("st-3/42/.hidden.jpg", "st-3/42/.hidden.jpg"),
        (".cache/42/a.jpg", ".cache/"),
        ("st-3/42/a.bak", "st-3/42/a.bak"),
    ):
        [one] = explained(call("explain", "--json", path))
        assert one["outcome"].startswith(f"ignored: {part} is noise")
        assert one["rules"] == []


def test_own_files_are_never_for_a_rule(project, call):
    """The ledger, what lies beside it and a token's file in the folder are noise, whatever `ignore` says."""
    text = project.rules.read_text().replace("version: 1\n", "version: 1\nledger: drop/42/attachd.db\n")
    text = text.replace("{env: ATTACHD_TEST_UNSET_TOKEN}", "{file: drop/42/token}")
    project.rules.write_text(text.replace('"*.bak"', '"!attachd.db", "!token"'))
    for name in ("attachd.db", "attachd.db-wal", "attachd.db.backup", "token"):
        [one] = explained(call("explain", "--json", f"42/{name}"))
        assert one["outcome"].startswith(f"ignored: 42/{name} is noise")
    [one] = explained(call("explain", "--json", "42/attachd.db.pdf"))
    assert not one["outcome"].startswith("ignored")


def test_what_is_no_regular_file_is_explained(project, call):
    """Links and pipes are unmatched, of kind not_regular; a directory is said to be one."""
    place = project.directory / "drop" / "st-3" / "42"
    place.mkdir(parents=True)
    (place / "link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(place / "pipe.jpg")
    link, pipe, directory = explained(
        call("explain", "--json", "st-3/42/link.jpg", "st-3/42/pipe.jpg", "drop/st-3/42")
    )
    assert link["outcome"] == "unmatched (not_regular): a symbolic link is never attached"
    assert link["deliveries"] == []
    assert pipe["outcome"] == "unmatched (not_regular): a pipe is never attached"
    assert directory["outcome"].startswith("a directory")


def test_the_hash_is_read_where_a_filename_wants_it(project, call):
    """With `{sha256}` in a filename an existing file is read; without one a stand-in is shown."""
    place = project.directory / "drop" / "st-3" / "42"
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(b"bytes")
    here, missing = explained(call("explain", "--json", "st-3/42/a.png", "st-3/42/b.png"))
    assert here["deliveries"][1]["filename"] == hashlib.sha256(b"bytes").hexdigest() + ".png"
    assert missing["deliveries"][1]["filename"] == "<sha256>.png"


def test_hostile_names_are_shown_safely(project, attachd, hostile):
    """Names that no one should trust are explained without controlling the terminal."""
    paths = [f"drop/st-1/7/{name}" for name in hostile]
    for words in ((), ("--json",)):
        ended = attachd("explain", *words, "--", *paths)
        assert ended.code == 0
        assert all(character.isprintable() or character == "\n" for character in ended.out)
        assert "détail 測定.jpg" in ended.out


def test_needs_a_path(project, call):
    """Without a path it is a usage error."""
    assert call("explain").code == 2
