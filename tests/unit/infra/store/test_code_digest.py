import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.errors import AtlasFlowError
from infra.home import CHECKOUT
from infra.store.code_digest import closure

FILES = {
    "models/__init__.py": "",
    "models/training/loop.py": '"""Doc."""\nfrom . import schedules\nfrom typing import TYPE_CHECKING\n'
    "if TYPE_CHECKING:\n    from models import only_types\n",
    "models/training/schedules.py": "import numpy\nRATE = 0.1\n",
    "models/only_types.py": "X = 1\n",
    "models/lazy.py": "def f():\n    from models.training.schedules import RATE\n    return RATE\n",
    "models/networks/__init__.py": "",
    "models/networks/lenet.py": "from ..training.schedules import RATE\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Any:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(checkout: Any, name: Any, text: Any) -> None:
    path = checkout / name
    path.write_text(text)
    path.touch()


def test_it_follows_imports_of_every_kind_but_those_for_types(checkout: Any) -> None:
    assert set(closure(["models.training.loop"], checkout)) == {
        "models/__init__.py",
        "models/training/loop.py",
        "models/training/schedules.py",
    }
    assert "models/training/schedules.py" in closure(["models.lazy"], checkout)
    assert set(closure(["models.networks.lenet"], checkout)) == {
        "models/__init__.py",
        "models/networks/__init__.py",
        "models/networks/lenet.py",
        "models/training/schedules.py",
    }


@pytest.mark.parametrize(
    "text",
    [
        "import numpy\nRATE = 0.1  # a comment\n",
        '"""A docstring."""\n\nimport numpy\n\n\nRATE = (\n    0.1\n)\n',
        'import numpy\nRATE = 0.1\n"""The docstring of a constant."""\n',
    ],
)
def test_comments_docstrings_and_layout_change_nothing(checkout: Any, text: str) -> None:
    before = closure(["models.training.loop"], checkout)
    edit(checkout, "models/training/schedules.py", text)
    assert closure(["models.training.loop"], checkout) == before


def test_a_changed_constant_changes_the_digest_of_its_file_alone(checkout: Any) -> None:
    before = closure(["models.training.loop"], checkout)
    edit(checkout, "models/training/schedules.py", "import numpy\nRATE = 0.2\n")
    after = closure(["models.training.loop"], checkout)
    assert {name for name in before if before[name] != after[name]} == {"models/training/schedules.py"}


def test_a_module_that_is_not_there_is_an_error(checkout: Any) -> None:
    with pytest.raises(AtlasFlowError, match=r"models\.absent"):
        closure(["models.absent"], checkout)


@pytest.mark.program
@pytest.mark.parametrize("version", ["3.9", "3.11", "3.12", "3.13"])
def test_other_pythons_give_the_same_digests(version: str) -> None:
    """The digest code itself runs on them, over files that use the newer syntax of this checkout."""
    program = (
        "import sys, json, ast, hashlib; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; source = Path(sys.argv[1], 'infra', 'store', 'code_digest.py').read_text();"
        "start = source.index('def canonical_source'); space = {'ast': ast}; exec(source[start:], space);"
        "print(hashlib.sha256(space['canonical_source'](ast.parse(Path(sys.argv[2]).read_text())).encode()).hexdigest())"
    )
    sample = Path(__file__).with_name("syntax_sample.txt")
    own = subprocess.run(
        [sys.executable, "-c", program, str(CHECKOUT), str(sample)], capture_output=True, text=True, check=True
    )
    other = _python(version)
    found = subprocess.run(
        [other, "-c", program, str(CHECKOUT), str(sample)], capture_output=True, text=True, check=True
    )
    assert found.stdout == own.stdout


def _python(version: Any) -> str:
    try:
        subprocess.run([f"python{version}", "-c", ""], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip(f"python{version} is not on this machine")
    return f"python{version}"


def test_compiled_sources_beside_a_package_belong_to_it(checkout: Any) -> None:
    (checkout / "models/kernels").mkdir()
    (checkout / "models/kernels/__init__.py").write_text("")
    (checkout / "models/kernels/build.py").write_text("")
    (checkout / "models/kernels/pool.cc").write_text("int threads = 1;\n")
    before = closure(["models.kernels.build"], checkout)
    assert "models/kernels/pool.cc" in before
    edit(checkout, "models/kernels/pool.cc", "int threads = 2;\n")
    after = closure(["models.kernels.build"], checkout)
    assert {name for name in after if after[name] != before[name]} == {"models/kernels/pool.cc"}
    assert "models/kernels/pool.cc" not in closure(["models.training.loop"], checkout)
