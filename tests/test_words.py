"""The words of pages and code: one word for one thing, English as it is written, and only names of what exists."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import house
import pytest

import regraft
from regraft.recipes.recipe import all_keys
from regraft.runs.run_metrics import StageFigures

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "saved_models/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
MOST_COLUMNS = 140

_COUNTED = r"images|photos|batches|rows|pairs|pixels|shards|bytes|rounds"
_LINK = "with|of|in|from|is|has|names|takes|gives|and|or|for|at|on|as"
_ONE = rf"(?:one|two)(?: (?!{_LINK})[\w-]+){{0,2}}|an? (?:row|rate|name|column|dot|value|file|folder)"
_EACH = (
    r"class|row|epoch|seed|member|shard|run|worker|thread|core|input|photo|image|line|step|pixel|byte|position|layer|"
    r"request|group|verb|arm|rule|format|job|true class|predicted class"
)
BANNED = {
    r"(?:photos?|images?|loss) that (?:decides?|chooses?)": "selection photos",
    r"deciding (?:photos|images)": "selection photos",
    r"(?:photos|images) (?:to choose (?:by|on)|that were set aside)": "selection photos",
    r"choos\w+ photos": "selection photos",
    r"set aside (?:for|to)": "selection photos; only files that cannot be read are set aside",
    r"(?:images|photos|rows) a second": "images per second",
    rf"(?:{_COUNTED}) an? (?:{_EACH})": "... per ...",
    rf"(?:{_ONE}) an? (?:{_EACH})": "one ... per ...",
}
"""What is not written, as patterns over whole words, and what is written instead."""

PUBLIC = regraft.__all__
"""The names that `import regraft` gives without a module's name."""

TERMS = (
    *(
        "Selection photos",
        "Role",
        "View",
        "Suspect",
        "Set aside",
        "Spared",
        "Split",
        "Head",
        "Backbone",
        "Feature",
        "Calibration",
    ),
    *("Temperature", "Run", "Recipe", "Stage", "Snapshot", "Arm", "Trial", "Member", "Soup", "Budget", "Rival"),
    *("Export", "Format", "Runtime", "Proof", "Job", "Shard"),
)
"""What the glossary must define."""


# --- words ---


def banned_in(text: str) -> list[str]:
    """What `text` says in banned words, and what it should say."""
    flat = " ".join(text.split())
    return [
        f'"{found[0]}": {right}'
        for pattern, right in BANNED.items()
        for found in re.finditer(rf"\b(?:{pattern})\b", flat, re.IGNORECASE)
    ]


def without_code(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def prose_of(page: Path) -> str:
    """The page without its code, in blocks and in sentences."""
    return re.sub(r"`[^`]*`", "`code`", without_code(page))


def texts_in(module: Path) -> Iterator[str]:
    """The strings of a module, its docstrings among them, and its comments."""
    source = module.read_text("utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def modules_in(part: Path) -> list[Path]:
    return sorted(part.rglob("*.py")) if part.is_dir() else [part]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_use_the_words_of_the_glossary(page: Path):
    assert banned_in(prose_of(page)) == []


@pytest.mark.parametrize("part", ["app", "models", "augment", "benchmarks"])
def test_strings_docstrings_and_comments_use_the_words_of_the_glossary(part: str):
    modules = modules_in(ROOT / part)
    found = [f"{name_of(path)}: {each}" for path in modules for text in texts_in(path) for each in banned_in(text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("on the 9 images that decide (loss 0.3)", "selection photos"),
        ("whichever loses less on the photos\nthat choose", "selection photos"),
        ("one sub-folder a class", "per"),
        ("about 50 images a second", "per second"),
        ("history.csv: one row an epoch", "per"),
        ("two rounds a member", "per"),
        ("a rate a layer", "per"),
        ("1,024 rows a shard", "per"),
        ("one finished shard a line", "per"),
    ],
)
def test_the_old_words_are_found(text: str, right: str):
    found = banned_in(text)
    assert found
    assert all(right in each for each in found)


def test_right_words_and_keys_are_left_alone():
    keys = "set_aside images_per_second"
    right = "a file is set aside; one row of a table; one with a seed; a row is a photo; a file names a class"
    assert banned_in(keys) == []
    assert banned_in(right) == []


# --- Markdown ---


def prose_lines(page: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is no code and no row of a table, links reduced to their words."""
    fenced = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("|"):
            yield number, re.sub(r"\]\([^)]*\)", "]", line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_of_prose_fit_a_screen(page: Path):
    assert [(number, len(line)) for number, line in prose_lines(page) if len(line) >= MOST_COLUMNS] == []


def test_each_verb_is_told_in_a_short_line():
    table = (ROOT / "README.md").read_text("utf-8").partition("| verb | what it does |")[2].partition("\n\n")[0]
    assert [row for row in table.splitlines() if len(row) >= MOST_COLUMNS] == []


def anchors_of(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not link.startswith("https://") and not (target.exists() and (not anchor or anchor in anchors_of(target))):
            broken.append(link)
    assert broken == []


# --- what the pages must tell ---


def glossary_terms() -> list[str]:
    entries = re.findall(r"^- (\*\*.+?): ", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    return [term for entry in entries for term in re.findall(r"\*\*(.+?)\*\*", entry)]


def test_the_glossary_defines_each_term_once():
    terms = glossary_terms()
    assert sorted(set(terms)) == sorted(terms)
    assert set(TERMS) <= set(terms)


def test_the_glossary_names_every_stage():
    (named,) = re.findall(r"^ +stage: (.+)$", StageFigures.__doc__ or "", re.MULTILINE)
    glossary = (ROOT / "docs/glossary.md").read_text("utf-8")
    (entry,) = re.findall(r"^- \*\*Stage\*\*: (.*(?:\n  .*)*)", glossary, re.MULTILINE)
    stages = re.findall(r'"([\w-]+)"', named)
    assert {"head", "fine-tuned"} < set(stages)
    assert [stage for stage in stages if f"*{stage}*" not in entry] == []


def parts_of_the_application() -> dict[str, str]:
    """Packages and modules directly in app/: their names, and how the page writes each."""
    modules = {path.stem: path.name for path in (ROOT / "app").glob("*.py") if path.stem not in house.ENTRANCES}
    return modules | {path.parent.name: f"{path.parent.name}/" for path in (ROOT / "app").glob("*/__init__.py")}


def test_the_architecture_describes_every_part_of_the_application_in_the_order_of_the_layers():
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    described = re.findall(r"^\| `(\w+(?:/|\.py))` \|", page.partition("| in `app/` |")[2], re.MULTILINE)
    parts = parts_of_the_application()
    assert described == [*(parts[name] for name in house.LAYERS if name in parts), "models/", "augment/"]
    assert set(parts) <= set(house.LAYERS)


def test_the_picture_shows_every_part_of_the_application():
    picture = (ROOT / "docs/architecture.svg").read_text("utf-8")
    shown = {name for names in re.findall(r'class="name"[^>]*>([^<]+)<', picture) for name in names.split(", ")}
    assert {*parts_of_the_application(), "models", "augment"} <= shown


def test_every_recipe_key_is_in_the_example():
    (example,) = re.findall(
        r"^```toml\n(.*?)^```", (ROOT / "docs/runs.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    said = set(re.findall(r"\w+", example))
    assert [key for key in all_keys() if not set(key.split(".")) <= said] == []


# --- names of what exists ---


def top_level(module: Path) -> dict[str, ast.AST]:
    """What a module defines or imports, by name."""
    return named(ast.parse(module.read_text("utf-8")).body)


def named(body: list[ast.stmt]) -> dict[str, ast.AST]:
    found: dict[str, ast.AST] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name): node for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id: node for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.If | ast.Try):
            found |= named(node.body)
    return found


def exists(dotted: str) -> bool:
    """Whether a dotted name below `regraft` is a package, a module, or a name in one, as the files say."""
    files = {name.removesuffix(".__init__"): path for name, path in house.source_files(ROOT).items()}
    words = dotted.split(".")
    length = next(count for count in range(len(words), 0, -1) if ".".join(words[:count]) in files)
    scope, rest = files[".".join(words[:length])], words[length:]
    if not rest or (length == 1 and rest[0] in PUBLIC):
        return True
    found = top_level(scope).get(rest[0])
    if found is None or len(rest) == 1:
        return found is not None
    return len(rest) == 2 and isinstance(found, ast.ClassDef) and rest[1] in named(found.body)


def dotted_names(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w/.-])regraft(?:\.[A-Za-z_]\w*)+", text))


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_pages_name_modules_files_and_tests_that_exist(page: Path):
    text = page.read_text("utf-8")
    assert [name for name in dotted_names(text) if not exists(name)] == []
    files = re.findall(r"(?<![\w./])(?:app|models|augment|tests|benchmarks)/[\w/]+\.\w+", prose_with_code_spans(text))
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert [name for name in re.findall(r"`(test_\w+)`", text) if name not in all_tests()] == []


def prose_with_code_spans(text: str) -> str:
    return re.sub(r"^```python.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def all_tests() -> set[str]:
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return {name for source in sources for name in re.findall(r"def (test_\w+)", source)}


def test_strings_docstrings_and_comments_name_modules_that_exist():
    found = [
        f"{module}: {name}"
        for module, path in house.source_files(ROOT).items()
        for text in texts_in(path)
        for name in dotted_names(text)
        if not exists(name)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("regraft.data.scan", True),
        ("regraft.data.scan.scan_folder", True),
        ("regraft.data.records.Prediction.scores", True),
        ("regraft.train", True),
        ("regraft.scan", False),
        ("regraft.data.scan.nothing_of_the_kind", False),
        ("regraft.data.records.Prediction.nothing", False),
    ],
)
def test_names_are_looked_up_in_the_files(name: str, there: bool):
    assert exists(name) is there
