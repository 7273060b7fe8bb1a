"""Shell completion of ``python -m experiments.run``.

Hydra answers what may follow (``-sc query=bash``), but its own script completes files alone.
"""

INSTALL = ["-sc", "install=bash"]
"""Words that print :data:`SCRIPT`, as for any program of Hydra."""

SCRIPT = """\
_experiments_run() {
    [[ $COMP_LINE == *" -m experiments.run "* ]] || return
    local line="python run.py ${COMP_LINE#* -m experiments.run }"
    local answer="$(COMP_LINE="$line" COMP_POINT=${#line} \\
        "${COMP_WORDS[0]}" -m experiments.run -sc query=bash 2> /dev/null)"
    COMPREPLY=($(compgen -W "$answer" -- "${COMP_LINE##* }"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _experiments_run python python3"""
