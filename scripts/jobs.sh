# Runs jobs in parallel and records how long each took. Sourced by scripts/test.
# shellcheck shell=bash
#
#   job NAME SLOTS COMMAND…     one more job; it begins once so many of the $slots are free
#   fill NAME COMMAND…          one that needs no slot and uses the time that others leave: it runs at a low priority, one of
#                               them at a time, and $slots of them once no other job is left
#   after NAME OTHER            … and OTHER has succeeded
#   run_jobs                    runs all that were declared, in their order, as far as there are slots
#
# A job's output is in $logs/NAME.log and is shown when it fails. $times gets a line for each job and for each test that
# took longer than a second: seconds, CPU seconds, `step` or `test`, name, result; columns are separated by tabs.

: "${logs:?a folder}" "${times:?a file}" "${slots:?a number}"
jobs=() failed=() left_out=()
declare -A job_slots job_command job_after job_state job_pid
begun=$SECONDS

# As `m:ss`.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
say() { printf '%7s  %s\n' "$(clock $((SECONDS - begun)))" "$*"; }

job() {
    local name=$1
    # The second one would replace the first, which would never run.
    [ -z "${job_state[$name]-}" ] || { echo "two steps are called $name" >&2; exit 2; }
    jobs+=("$name")
    job_slots[$name]=$2
    job_command[$name]=$(printf '%q ' "${@:3}")
    job_state[$name]=waits
}

fill() {
    job "$1" 0 "${@:2}"
}

after() { job_after[$1]=$2; }

# A file name for a job: names of tests have colons.
log_of() { printf '%s/%s.log' "$logs" "${1//:/-}"; }

start_job() {
    local name=$1 log
    log=$(log_of "$name")
    say "begins  $name"
    (
        trap - EXIT
        [ "${job_slots[$name]}" != 0 ] || renice -n 3 -p $BASHPID >/dev/null
        TIMEFORMAT='%R %U %S'
        set +e
        # In braces: with only a subshell, the time would be written to the subshell's own output.
        { time { (
            set -e
            eval "${job_command[$name]}"
        ) </dev/null >"$log" 2>&1; }; status=$?; } 2>"$log.time"
        exit "$status"
    ) &
    job_pid[$name]=$!
    job_state[$name]=runs
}

# Records how a job ended.
end_job() {
    local name=$1 status=$2 log real user system
    log=$(log_of "$name")
    read -r real user system < <(tail -n 1 "$log.time") || true
    rm -f "$log.time"
    local word=ok
    if [ "$status" = 0 ]; then job_state[$name]=ok; else
        job_state[$name]=failed
        failed+=("$name")
        word=FAILED
    fi
    note_time "${real:-0}" "$(awk "BEGIN { print ${user:-0} + ${system:-0} }")" step "$name" "$word"
    # Lines of a test program run with --report-time: `test NAME ... ok <1.234s>`.
    sed -nE 's/^test ([^ ]+)( - should panic)? \.\.\. ([a-zA-Z]+) <([0-9.]+)s>$/\4\t\1\t\3/p' "$log" |
        while IFS=$'\t' read -r seconds test result; do
            [[ $seconds != 0.* || $result != ok ]] || continue
            note_time "$seconds" - test "$name:$test" "$result"
        done
    say "$(printf '%-7s %s: %.0f s' "$word" "$name" "${real:-0}")"
    if [ $word = FAILED ]; then
        printf -- '--- the end of %s:\n' "${log#"$PWD"/}"
        tail -n 80 "$log"
        printf -- '--- %s failed; this repeats it alone: %s\n' "$name" "$(repeat "$name")"
    fi
}

note_time() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$times"; }

# The command that repeats a job; for a test program only the failed tests.
repeat() {
    local names
    mapfile -t names < <(sed -nE 's/^test ([^ ]+)( - should panic)? \.\.\. FAILED.*/\1/p' "$(log_of "$1")")
    printf 'scripts/test'
    case $1 in
        boot:*) printf ' --only %s' "$1" ;;
        *) [ ${#names[@]} -gt 0 ] && printf ' --only %s' "${names[@]/#/$1:}" || printf ' --only %s' "$1" ;;
    esac
}

# The number of slots in use.
slots_taken() {
    local name sum=0
    for name in "${jobs[@]}"; do
        [ "${job_state[$name]}" != runs ] || sum=$((sum + job_slots[$name]))
    done
    echo $sum
}

# The number of jobs without a slot that may still be started now.
room_to_fill() {
    local name room=$slots running=0
    for name in "${jobs[@]}"; do
        case ${job_slots[$name]}:${job_state[$name]} in
            0:runs) running=$((running + 1)) ;;
            0:*) ;;
            *:waits | *:runs) room=1 ;;
        esac
    done
    echo $((room - running))
}

run_jobs() {
    local name free room other pid status
    while :; do
        free=$((slots - $(slots_taken)))
        room=$(room_to_fill)
        for name in "${jobs[@]}"; do
            [ "${job_state[$name]}" = waits ] || continue
            other=${job_after[$name]-}
            case ${job_state[${other:-none}]-ok} in
                ok) ;;
                failed | never)
                    job_state[$name]=never
                    left_out+=("$name: $other failed")
                    continue
                    ;;
                *) continue ;;
            esac
            if [ "${job_slots[$name]}" = 0 ]; then
                [ "$room" -gt 0 ] || continue
                start_job "$name"
                room=$((room - 1))
                continue
            fi
            # A job that needs more slots than there are gets all of them.
            if [ "${job_slots[$name]}" -le $free ] || [ $free = "$slots" ]; then
                start_job "$name"
                free=$((free - job_slots[$name]))
            fi
        done
        local running=()
        for name in "${jobs[@]}"; do
            [ "${job_state[$name]}" != runs ] || running+=("${job_pid[$name]}")
        done
        [ ${#running[@]} -gt 0 ] || break
        status=0
        wait -n -p pid "${running[@]}" || status=$?
        for name in "${jobs[@]}"; do
            [ "${job_state[$name]}:${job_pid[$name]-}" != "runs:$pid" ] || end_job "$name" $status
        done
    done
}

# Ends all running jobs: each job is its own process group.
stop_jobs() {
    local name
    for name in "${jobs[@]}"; do
        [ "${job_state[$name]}" != runs ] || kill -TERM -- "-${job_pid[$name]}" 2>/dev/null || true
    done
}

# Where the time went, the slowest first: a Markdown table, as in CONTRIBUTING.md.
show_times() { # steps|tests count
    echo "| $1 | wall seconds | processor seconds |"
    echo "|---|---:|---:|"
    awk -F'\t' -v kind="${1%s}" '$3 == kind' "$times" | LC_ALL=C sort -t$'\t' -k1,1gr | head -n "$2" |
        awk -F'\t' '{ printf "| %s%s | %.0f | %s |\n", $4, $5 == "ok" ? "" : " (" $5 ")", $1, $2 == "-" ? "" : sprintf("%.0f", $2) }'
}

# Writes the tables of the last run between the two marker comments of a file.
write_times() { # file
    [ -s "$times" ] || { echo "${times#"$PWD"/} is not there: run scripts/test first" >&2; return 1; }
    local text
    text=$(printf 'On %s processors:\n\n' "$(nproc)"; show_times steps 60; printf '\n'; show_times tests 25)
    text=$text awk '
        /^<!-- end of times -->$/ { inside = 0 }
        !inside
        /^<!-- times, by `scripts\/test --times` -->$/ { inside = 1; print ENVIRON["text"] }
    ' "$1" >"$1.new"
    mv "$1.new" "$1"
}
