"""The page for people: what was attached where, which messages came, and how to reach this simulator."""

import html
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Any

_SHOWN = 500
"""How many of each kind the page lists, the newest first."""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>Simulator: $count attached</title>
<style>
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #e3e6ec;
  --back: #f7f8fa; --card: #fff; --mark: #3556d8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #97a0b0; --line: #2b313c;
  --back: #13161b; --card: #1b1f27; --mark: #8ea6ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; color: var(--soft); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .5rem .9rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
td.name { font-weight: 600; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.target { color: var(--mark); white-space: nowrap; }
.empty { padding: 1.25rem; }
</style>
</head>
<body>
<h1>Simulator of ION, Glue and their storage</h1>
<p>A local stand-in: nothing here reaches a real ION or a real Glue.</p>
<p>ION: <code>$graphql_url</code> &nbsp; token: <code>$token</code></p>
<p>Glue: <code>$glue_url</code> &nbsp; token: <code>$glue_token</code></p>
<p>OAuth for both: <code>$token_url</code></p>
<h2>Attachments at ION ($count)</h2>
<div class="card">$attachments</div>
<h2>Files at Glue ($file_count)</h2>
<div class="card">$files</div>
<h2>Messages at Glue ($message_count)</h2>
<div class="card">$messages</div>
<h2>Calls</h2>
<div class="card">$calls</div>
<h2>Faults still to come</h2>
<div class="card">$faults</div>
<h2>Object ids</h2>
<p>Entity id = kind &times; 1,000,000 + object id: run step 42 has the entity 1000042. Ids 1 to 999999 exist
for run steps, runs, procedures, steps, parts and run step fields, except the unknown ones ($unknown), which
answer null. Attaching to the forbidden ones ($forbidden) is &ldquo;Permission denied&rdquo;.</p>
<p>At Glue every thread, user and group of any name exists (<code>thr_&hellip;</code>,
<code>usr_&hellip;</code>, <code>grp_&hellip;</code>), except <code>thr_unknown&hellip;</code> and so on;
<code>thr_locked&hellip;</code> take no message; the workspace is <code>wks_simulator</code>.</p>
<p>As JSON: <code>GET /record</code>, <code>GET /faults</code>. To begin anew:
<code>DELETE /record</code>.</p>
</body>
</html>
""")


def render(record: Mapping[str, Any], faults: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        record: as `World.record` gives it.
        faults: as `Faults.left` gives them.
        about: `graphql_url`, `token`, `glue_url`, `glue_token`, `token_url`, and the object ids `unknown` and
            `forbidden`.
    """
    attachments = [_attachment_row(each) for each in reversed(record["attachments"][-_SHOWN:])]
    files, messages = record["files"], record["messages"]
    names = {file["id"]: file["name"] for file in files}
    calls = [_row(name, count) for name, count in record["calls"].items()]
    scripted = [_row(each["call"], each["times"], each["match"] or "", each["do"]) for each in faults]
    return _PAGE.substitute(
        count=len(record["attachments"]),
        attachments=_table(("Id", "File", "Attached to", "Bytes", "SHA-256", "At"), attachments),
        file_count=len(files),
        files=_table(("Id", "File", "Type", "Bytes", "SHA-256", "At"), _newest(map(_file_row, files))),
        message_count=len(messages),
        messages=_table(
            ("Id", "Text", "Thread", "Files", "At"), _newest(_message_row(each, names) for each in messages)
        ),
        calls=_table(("Call", "Times"), calls),
        faults=_table(("Call", "Times", "Where", "What"), scripted),
        graphql_url=html.escape(str(about["graphql_url"])),
        glue_url=html.escape(str(about["glue_url"])),
        glue_token=html.escape(str(about["glue_token"])),
        token_url=html.escape(str(about["token_url"])),
        token=html.escape(str(about["token"])),
        unknown=html.escape(_span(about["unknown"])),
        forbidden=html.escape(_span(about["forbidden"])),
    )


def _attachment_row(attachment: Mapping[str, Any]) -> str:
    target = f"{attachment['kind']} {attachment['object_id']}"
    size = "" if attachment["size"] is None else f"{attachment['size']:,}"
    cells = (
        f"<td>{attachment['id']}</td>",
        f'<td class="name">{_isolated(attachment["filename"])}</td>',
        f'<td class="target">{html.escape(target)}<p>entity {attachment["entity_id"]}</p></td>',
        f'<td class="number">{size}</td>',
        f"<td><code>{html.escape((attachment['sha256'] or 'no object')[:16])}</code></td>",
        f"<td>{html.escape(attachment['at'][11:19])}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def _file_row(file: Mapping[str, Any]) -> str:
    size, sha256 = f"{file['content_length']:,}", (file["sha256"] or "kept outside")[:16]
    return _row(file["id"], file["name"], file["content_type"], size, sha256, file["at"][11:19])


def _message_row(message: Mapping[str, Any], names: Mapping[str, str]) -> str:
    thread = message["thread"] or {}
    where = thread.get("subject") or thread.get("id", "")
    files = ", ".join(names.get(each, each) for each in message["attachments"])
    return _row(message["id"], message["text"], where, files, message["at"][11:19])


def _newest(rows: Iterable[str]) -> list[str]:
    return list(rows)[: -_SHOWN - 1 : -1]


def _table(titles: Sequence[str], rows: Sequence[str]) -> str:
    if not rows:
        return '<p class="empty">None.</p>'
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _row(*values: object) -> str:
    return "<tr>" + "".join(f"<td>{_isolated(str(value))}</td>" for value in values) + "</tr>"


def _isolated(text: str) -> str:
    # Isolated, so that right-to-left characters in a name cannot reorder the rest of the row.
    return f"<bdi>{html.escape(text)}</bdi>"


def _span(ids: object) -> str:
    if isinstance(ids, range) and ids:
        return f"{ids[0]} to {ids[-1]}"
    return (
        ", ".join(map(str, sorted(ids))) or "none"
        if isinstance(ids, set | frozenset | list | tuple)
        else "some"
    )
