# SPDX-License-Identifier: Apache-2.0
"""What tests of the lab share: claims, the order of a module's tests, and how to have the region's draws again."""

import pytest

from kblab import region, testing
from kblab.settings import RUNTIME, LabError

# Of a module: which test broke off; that a failure has told of the draws.
BROKEN, TOLD = pytest.StashKey(), pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line("markers", "in_order: each test of the module builds on those before it: a chosen one is "
                                       "run with them, and none is run after one that broke off")
    config.addinivalue_line("markers", "runtime(name): only where pods run on it")


@pytest.fixture(autouse=True)
def reported_claims(subtests):
    """Has each claim of the test be a case."""
    with testing.reported_by(subtests):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """Puts those that a chosen test of a module in order builds on before it, and leaves out those of the other
    runtime."""
    yield
    chosen = {item.nodeid for item in items}
    modules = dict.fromkeys(item.parent for item in items)
    result = []
    for module in modules:
        own = [item for item in items if item.parent is module]
        if own[0].get_closest_marker("in_order"):
            tests = list(module.collect())
            while tests[-1].nodeid not in chosen:
                tests.pop()
            own = tests
        result += own
    items[:] = [item for item in result if (mark := item.get_closest_marker("runtime")) is None or RUNTIME in mark.args]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if BROKEN in item.parent.stash:
        pytest.skip(f"{item.parent.stash[BROKEN]} broke off")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Notes that a test broke off, which a claim that does not hold is not. The first failure of a module says how to
    have what the region drew again."""
    report = yield
    if report.failed:
        if not item.parent.stash.setdefault(TOLD, False):
            item.parent.stash[TOLD] = True
            report.sections.append(("the region", _drawn()))
        if item.get_closest_marker("in_order") and not call.excinfo.errisinstance(testing.Untrue):
            item.parent.stash.setdefault(BROKEN, item.name)
    return report


def _drawn():
    try:
        return f"drawn by LAB_DRAW={region.control('GET', '/settings')['seed']}"
    except LabError as error:
        return str(error)
