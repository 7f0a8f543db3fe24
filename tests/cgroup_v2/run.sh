#!/usr/bin/env bash
# Runs the tests that need cgroups on a kernel that has version 2 alone, booted in QEMU: machines that still have version 1,
# and containers that may not make cgroups, show nothing of it.
#
#   tests/cgroup_v2/run.sh [FOLDER]
#
# Debian's packages do (qemu-system-x86, linux-image-cloud-amd64, busybox-static, cpio). They need not be installed: FOLDER is
# where they and what they depend on were unpacked, by
#
#   apt-get download $(apt-get install -s --no-install-recommends qemu-system-x86 linux-image-cloud-amd64 \
#     busybox-static cpio | awk '/^Inst/ { print $2 }')
#   for package in *.deb; do dpkg -x "$package" FOLDER; done
#
# It takes ten minutes without KVM, so it is not part of cargo test. Emulated, tests of tests/memory.rs whose tasks hold memory for
# a moment may fail, since the moment can be over before all are alive or were looked at. What such a test would have compared is
# then not shown. init.sh is what happens in the guest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
unpacked=$(readlink -f "${1:-/}")
unpacked=${unpacked%/}
cd "$here/../.."

# Of all that the guest does.
readonly GUEST_SECONDS=3600

skip() { echo "SKIPPED: $1" >&2; exit 0; }

export PATH=$PATH:$unpacked/usr/bin:$unpacked/bin
needs() { command -v "$1" >/dev/null || skip "there is no $1 (package $2)"; }
# On another machine an x86-64 kernel would not run the tests that are built there.
[ "$(uname -m)" = x86_64 ] || skip "this is not an x86-64 machine"
needs cargo cargo
needs qemu-system-x86_64 qemu-system-x86
needs cpio cpio
needs busybox busybox-static
busybox=$(command -v busybox)
! ldd "$busybox" 2>/dev/null | grep -q '=>' || skip "$busybox needs libraries (package busybox-static instead)"
kernel=$(find "$unpacked/boot" -name 'vmlinuz-*cloud-amd64' 2>/dev/null | sort -V | tail -n 1)
[ -r "$kernel" ] || skip "there is no kernel that can be read in $unpacked/boot (package linux-image-cloud-amd64)"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
guest=$folder/guest
mkdir "$guest"

echo "== build"
cargo test --locked --no-run --message-format=json \
    --test memory --test outside --test quota --test limits --test interruption --test killed_runs >"$folder/build.json"
sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$folder/build.json" | sort -u >"$folder/executables"
procbench=$(grep '/procbench$' "$folder/executables")

echo "== pack"
# Everything lies where it lies here: the tests have the path of procbench built in.
pack() {
    # The C library's files are links, and folders must be entered by an ordinary user.
    cp --parents -L "$@" "$guest"
}
install -D "$busybox" "$guest/bin/busybox"
install "$here/init.sh" "$guest/init"
: >"$guest/tests"
while read -r executable; do
    name=$(basename "$executable")
    pack "$executable"
    # What debuggers want is most of it, and the guest has all of it in memory.
    if command -v strip >/dev/null; then strip --strip-debug "$guest$executable"; fi
    # One that is linked statically has none.
    if libraries=$(ldd "$executable" 2>/dev/null); then
        # shellcheck disable=SC2046 # paths of libraries have no spaces
        pack $(grep -o '/[^ ]*' <<<"$libraries")
    fi
    [ "$executable" = "$procbench" ] || echo "${name%-*} $executable" >>"$guest/tests"
done <"$folder/executables"
echo "$procbench" >"$guest/procbench"
chmod -R a+rX "$guest"
(cd "$guest" && find . | cpio --quiet -o -H newc -R +0:+0) >"$folder/initramfs"

# boot ACCELERATOR SECONDS [ARGUMENT...]: what the guest says on its console, until it ends.
boot() {
    local accelerator=$1 seconds=$2
    shift 2
    local libraries=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/lib/x86_64-linux-gnu
    # psi=1: Debian's kernel measures pressure only when told to. edd=off: a probe of disks that there are not. tsc: emulated, any
    # other clock takes so long to read that little else is done.
    LD_LIBRARY_PATH=${unpacked:+$libraries} timeout -k 10 "$seconds" qemu-system-x86_64 \
        -accel "$accelerator" -cpu max -smp 2 -m 3G -nodefaults -nographic -no-reboot -serial stdio \
        -L "$unpacked/usr/share/qemu" -L "$unpacked/usr/share/seabios" \
        -kernel "$kernel" -append "console=ttyS0 quiet panic=-1 psi=1 edd=off tsc=reliable clocksource=tsc" "$@" </dev/null
}

# That it can be opened does not say that a kernel comes up with it. Without an initramfs one panics, and so ends, at once.
accelerator=tcg
if [ -r /dev/kvm ] && [ -w /dev/kvm ] && boot kvm 20 2>/dev/null | grep -q 'Kernel panic'; then
    accelerator=kvm
fi

echo "== boot $(basename "$kernel") with $accelerator"
boot "$accelerator" "$GUEST_SECONDS" -initrd "$folder/initramfs" 2>&1 | sed -u 's|\r$||' | tee "$folder/console" || true

echo "== result"
grep -aE '^(passed|failed): ' "$folder/console" || true
# Not there if the guest did not come to its end.
summary=$(grep -aE '^cgroup v2: [0-9]+ passed, [0-9]+ failed$' "$folder/console") ||
    { echo "cgroup v2: the guest did not come to its end" >&2; exit 1; }
echo "$summary"
[[ $summary =~ ^"cgroup v2: "[1-9][0-9]*" passed, 0 failed"$ ]]
