"""``mainspring completion``: completion of nouns, verbs and options for a shell.

bash: eval "$(mainspring completion bash)"          in ~/.bashrc
zsh:  eval "$(mainspring completion zsh)"           in ~/.zshrc, after compinit
fish: mainspring completion fish > ~/.config/fish/completions/mainspring.fish
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final, NamedTuple

from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import below, common

SHELLS: Final = ("bash", "zsh", "fish")


class Word(NamedTuple):
    """One word that may follow others: ``after`` is the noun, or noun and verb, before it."""

    after: str
    word: str
    told: str


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``completion``."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    common(parser, run, as_json=False)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Prints the script."""
    words = list(every_word())
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell]
    output.line(script(words))
    return 0


def every_word() -> Iterator[Word]:
    """Every noun, verb and long option, with what it does."""
    from mainspring._entrypoints.cli import build_parser
    from mainspring._entrypoints.cli.commands import COMMANDS

    for noun, command in COMMANDS.items():
        yield Word("", noun, command.help)
        parser = below(build_parser(noun))[noun]
        yield from _options(noun, parser)
        for verb, inner in below(parser).items():
            yield Word(noun, verb, (inner.description or "").partition("\n")[0].rstrip("."))
            yield from _options(f"{noun} {verb}", inner)


def _options(after: str, parser: argparse.ArgumentParser) -> Iterator[Word]:
    for action in parser._actions:  # noqa: SLF001
        if action.help == argparse.SUPPRESS:
            continue
        for option in action.option_strings:
            if option.startswith("--"):
                yield Word(after, option, action.help or "")


def _by_place(words: list[Word]) -> dict[str, list[Word]]:
    found: dict[str, list[Word]] = {}
    for word in words:
        found.setdefault(word.after, []).append(word)
    return found


_BASH: Final = """\
_mainspring() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" place="" word skip=0 i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    if ((skip)); then skip=0; continue; fi
    case "$word" in
      --workspace | --url) skip=1 ;;
      -*) ;;
      *) case "$place" in
          "") place="$word" ;;
          *" "*) ;;
          *) place="$place $word" ;;
        esac ;;
    esac
  done
  local candidates=""
  case "$place" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "$current"))
}}
complete -o default -F _mainspring mainspring"""


def _bash(words: list[Word]) -> str:
    lines = []
    places = _by_place(words)
    verbs = {word.after for word in words if not word.word.startswith("-")}
    for place, found in places.items():
        candidates = " ".join(word.word for word in found)
        if not place:
            candidates += " --workspace --url --version --help"
        # A noun without verbs may be followed by arguments, which then look like verbs.
        pattern = f'"{place}"' if not place or place in verbs or " " in place else f'"{place}"*'
        lines.append(f'    {pattern}) candidates="{candidates}" ;;')
    return _BASH.format(cases="\n".join(lines))


def _zsh(words: list[Word]) -> str:
    """Zsh runs bash's completion; descriptions are left to fish."""
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash(words)


_FISH: Final = """\
function __mainspring_place
  set -l place
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case --workspace --url
        set skip 1
      case '-*'
      case '*'
        set -a place $word
    end
  end
  echo "$place"
end
function __mainspring_at
  test (__mainspring_place) = "$argv"
end
function __mainspring_behind
  string match -q -- "$argv *" (__mainspring_place)" "
end
complete -c mainspring -n '__mainspring_at ""' -l workspace -r -d 'the workspace folder'
complete -c mainspring -n '__mainspring_at ""' -l url -x -d 'a server to work against'
complete -c mainspring -n '__mainspring_at ""' -l version -d 'the version'"""


def _fish(words: list[Word]) -> str:
    lines = [_FISH]
    for word in words:
        told = word.told.replace("\\", "\\\\").replace("'", "\\'")
        is_option = word.word.startswith("--")
        given = f"-l {word.word[2:]}" if is_option else f"-f -a {word.word}"
        where = "behind" if is_option else "at"
        lines.append(
            f"complete -c mainspring -n '__mainspring_{where} \"{word.after}\"' {given} -d '{told}'"
        )
    return "\n".join(lines)
