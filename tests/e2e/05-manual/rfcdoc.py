"""Reads doc/RFC.md: each row is "requirement | file | test". Every file that a row names is there, and every
name of a test stands in the file or group that the row names before it.

Forms in the file column: dir/file.c, and file.c or `function` of what was named last.
Forms in the test column: unit/DIR/test_FILE, test_FILE, `name`; e2e NN or NN-name, `name`; DIR/FILE.name and
.name for tests/unit/DIR/test_FILE; fuzz NAME; fault/NAME, fault calls; `name…` is a beginning."""

import os
import re

E2E = "tests/e2e"
WORDS = re.compile(
    r"`(?:\./dev|barid) [^`]+`"
    r"|`(?P<name>[^`]+)`"
    r"|(?P<fuzz>\bfuzz)\b"
    r"|fault[/ ](?P<fault>\w+)"
    r"|(?P<path>(?:[\w-]+/)*[\w-]+\.(?:c|h|py))\b"
    r"|unit/(?P<unit>[\w/]+)"
    r"|\b(?P<bare>test_\w+)"
    r"|(?P<group>\b[0-9]{2}(?:-[0-9a-z-]+)?)(?![\w.])"
    r"|(?P<suite>\b[a-z0-9]+/[a-z0-9_]+)\.(?P<case>\w+)"
    r"|(?<![\w)])\.(?P<more>[a-z_]\w+)")


def rows(text):
    """(line number, requirement, file, test) of each row."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("| ") and not line.startswith(("| requirement", "| ---")):
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
            yield number, cells


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


class Tree:
    def __init__(self, top):
        self.top = top
        self.texts = {}

    def text(self, path):
        """Of a file, or of a directory the names and texts of its files."""
        if path not in self.texts:
            whole = os.path.join(self.top, path)
            if os.path.isdir(whole):
                names = sorted(n for n in os.listdir(whole) if os.path.isfile(os.path.join(whole, n)))
                self.texts[path] = "\n".join(n + "\n" + read(os.path.join(whole, n)) for n in names)
            else:
                self.texts[path] = read(whole)
        return self.texts[path]

    def exists(self, path):
        return os.path.exists(os.path.join(self.top, path))

    def groups(self, start):
        names = os.listdir(os.path.join(self.top, E2E))
        return [f"{E2E}/{n}" for n in sorted(names) if n == start or n.startswith(start + "-")]


def files_named(tree, cell):
    """The words of the file column that name nothing."""
    folder, last, wrong = "", None, []
    for m in re.finditer(r"`(?P<name>\w+)`|(?P<path>(?:[\w-]+/)*[\w-]+\.(?:[ch]|py)\b|[\w-]+/(?=[ ,|;]|$))", cell):
        if m["name"]:
            if last is None or not re.search(r"\b" + m["name"] + r"\b", tree.text(last)):
                wrong.append(m["name"])
            continue
        path = m["path"]
        if "/" not in path:
            path = f"{folder}/{path}"
        folder, last = os.path.dirname(path), path
        if not tree.exists(path):
            wrong.append(path)
            last = None
    return wrong


def holds(text, name):
    """A test's name as people write it: words of a method or a dialog file, with or without test_."""
    last = name.rstrip("…").split(".")[-1].rstrip("*")
    pattern = "[-_ ]".join(re.escape(word) for word in re.split(r"[-_ ]", last))
    edge = "" if name.endswith(("…", "*")) else r"(?![A-Za-z0-9])"
    return re.search(r"(?<![A-Za-z0-9])" + pattern + edge, text) is not None


class TestCell:
    """Reads one cell of the test column; wrong: what names nothing, tests: how many names it has."""

    def __init__(self, tree, cell):
        self.tree = tree
        self.places = []
        self.unit_dir = None
        self.is_fuzz = False
        self.wrong, self.tests = [], 0
        for m in WORDS.finditer(cell):
            self.take(m)

    def place(self, path):
        self.is_fuzz = False
        if self.tree.exists(path):
            self.places.append(path)
            self.tests += 1
        else:
            self.wrong.append(path)

    def unit(self, name):
        """DIR/test_FILE, or test_FILE of the directory named last, or of the only one that has it."""
        name = name.removesuffix(".c")
        if "/" in name:
            self.unit_dir = os.path.dirname(name)
        elif self.unit_dir is None or not self.tree.exists(f"tests/unit/{self.unit_dir}/{name}.c"):
            root = os.path.join(self.tree.top, "tests/unit")
            found = [d for d in sorted(os.listdir(root)) if self.tree.exists(f"tests/unit/{d}/{name}.c")]
            self.unit_dir = found[0] if len(found) == 1 else self.unit_dir
        self.place(f"tests/unit/{self.unit_dir}/{os.path.basename(name)}.c")

    def case(self, suite, case):
        folder, name = suite.split("/")
        self.unit(f"{folder}/test_{name}")
        self.name(case)

    def name(self, name):
        if self.is_fuzz:
            if not self.tree.exists(f"tests/fuzz/corpus/{name}"):
                self.wrong.append("fuzz " + name)
            return
        if not any(holds(self.tree.text(p), name) for p in self.places):
            self.wrong.append(name)

    def group(self, start):
        found = self.tree.groups(start)
        self.is_fuzz = False
        self.places += found
        self.tests += len(found)
        if not found:
            self.wrong.append("e2e " + start)

    def take(self, m):
        if m["name"]:
            self.name(m["name"])
        elif m["fuzz"]:
            self.is_fuzz = True
            self.tests += 1
        elif m["fault"]:
            self.place(f"tests/fault/{m['fault']}.c")
        elif m["path"]:
            base = os.path.basename(m["path"])
            if base.startswith("test_"):
                self.unit(m["path"].removeprefix("tests/unit/").removeprefix("unit/"))
            else:  # a module of the end-to-end tests
                self.place(m["path"] if "/" in m["path"] else f"{E2E}/{m['path']}")
        elif m["unit"]:
            self.unit(m["unit"])
        elif m["bare"]:
            if any(holds(self.tree.text(p), m["bare"]) for p in self.places):
                return
            self.unit(m["bare"])
        elif m["group"]:
            self.group(m["group"])
        elif m["suite"]:
            self.case(m["suite"], m["case"])
        elif m["more"]:
            self.name(m["more"])


def mistakes(top):
    tree = Tree(top)
    for number, cells in rows(read(os.path.join(top, "doc/RFC.md"))):
        if len(cells) != 3:
            yield f"doc/RFC.md:{number}: {len(cells)} cells, three are due"
            continue
        requirement, files, tests = cells
        is_excused = requirement.startswith("not done") or "**not yet**" in requirement or files in ("–", "")
        for word in files_named(tree, files):
            yield f"doc/RFC.md:{number}: no {word} (file)"
        if tests in ("the same", "–", ""):
            if tests != "the same" and not is_excused:
                yield f"doc/RFC.md:{number}: no test"
            continue
        cell = TestCell(tree, tests)
        for word in cell.wrong:
            yield f"doc/RFC.md:{number}: no {word} (test)"
        if cell.tests == 0 and "./dev" not in tests:
            yield f"doc/RFC.md:{number}: names no test: {tests}"


if __name__ == "__main__":
    for mistake in mistakes(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")):
        print(mistake)
