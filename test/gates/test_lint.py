# SPDX-License-Identifier: Apache-2.0
"""What is asked of the sources without running them: format, static analysis, shell scripts, manual pages."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOWN = 60  # lines of what a program says
MAX_FUNCTION, MAX_FILE = 70, 600  # lines


def tracked(*patterns):
    """The files of the tree, and new ones that git does not ignore."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
                            cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def scripts(shebang):
    """The files whose first line matches."""
    found = []
    for name in tracked():
        with open(ROOT / name, "rb") as file:
            if re.match(shebang, file.read(64)):
                found.append(name)
    return found


def run(*command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    return done.returncode, done.stdout


def fail_with(lines):
    if lines:
        pytest.fail("\n".join(lines[:SHOWN]), pytrace=False)


def check(*command):
    """The command succeeds, and says nothing."""
    status, said = run(*command)
    fail_with(said.splitlines() + ([f"{command[0]}: status {status}"] if status else []))


def check_each(command, files, says_nothing):
    """The command succeeds for each file, as many at a time as there are processors."""
    assert files
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = zip(files, pool.map(lambda file: run(*command(file)), files))
        fail_with([line for file, (status, said) in done if status or (says_nothing and said)
                   for line in (f"{file}: status {status}", *said.splitlines())])


def flags():
    """The compiler's."""
    _, found = run("pkg-config", "--cflags", "libcurl", "libssl", "jansson", "libsystemd", "mount", "blkid", "expat",
                   "libmnl")
    return ["-Ibootstrap", "-Itest/unit", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", '-DVERSION=""', "-std=gnu11",
            *found.split()]


def test_clang_format():
    check("clang-format", "--dry-run", "-Werror", *tracked("*.c", "*.h"))


def test_clang_tidy():
    """It also counts what it does not show, so only its status tells."""
    options = flags()
    check_each(lambda file: ["clang-tidy", "--quiet", file, "--", *options], tracked("bootstrap/*.c"), False)


def test_cppcheck():
    """With one job it looks across files, and takes an out-parameter's address for its value (ctuuninitvar)."""
    suppressed = ("missingInclude", "memleak", "nullPointerRedundantCheck", "ctuuninitvar")
    check("cppcheck", "--quiet", "--std=c11", "--enable=warning,portability", "--inline-suppr", "--error-exitcode=1",
          "-j", str(os.cpu_count()), *(f"--suppress={name}" for name in suppressed),
          "-Ibootstrap", "-D_GNU_SOURCE", '-DVERSION=""', "bootstrap")


def test_gcc_analyzer():
    """It does not know cleanup attributes: what it says of leaks is left to LeakSanitizer."""
    options = [*flags(), "-O1", "-fanalyzer", "-Wno-analyzer-too-complex", "-Wno-analyzer-malloc-leak",
               "-Wno-analyzer-file-leak", "-Wno-analyzer-fd-leak"]
    check_each(lambda file: ["gcc", *options, "-c", "-o", "/dev/null", file], tracked("bootstrap/*.c"), True)


def test_shellcheck():
    check("shellcheck", "-x", *scripts(rb"#!/bin/(ba)?sh"))


def test_pyflakes():
    check("/usr/bin/python3", "-m", "pyflakes", *sorted({*tracked("*.py"), *scripts(rb"#!.*python3")}))


def test_manual_pages():
    pages = tracked("bootstrap/man/*.[58]")
    check_each(lambda page: ["sh", "-c", 'man --warnings -E UTF-8 -l -Tutf8 -Z "$0" >/dev/null', page], pages, True)


def test_functions_fit_a_screen():
    long = []
    for name in tracked("bootstrap/*.c"):
        start = 0
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start:
                if number - start > MAX_FUNCTION:
                    long.append(f"{name}:{start}: a function of {number - start} lines")
                start = 0
    fail_with(long)


def test_files_are_one_idea():
    lengths = {name: (ROOT / name).read_bytes().count(b"\n") for name in tracked("bootstrap/*.[ch]")}
    assert lengths
    fail_with([f"{name}: {lines} lines" for name, lines in lengths.items() if lines > MAX_FILE])


def test_no_file_is_tracked_that_make_writes():
    _, listed = run("git", "ls-files", "--cached", "--ignored", "--exclude-standard")
    fail_with(listed.splitlines())


def test_named_files_exist():
    """In documents, comments and scripts, by a path from the root of the tree. NAME and X stand for any name."""
    path = re.compile(r"(?<![\w/.$}*%)<-])((?:bootstrap|conf|packer|test|units)/[\w./-]*\w)([*{…$%\[<]?)")
    wrong = []
    for name in tracked():
        text = (ROOT / name).read_bytes().decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            wrong += [f"{name}:{number}: there is no {found}" for found, more in path.findall(line)
                      if not re.search(r"NAME|_X\b", found)
                      and not ((ROOT / found).exists() or (more and any(ROOT.glob(f"{found}*"))))]
    fail_with(wrong)


@pytest.mark.parametrize("spelling, instead", [
    (r"json_decrefp|_cleanup_json_", "json_auto_t"),
    (r"= \{ 0 \}|\) \{ 0 \}", "{}"),
    (r"_INVALID = -\d", "-EINVAL"),
    (r'((?:\w|\.|->)+) \? \1 : ""', "strempty()"),
])
def test_one_spelling(spelling, instead):
    fail_with([f"{name}:{number}: {instead} is the spelling"
               for name in tracked("bootstrap/*.[ch]")
               for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
               if re.search(spelling, line)])


def statements(text):
    """Line and text of each statement, without comments, directives and the insides of strings."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])
    text = re.sub(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""", blank, text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", blank, text, flags=re.M)
    for found in re.finditer(r"[^\s;{}][^;{}]*", text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[0].split())


def test_an_error_is_never_null():
    """Of every function whose last parameter is one: who does not look at it gives ERROR_IGNORED."""
    sources = {name: (ROOT / name).read_text(encoding="utf-8")
               for name in tracked("bootstrap/*.[ch]", "test/unit/*.[ch]", "test/fuzz/*.c")}
    takes_one = {name for text in sources.values()
                 for name in re.findall(r"\b(\w+)\((?:[^()]|\([^()]*\))*\bError \*err\)", text)}
    call = re.compile(r"\b(\w+)\((?:[^();]|\((?:[^();]|\((?:[^();]|\([^();]*\))*\))*\))*?\bNULL\)")
    fail_with([f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {found[1]}(..., NULL)"
               for name, text in sources.items() for found in call.finditer(text) if found[1] in takes_one])


def test_a_function_has_a_name_of_its_own():
    """A stack trace, a profile or a search for a static function leads to one file."""
    files = {}
    for name in tracked("bootstrap/*.c"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for function in re.findall(r"^static [^;={}()]*?\b(\w+)\([^;{}]*\)\s*\{", text, re.M):
            files.setdefault(function, {})[name] = None
    fail_with([f"{function}(): in {', '.join(names)}" for function, names in files.items()
               if len(names) > 1 and function != "__attribute__"])


@pytest.mark.parametrize("form, instead", [
    (r"\b(\w+) = \(?\1 (?:[<>]=?|[!=]=) (?:0|CURLE_OK)\b[^?]*\?", "if (r < 0) { return r; }, then the next call"),
    (r"\?.*\?", "one ?: in a statement"),
])
def test_one_way_to_decide(form, instead):
    fail_with([f"{name}:{line}: {instead}"
               for name in tracked("bootstrap/*.c")
               for line, statement in statements((ROOT / name).read_text(encoding="utf-8"))
               if re.search(form, statement)])
