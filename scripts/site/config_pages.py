"""The pages of the configuration, generated from the files of conf/."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from config_files import Key, Option, Remark, is_part

__all__ = ["closure", "group_pages", "groups", "main_page"]

DOCS = "DOCS/"  # replaced by the relative path from a page to docs/
NOT_SHOWN = ("hydra/help",)  # the text of `qam-train --help`


def groups(options: dict[str, Option]) -> list[str]:
    """The groups that have a page each: "algo", "env", ..., "hydra/launcher"."""
    found = {name.partition("/")[0] if not name.startswith("hydra/") else name.rpartition("/")[0] for name in options}
    return sorted(found - {*NOT_SHOWN, *(name for name in options if "/" not in name)})


def closure(option: Option, options: dict[str, Option]) -> list[Option]:
    """The option, then the options that it includes, directly or not; earlier ones take precedence."""
    found = [option]
    for name in _ours(option.begins, options):
        found += [one for one in closure(options[name], options) if one not in found]
    return found


def _ours(names: Iterable[str], options: dict[str, Option]) -> list[str]:
    return [name for name in names if name in options]


def main_page(options: dict[str, Option]) -> str:
    """The content of train.yaml: a line for each group, then its keys."""
    train = options["train"]
    chosen = [choice for choice in train.choices if choice.comment]
    rows = [(_linked(choice.name, options), _code(choice.value), _prose(choice.comment)) for choice in chosen]
    rest = [group for group in groups(options) if group not in {choice.name for choice in chosen}]
    text = ["## Groups", _table(("group", "default", "meaning"), rows)]
    if rest:
        text.append("Other groups: " + ", ".join(_linked(group, options) for group in rest) + ".")
    return "\n\n".join([*text, "## Keys", *_sections(train, {}, level=3)]).replace(DOCS, "")


def group_pages(options: dict[str, Option]) -> dict[str, str]:
    """Group -> its page."""
    comments = _comments(options)
    return {group: _group_page(group, options, comments) for group in groups(options)}


def _comments(options: dict[str, Option]) -> dict[str, str]:
    """Full name of a key that several methods share -> its comment where it is introduced."""
    shared = [
        option for option in options.values() if option.name == "train" or re.search(r"/(base|protocol)/", option.name)
    ]
    return {one.full_name(key): key.comment for one in shared for key in one.keys if key.comment}


def _of_its_method(option: Option, options: dict[str, Option]) -> dict[str, str]:
    """The same for the keys of the method after which an option is named, as in tuned/."""
    method = options.get(f"algo/{option.name.rpartition('/')[2]}", option)
    found = {one.full_name(key): key.comment for one in reversed(closure(method, options)) for key in one.keys}
    return {name: comment for name, comment in found.items() if comment}


def _group_page(group: str, options: dict[str, Option], comments: dict[str, str]) -> str:
    inner = tuple(f"{one}/" for one in groups(options) if one.startswith(f"{group}/"))  # these have their own pages
    mine = [one for name, one in options.items() if name.startswith(f"{group}/") and not name.startswith(inner)]
    described, plain = [one for one in mine if not _is_plain(one)], [one for one in mine if _is_plain(one)]
    text = [f"# {group}=", f"Generated from the files in `conf/{group}/`."]
    for _, similar in groupby(sorted(plain, key=lambda one: (_folder(one), one.name)), key=_folder):
        text.append(_together(list(similar), options))
    for option in sorted(
        described, key=lambda one: ("/base/" not in one.name and "/protocol/" not in one.name, one.name)
    ):
        text += _section(option, options, comments)
    return "\n\n".join(text).replace(DOCS, "../" * (1 + group.count("/"))) + "\n"


def _folder(option: Option) -> str:
    return option.name.rpartition("/")[0]


def _is_plain(option: Option) -> bool:
    """Whether it has values only, so that it is a row of a table."""
    return not option.about and not any(isinstance(one, Remark) or one.comment for one in option.entries)


def _together(similar: Sequence[Option], options: dict[str, Option]) -> str:
    """Options of one folder that only set values: a row for each, with its final values."""
    values = {}
    for option in similar:
        inherited = [{one.full_name(key): key.value for key in one.keys} for one in closure(option, options)]
        values[option.name] = {name: value for one in reversed(inherited) for name, value in one.items()}
    text = f"## Options of {_folder(similar[0])}"
    if len({frozenset(one) for one in values.values()}) > 1:
        rows = [[_short(name), ", ".join(f"`{key}={value}`" for key, value in one.items())]
                for name, one in values.items()]  # fmt: skip
        return f"{text}\n\n{_table(('option', 'sets'), rows)}"
    alike = {key: {one[key] for one in values.values()} for key in values[similar[0].name]}
    columns = [key for key in alike if len(alike[key]) > 1 or len(similar) == 1]
    rows = [[_short(name), *(_code(one[key]) for key in columns)] for name, one in values.items()]
    common = ", ".join(f"`{key}={next(iter(alike[key]))}`" for key in alike if key not in columns)
    return "\n\n".join([text, _table(["option", *columns], rows), *([f"All of them: {common}."] if common else [])])


def _short(name: str) -> str:
    return _code(name.rpartition("/")[2])


def _section(option: Option, options: dict[str, Option], comments: dict[str, str]) -> Iterator[str]:
    yield f"## {_heading(option)} {{ #{_anchor(option)} }}"
    if option.about:
        yield from _paragraphs(option.about)
    if option.choices:
        yield "Selects " + ", ".join(map(_choice, option.choices)) + "."
    earlier = closure(option, options)[1:]
    if earlier:
        yield "Includes all keys of " + ", ".join(_to(one) for one in earlier) + "."
    foreign = [_code(name.rpartition("/")[2]) for name in option.begins if name not in options]
    if foreign:
        yield f"Takes all other keys from {', '.join(foreign)} of Hydra's plugin."
    if any(key.by_name for key in option.keys):
        yield _by_name(option)
    yield from _sections(option, {**comments, **_of_its_method(option, options)}, level=3)


def _heading(option: Option) -> str:
    """The name as it is chosen on the group's page: "qam"; of a group inside it "algo/discretization=ancestral"."""
    group, _, short = option.name.rpartition("/")
    if "/" in group and not is_part(group) and not group.startswith(("hydra/", "tuned/")):
        return f"{group}={short}"
    return option.name.removeprefix("hydra/").partition("/")[2]


def _choice(choice: Key) -> str:
    meaning = f" ({_prose(choice.comment)})" if choice.comment else ""
    return f"`{choice.name}={choice.value}`{meaning}"


def _sections(option: Option, comments: dict[str, str], level: int) -> Iterator[str]:
    """The keys in tables, with headings and remarks between them."""
    for is_key, entries in groupby(option.entries, key=lambda entry: isinstance(entry, Key)):
        if is_key:
            rows: list[Sequence[str]] = [
                _row(option, key, comments) for key in entries if isinstance(key, Key) and not key.by_name
            ]
            head: Sequence[str] = ("key", "default" if option.name == "train" else "value", "meaning")
            if rows and not any(meaning for *_, meaning in rows):
                head, rows = head[:2], [row[:2] for row in rows]
            if rows:
                yield _table(head, rows)
            continue
        for entry in entries:
            assert isinstance(entry, Remark)
            yield f"{'#' * level} {_prose(entry.text)}" if entry.heading else _prose(entry.text)


def _row(option: Option, key: Key, comments: dict[str, str]) -> tuple[str, str, str]:
    name = option.full_name(key)
    return _code(name), _code(key.value), _prose(key.comment or comments.get(name, ""))


def _by_name(option: Option) -> str:
    """Keys whose value depends on the paper's domain: a row for each domain."""
    keys = [key for key in option.keys if key.by_name]
    names = list(dict.fromkeys(name for key in keys for name in key.by_name))
    rows = [[_code(name), *(_code(str(key.by_name.get(name, ""))) for key in keys)] for name in names]
    return _table(["", *(option.full_name(key) for key in keys)], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _prose(text: str) -> str:
    """A comment as Markdown: only code in backquotes is markup."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [part if i % 2 else re.sub(r"([*_\[\]$|])", r"\\\1", html.escape(part, quote=False))
             for i, part in enumerate(parts)]  # fmt: skip
    return re.sub(r"docs/([\w/-]+)\.md", rf"[\1]({DOCS}\1.md)", "".join(plain))


def _paragraphs(about: str) -> Iterator[str]:
    """The opening comment; indented lines are code."""
    for indented, lines in groupby(about.splitlines(), key=lambda line: line.startswith("  ")):
        block = list(lines)
        yield "```bash\n" + "\n".join(line[2:] for line in block) + "\n```" if indented else _prose(" ".join(block))


def _anchor(option: Option) -> str:
    return option.name.replace("/", "-")


def _to(option: Option) -> str:
    return f"[{option.name.partition('/')[2]}](#{_anchor(option)})"


def _linked(group: str, options: dict[str, Option]) -> str:
    page = group.partition("@")[0]
    return f"[`{group}`](configuration/{page}.md)" if page in groups(options) else _code(group)
