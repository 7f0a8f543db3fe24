#!/bin/busybox sh
# The first process of the guest that run.sh boots: runs the tests under cgroups of version 2, and says on the console how each
# part went. Whatever happens, it ends by switching the machine off.
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /tmp /etc /mnt
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs -o mode=1777 none /dev/shm
# Not mounted anew: what was built may lie in it.
chmod 1777 /tmp
mount -t cgroup2 none /sys/fs/cgroup
exec </dev/console >/dev/console 2>&1

# Of one part.
SECONDS_EACH=600
printf 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' >/etc/passwd
printf 'root:x:0:\nuser:x:1000:\n' >/etc/group
procbench=$(cat /procbench)

passed=0 failed=0
# verdict CODE PART
verdict() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "passed: $2"
    else
        failed=$((failed + 1))
        echo "failed: $2"
    fi
}

# within CGROUP USER COMMAND...: as that user, in that cgroup.
within() (
    echo 0 >"$1/cgroup.procs" || exit
    user=$2
    shift 2
    # shellcheck disable=SC2016 # for the other shell to expand
    exec timeout -s KILL $SECONDS_EACH su -c 'exec "$0" "$@"' -- "$user" "$@"
)

# tests PLACE CGROUP USER: all tests there, one after another, so that none is in what another measures.
tests() {
    while read -r name executable; do
        filter=
        # Its other limits have nothing to do with cgroups, and take long where everything is emulated.
        if [ "$name" = limits ]; then filter=cgroup; fi
        echo "== $name, $1"
        {
            within "$2" "$3" "$executable" $filter --test-threads=1 </dev/null 2>&1
            echo $? >/tmp/code
        } | tee /tmp/said
        code=$(cat /tmp/code)
        # A test that found no cgroup here has shown nothing.
        if grep 'SKIPPED.*cgroup' /tmp/said >/dev/null; then code=1; fi
        verdict $code "tests/$name.rs, $1"
    done </tests
}

enable() { echo "+cpu +memory +pids" >"$1/cgroup.subtree_control"; }

enable /sys/fs/cgroup

quota=/sys/fs/cgroup/quota
mkdir $quota
echo "50000 100000" >$quota/cpu.max
echo "== procbench within half a core"
within $quota root "$procbench" -q -n 100 --cpu 10ms --rounds 2 -m pool:workers=2 --json /tmp/quota.json
verdict $? "procbench within half a core"
# says WHAT PATTERN: the export does.
says() {
    grep -E "$2" /tmp/quota.json >/dev/null
    verdict $? "$1"
}
says "a quota of half a core is read" '"cores": 0\.5'
says "half a core is one to work with" '"effective_cores": 1,'
says "throttled tasks are warned of" '"code": "throttled"'
# Only what was not measured is there by such a name.
says_not() {
    grep -E "$2" /tmp/quota.json
    # 2 would be that there is no export.
    [ $? = 1 ]
    verdict $? "$1"
}
says_not "throttling is measured" '"what": "throttling"'
if [ -r /proc/pressure/cpu ]; then
    says_not "pressure is measured" '"what": "pressure\.'
else
    echo "SKIPPED: pressure: this kernel does not measure it"
fi

tests "root in the root cgroup" /sys/fs/cgroup root

# As an administrator delegates a subtree (cgroups(7)): these files are the user's, and it starts in a leaf of its own.
delegated=/sys/fs/cgroup/delegated
mkdir -p $delegated
enable $delegated
mkdir $delegated/leaf
for folder in $delegated $delegated/leaf; do
    chown user:user $folder $folder/cgroup.procs $folder/cgroup.subtree_control $folder/cgroup.threads
done
tests "an ordinary user in a delegated cgroup" $delegated/leaf user

echo "cgroup v2: $passed passed, $failed failed"
sync
poweroff -f
