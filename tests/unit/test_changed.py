from uuid import uuid4

from infra.home import CHECKOUT
from tests.changed import affected, changed_files, dependencies


def test_a_module_affects_the_tests_that_reach_it_and_no_others() -> None:
    found = affected(["infra/xihe/config.py"])
    assert "tests/unit/infra/xihe/test_config.py" in found
    assert "tests/unit/infra/test_secrets.py" not in found
    assert any(path.startswith("tests/e2e/") for path in found), "a whole program may use any module"


def test_a_test_file_affects_itself_and_a_helper_the_tests_that_import_it() -> None:
    assert affected(["tests/unit/infra/test_secrets.py"]) == {"tests/unit/infra/test_secrets.py"}
    assert "tests/unit/infra/notify/test_relay.py" in affected(["tests/receivers.py"])


def test_a_file_that_is_no_module_affects_the_tests_that_name_it() -> None:
    assert "tests/cluster/test_files.py" in affected(["infra/Dockerfile"])
    assert affected([f"docs/{uuid4()}.md"]) == set()


def test_dependencies_affect_every_test() -> None:
    assert len(affected(["pyproject.toml"])) > 100


def test_modules_that_are_reached_indirectly_count() -> None:
    reached = dependencies(CHECKOUT / "tests" / "unit" / "infra" / "test_services.py")
    assert {"infra/services.py", "infra/store/locks.py", "tests/conftest.py"} <= reached


def test_nothing_differs_from_the_present_revision_but_what_is_not_committed() -> None:
    assert all((CHECKOUT / path).exists() or not path.endswith(".lock") for path in changed_files("HEAD"))
