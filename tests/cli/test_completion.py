"""Shell completion: the scripts, what they complete in a real bash, and how quick the help is."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

XBAYES = Path(sys.executable).with_name("xbayes")


def complete(line: str, cursor: int | None = None) -> list[str]:
    """What bash would show for the line, asked as the script asks."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1 if cursor is None else cursor),
        "_XBAYES_COMPLETE": "complete_bash",
    }
    done = subprocess.run([XBAYES], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
@pytest.mark.parametrize("form", ["--show-completion {}", "--show-completion={}"])
def test_the_script_of_a_named_shell_is_shown(xbayes, shell, form):
    code, out, err = xbayes(*form.format(shell).split())
    assert code == 0, err
    assert f"complete_{shell}" in out and "xbayes" in out and "_XBAYES_COMPLETE" in out


def test_a_wrong_shell_is_refused(refused, monkeypatch):
    refused("--show-completion", "tcsh", says=["no shell 'tcsh' is known", "bash, zsh, fish"])
    refused("--show-completion", "bash", "zsh", says=["takes one shell; found bash zsh"])

    def fail():
        from shellingham import ShellDetectionFailure

        raise ShellDetectionFailure

    monkeypatch.setattr("shellingham.detect_shell", fail)
    monkeypatch.setenv("SHELL", "/bin/odd")
    refused("--install-completion", says=["name it, as in xbayes --install-completion bash"])


def test_the_shell_is_taken_from_the_environment_if_not_named(xbayes, monkeypatch):
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("zsh", "/bin/zsh"))
    code, out, _ = xbayes("--show-completion")
    assert code == 0 and "complete_zsh" in out


def test_it_is_installed_for_bash(xbayes, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _, err = xbayes("--install-completion", "bash")
    assert code == 0 and "new terminals" in err
    script = tmp_path / ".bash_completions" / "xbayes.sh"
    assert "complete_bash" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_commands_and_options_are_completed():
    assert complete("xbayes cl") == ["classify"]
    assert {"run", "init", "send", "demo"} <= set(complete("xbayes "))
    assert "--out" in complete("xbayes classify --o")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_leaves_files_to_its_default(tmp_path):
    (tmp_path / "sky.fits").touch()
    script = f"""
    eval "$('{XBAYES}' --show-completion bash)"
    complete -p xbayes
    COMP_WORDS=(xbayes learn); COMP_CWORD=1; _xbayes_completion '{XBAYES}'
    echo "command: ${{COMPREPLY[*]}}"
    COMP_WORDS=(xbayes run sk); COMP_CWORD=2; _xbayes_completion '{XBAYES}'
    echo "files: ${{#COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "complete -o default -F _xbayes_completion xbayes" in done.stdout
    assert "command: learning-curve" in done.stdout
    assert "files: 0" in done.stdout  # an empty reply: bash then completes file names


def test_the_help_stays_quick():
    """The best of three: other work on the machine delays single runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([XBAYES, "--help"], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert "--install-completion" in done.stdout and "--show-completion" in done.stdout
    assert min(seconds) < 0.5
