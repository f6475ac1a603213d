"""`completion`: the script of each shell, put where it looks; bash completes with it, and no file of anybody's goes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.processes.running import ELSPETH, elspeth, environment

PLACES = {
    "bash": ".local/share/bash-completion/completions/elspeth",
    "zsh": ".local/share/zsh/site-functions/_elspeth",
    "fish": ".config/fish/completions/elspeth.fish",
}
OWN = {"XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "BASH_COMPLETION_USER_DIR": ""}


@pytest.mark.parametrize("shell", PLACES)
def test_the_script_is_put_where_the_shell_looks_and_may_be_put_again(tmp_path: Path, shell: str) -> None:
    for _ in range(2):
        done = elspeth("completion", "install", shell, "--json", cwd=tmp_path, HOME=str(tmp_path), **OWN)
        assert done.returncode == 0, done.stderr
        file = Path(json.loads(done.stdout)["file"])
        assert file == tmp_path / PLACES[shell]
        shown = elspeth("completion", "show", shell, cwd=tmp_path).stdout
        assert file.read_text().strip() == shown.strip()
        assert f"{shell}_complete" in shown
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_folders_of_the_user_count_and_the_shell_of_the_environment(tmp_path: Path) -> None:
    done = elspeth(
        "completion", "install", cwd=tmp_path, HOME="/nowhere", SHELL="/bin/zsh",
        **OWN | {"XDG_DATA_HOME": str(tmp_path / "data")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "zsh" / "site-functions" / "_elspeth").exists()
    assert "fpath=(" in done.stdout


def test_bash_completes_with_what_was_installed(tmp_path: Path) -> None:
    assert elspeth("completion", "install", "bash", cwd=tmp_path, HOME=str(tmp_path), **OWN).returncode == 0
    script = (
        f"source {tmp_path / PLACES['bash']}; complete -p elspeth; COMP_WORDS=(elspeth stat); COMP_CWORD=1;"
        ' _elspeth_completion elspeth; echo "${COMPREPLY[@]}"'
    )
    path = f"{ELSPETH.parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(PATH=path), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "status"


ASKED = {
    "zsh": (
        "autoload -Uz compinit && compinit -u -d dump && source script && print $_comps[elspeth];"
        " _describe() { print -l -- ${(P)3} }; compadd() { print -l -- $completions };"
        " words=(elspeth stat); CURRENT=2; $_comps[elspeth]"
    ),
    "fish": "source script; complete --do-complete 'elspeth stat'",
}
"""What completes `elspeth stat` in other shells; zsh's own functions that show it need a terminal."""


@pytest.mark.parametrize("shell", ASKED)
def test_other_shells_complete_with_theirs(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here: Debian's package {shell}")
    (tmp_path / "script").write_text(elspeth("completion", "show", shell, cwd=tmp_path).stdout)
    done = subprocess.run(
        [shell, "-f", "-c", ASKED[shell]] if shell == "zsh" else [shell, "--no-config", "-c", ASKED[shell]],
        cwd=tmp_path, env=environment(PATH=f"{ELSPETH.parent}:/usr/bin:/bin", HOME=str(tmp_path), TERM="dumb"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].split("\t")[0].split(":")[0] == "status"


def test_a_file_of_somebody_elses_stays(tmp_path: Path) -> None:
    place = tmp_path / PLACES["bash"]
    place.parent.mkdir(parents=True)
    place.write_text("mine\n")
    done = elspeth("completion", "install", "bash", cwd=tmp_path, HOME=str(tmp_path), **OWN)
    assert done.returncode == 2
    assert "is there, and is not ours" in done.stderr
    assert place.read_text() == "mine\n"


def test_a_shell_that_cannot_be_told_and_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    done = elspeth("completion", "install", cwd=tmp_path, SHELL="/bin/dash")
    assert done.returncode == 2
    assert "completion install bash|zsh|fish" in done.stderr
    (tmp_path / ".local").write_text("no folder")
    done = elspeth("completion", "install", "bash", cwd=tmp_path, HOME=str(tmp_path), **OWN)
    assert done.returncode == 75
    assert "cannot be written" in done.stderr
