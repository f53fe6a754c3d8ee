# SPDX-License-Identifier: Apache-2.0
"""Every effect on the outside announces itself: what base/effect.h promises, checked.

gcc tells which function calls which. A call of anything outside this tree must be known here as
harmless or as an effect; one that is neither fails the test, so that nothing new slips in. A call
of an effect must come after effect_before() in its function, or each caller of that function must
have announced it before the call, and so on upwards.
"""

import os
import re
import subprocess
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Calls that change something outside of the process, or that others answer.
EFFECTS = re.compile(r"""
    rename | link | linkat | symlink | unlink | mkdir | rmdir | chmod | fchmod | chown | truncate
    | ftruncate | fallocate | pwrite | write | utimensat | mount | umount2? | mnt_context_(u?mount)
    | fork | execve | curl_easy_perform | curl_multi_add_handle | sd_bus_call(_async)? | sendto
    | sendmsg | send | mnl_socket_sendto | ioctl | clock_settime
    """, re.X)

# Calls that change nothing but this process, or read.
HARMLESS = re.compile(r"""
    (ASN1|AUTHORITY_KEYID|BASIC_CONSTRAINTS|BIO|BN|CRYPTO|ERR|EVP|EXTENDED_KEY_USAGE|GENERAL_NAMES?
     |OBJ|OPENSSL|PEM|RAND|X509|XML)_\w+ | HMAC | SHA256 | a2i_IPADDRESS
    | (json|pthread|blkid|sd_id128|sd_journal|inotify|sd_bus_message|sd_bus_error|sd_bus_get|curl_slist|curl_share
       |curl_global|mnl_attr|mnl_nlmsg)_\w+ | mnl_cb_run2 | mnl_socket_(close|get_fd|open2|recvfrom)
    | curl_easy_(cleanup|getinfo|init|reset|setopt|strerror) | curl_getdate
    | curl_multi_(cleanup|info_read|init|perform|poll|remove_handle|strerror) # added: announced
    | mnt_(free|fs|new|optstr|table|unref)_\w+ | mnt_context_(disable|get|set|syscall)_\w+
    | sd_bus_(new|open_system|set_address|start|process|is_bus_client|path_encode|close_unref)
    | sd_bus_match_signal_async | sd_journal_sendv_with_location | sd_notify | sd_watchdog_enabled
    | (str|mem)\w+ | v?snprintf | vasprintf | v?f?printf | f?puts | putchar | fwrite | fgets | fflush | fileno
    | \w*alloc\w* | mallopt | free | qsort | bsearch | abort | _exit | getenv | isatty | tolower
    | toupper | explicit_bzero | dirname | realpath | sysconf | syscall | time | timegm | gmtime_r
    | clock_gettime | adjtimex | sysinfo | get_nprocs | get(eu|p|pp)id | getrandom | getopt_long | __isoc99_sscanf
    | __errno_location | __ctype_b_loc | __indirect_call | hton[ls] | ntohl | inet_[np]to[np]
    | gnu_dev_\w+ | if_indextoname | if_nametoindex | access | [fl]?stat | statvfs | readlink | read | pread | lseek
    | opendir | readdir | scandir | closedir | glob | globfree | close | close_range | dup2 | pipe2
    | fcntl | posix_fadvise | flock | fsync | poll | eventfd\w* | memfd_create | pidfd_open | socket | bind | connect
    | recv | setsockopt | sig\w+ | signalfd | kill | prctl | setrlimit | setsid | wait(p?id)
    """, re.X)

# Calls that are an effect if their statement has this in it, of functions in the tree too.
SOME = {
    "open": re.compile(r"O_(WRONLY|RDWR|CREAT|TMPFILE|TRUNC)"),
    "netlink_request": re.compile(r"\((type|RTM_(NEW|DEL|SET)\w+),"),
    "unit_bus_call_manager": re.compile(r"^(?!.*\"(LoadUnit|GetUnit|Subscribe)\")", re.S),
}

# Effects that are not the boot's, and why there is nothing to stop at.
EXCEPTIONS = {
    "effect_log": "the announcement itself",
    "progress_init": "asks the terminal for its width", "draw": "asks the terminal for its width",
    "lock_try": "a lock ends with its process", "lock_release": "a lock ends with its process",
    "netlink_transact_once": "netlink_request() is held to it", "unit_bus_call": "unit_bus_call_manager() is held to it",
}


def flags():
    packages = ["libcurl", "libssl", "jansson", "libsystemd", "mount", "blkid", "expat", "libmnl"]
    found = subprocess.run(["pkg-config", "--cflags", *packages], stdout=subprocess.PIPE,
                           text=True, check=True).stdout.split()
    return ["-O0", "-std=gnu11", "-DEFFECT_POINTS", '-DVERSION=""', "-D_GNU_SOURCE",
            "-D_FILE_OFFSET_BITS=64", "-Ibootstrap", *found]


def call_graph(folder):
    """Of the whole program: what is defined, and calls of (caller, callee, file, line)."""
    sources = sorted(ROOT.glob("bootstrap/**/*.c"))
    options = flags()

    def compiled(source):
        target = folder / (source.relative_to(ROOT).as_posix().replace("/", ".") + ".o")
        subprocess.run(["gcc", *options, "-fcallgraph-info", "-c", "-o", target,
                        source.relative_to(ROOT)], cwd=ROOT, check=True,
                       env=os.environ | {"CCACHE_DISABLE": "1"})  # which knows nothing of the second file
        return target.with_suffix(".ci").read_text()

    defined, calls = set(), set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for text in pool.map(compiled, sources):
            for title, rest in re.findall(r'node: \{ title: "([^"]*)"(.*)\}', text):
                if "ellipse" not in rest:
                    defined.add(title)
            for caller, callee, file, line in re.findall(
                    r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)" '
                    r'label: "([^":]*):(\d+)', text):
                calls.add((caller, callee, file, int(line)))
    return defined, calls


def plain(name):
    """The name in the source: without a file, a marker of an alias, a suffix of large files."""
    return re.sub(r"^\*|64$", "", name.rpartition(":")[2])


def is_effect(callee, file, line):
    name = plain(callee)
    if name in SOME:
        statement = "".join((ROOT / file).read_text().splitlines(True)[line - 1:line + 3])
        return bool(SOME[name].search(statement.partition(";")[0]))
    return bool(EFFECTS.fullmatch(name))


@pytest.fixture(name="calls", scope="module")
def sorted_calls(tmp_path_factory):
    """Those of functions outside the tree, and of the tree's; and those with an effect."""
    defined, calls = call_graph(tmp_path_factory.mktemp("calls"))
    return defined, sorted(calls)


def fail_with(lines):
    if lines:
        pytest.fail("\n".join(sorted(lines)), pytrace=False)


def test_every_call_to_the_outside_is_known(calls):
    defined, calls = calls
    unknown = set()
    for caller, callee, file, line in calls:
        name = plain(callee)
        if callee not in defined and name not in SOME and not EFFECTS.fullmatch(name) and not HARMLESS.fullmatch(name):
            unknown.add(f"{file}:{line}: is {name}() an effect?")
    fail_with(unknown)


def test_every_announcement_has_an_end(calls):
    _, calls = calls
    told = {name: Counter(caller for caller, callee, *_ in calls if callee == name)
            for name in ("effect_before", "effect_after")}
    assert told["effect_before"]
    assert told["effect_before"] == told["effect_after"]


def test_every_effect_is_announced(calls):
    _, calls = calls
    into, announced = defaultdict(list), defaultdict(list)
    for caller, callee, file, line in calls:
        into[callee].append((caller, file, line))
        if callee == "effect_before":
            announced[caller].append(line)

    def is_announced(function, line, seen=frozenset()):
        """Returns whether what the function does at the line was announced, by it or by all its callers."""
        if plain(function) in EXCEPTIONS or any(at < line for at in announced[function]):
            return True
        callers = into[function]
        return bool(callers) and function not in seen and all(
            is_announced(caller, at, seen | {function}) for caller, _, at in callers)

    effects = [call for call in calls if is_effect(*call[1:])]
    assert effects
    fail_with({f"{file}:{line}: {plain(callee)}() in {plain(caller)}() without effect_before()"
               for caller, callee, file, line in effects if not is_announced(caller, line)})
