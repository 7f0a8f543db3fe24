#!/bin/sh
# Runs every workload spec and records it: FOLDER/<name>.json (every raw value), FOLDER/<name>.txt (what was printed)
# and FOLDER/README.md (the machine and the command lines). Then a search of each kind, in the same way.
#
#   results/record.sh results/<date>-<os>-<cpu> [NAME…]     only these specs or searches, if any are named
#
# The name claims stands for no spec, but for the articles' claims (FOLDER/claims.json, .txt and .md): about sixteen minutes.
#
# Takes twenty minutes or more on two cores. A spec that fails is named at the end and leaves no files behind.
set -eu

folder=${1:?usage: results/record.sh FOLDER [NAME...]}
shift
cd "$(dirname "$0")/.."
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

cargo build --release
procbench=${CARGO_TARGET_DIR:-target}/release/procbench

all=
if [ $# -eq 0 ]; then
    all=yes
    set -- $(cd bench-configs && ls -- *.toml | sed 's/\.toml$//') claims sweep crossover advise
fi

python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null || true)

# A kernel's local suffix names whoever built it, which is nobody's business; nor is where this repository or Python lies.
make_anonymous() {
    if [ -n "$python" ]; then sed -i "s|$python|python3|g" "$@"; fi
    sed -i "s|$(uname -r)|$(uname -r | sed 's/-.*//')|g" "$@"
    sed -i "s|$PWD|.|g" "$@"
}

# The words of a search.
words_of() {
    case $1 in
    sweep) echo "sweep --vary tasks=4,16,64 --vary io-wait=0,1ms,4ms --rounds 10" ;;
    crossover) echo "crossover --between serial,pool --over tasks=1..1e4 --cpu 20us --time-limit 20s" ;;
    advise) echo "advise --tasks 64 --io-wait 20ms --time-limit 15s" ;;
    esac
}

failed=
for name; do
    echo "$name" >&2
    if [ "$name" = claims ]; then
        command="procbench claims --json claims.json --markdown claims.md"
        if printed=$("$procbench" claims --json "$folder/claims.json" --markdown "$folder/claims.md" 2>&1); then
            printf '$ %s\n%s\n' "$command" "$printed" >"$folder/claims.txt"
            make_anonymous "$folder/claims.json" "$folder/claims.txt" "$folder/claims.md"
        else
            printf '%s\n' "$printed" >&2
            failed="$failed $name"
            rm -f "$folder/claims.json" "$folder/claims.md" "$folder/claims.txt"
        fi
        continue
    fi
    words=$(words_of "$name")
    if [ -n "$words" ]; then
        # shellcheck disable=SC2086 # several words
        if printed=$("$procbench" $words --json "$folder/$name.json" 2>/dev/null); then
            printf '$ procbench %s\n%s\n' "$words --json $name.json" "$printed" >"$folder/$name.txt"
            make_anonymous "$folder/$name.json" "$folder/$name.txt"
        else
            rm -f "$folder/$name.json" "$folder/$name.txt"
            failed="$failed $name"
        fi
        continue
    fi
    command="procbench --config bench-configs/$name.toml --json $name.json"
    if printed=$("$procbench" --config "bench-configs/$name.toml" --json "$folder/$name.json" 2>&1); then
        printf '$ %s\n%s\n' "$command" "$printed" >"$folder/$name.txt"
        make_anonymous "$folder/$name.json" "$folder/$name.txt"
    else
        printf '%s\n' "$printed" >&2
        rm -f "$folder/$name.json" "$folder/$name.txt"
        failed="$failed $name"
    fi
done

if [ -n "$python" ] && [ -f "$folder/cpu-bound.json" ] && [ -f "$folder/io-bound.json" ]; then
    python3 results/overview.py "$folder"
fi

# The machine in words, without anything that names it.
cores=$(nproc)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
system=$(. /etc/os-release && echo "$PRETTY_NAME")
kind=machine
if grep -q '^flags.* hypervisor' /proc/cpuinfo; then kind='virtual machine'; fi
{
    echo "# Recorded on a $cores-core $kind"
    echo
    echo "${cpu:-An unnamed processor}, $cores cores for this run, $memory of memory, $system,"
    echo "Linux $(uname -r | sed 's/-.*//'); procbench $("$procbench" --version | cut -d ' ' -f 2)," \
        "$(rustc --version | cut -d ' ' -f 1-2)."
    echo "Recorded on $(date -u +%F) with \`results/record.sh\`. The machine was not shut off from other work;"
    echo "the intervals say how much that matters."
    echo
    echo "| spec | result | raw values | command |"
    echo "|---|---|---|---|"
    for spec in bench-configs/*.toml; do
        name=$(basename "$spec" .toml)
        command="\`procbench --config bench-configs/$name.toml --json $name.json\`"
        if [ -f "$folder/$name.json" ]; then
            echo "| $name | [$name.txt]($name.txt) | [$name.json]($name.json) | $command |"
        elif [ -n "$all" ]; then
            echo "| $name | not run | | $command |"
        fi
    done
    if [ -f "$folder/claims.json" ]; then
        echo "| the articles' claims | [claims.txt](claims.txt), [claims.md](claims.md) | [claims.json](claims.json)" \
            "| \`procbench claims --json claims.json --markdown claims.md\` |"
    fi
    for name in sweep crossover advise; do
        if [ -f "$folder/$name.txt" ]; then
            echo "| $name | [$name.txt]($name.txt) | [$name.json]($name.json) |" \
                "\`procbench $(words_of "$name") --json $name.json\` |"
        fi
    done
} >"$folder/README.md"

if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
