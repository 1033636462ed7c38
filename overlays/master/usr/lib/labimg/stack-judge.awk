# stack-judge.awk input=1 LIST input=2 GIVEN_UP input=3 FILES input=4 ANSWER: what each component of the stack is at.
#
# LIST is /usr/share/labimg/stack. GIVEN_UP has the names that no phase waits for any more. FILES has a line for each file of a
# component that is there: name, `held` or `-` (whether a .skip lies beside it), SHA-256. ANSWER is what stack-facts.gotemplate
# made of the API's. Columns are separated by tabs, here and in what is printed:
#   component PHASE NAME STATE HOST TITLE REASON     STATE: waiting, starting, ready, failing
#   gate PHASE go|wait NAMES                         the lowest phase that is held, and the components that it waits for
#   secrets CHECKSUM                                 of labimg-secrets.yaml as it was applied
#   count READY ALL PHASES
BEGIN {
    FS = OFS = "\t"
    # Why a container does not start, where that passes only when something changes. All else is on its way.
    split("CrashLoopBackOff ImagePullBackOff ErrImagePull ErrImageNeverPull InvalidImageName CreateContainerConfigError" \
        " CreateContainerError RunContainerError", words, " ")
    for (i in words) bad[words[i]] = 1
    # Of these the API's message says nothing more, or at great length.
    said["CrashLoopBackOff"] = said["ImagePullBackOff"] = said["ErrImagePull"] = 1
}

# A text as Go's %q writes it, on one short line of ASCII.
function plain(text) {
    if (text ~ /^".*"$/) text = substr(text, 2, length(text) - 2)
    gsub(/\\[nrt]/, " ", text)
    gsub(/\\"/, "\"", text)
    gsub(/\\\\/, "\\", text)
    gsub(/[^ -~]/, "?", text)
    return length(text) > 140 ? substr(text, 1, 137) "..." : text
}

# Whether a pod belongs to a workload or job: by its owner's name, which for a Deployment is that of a ReplicaSet.
function is_of(pod, namespace, name,    rest) {
    if (pod_namespace[pod] != namespace) return 0
    if (pod_owner[pod] == name) return 1
    rest = pod_owner[pod]
    return index(rest, name "-") == 1 && substr(rest, length(name) + 2) !~ /-/
}

# The trouble of a workload's or job's pods; nothing when there is none.
function trouble_of(namespace, name,    pod) {
    for (pod = 1; pod <= pods; pod++)
        if (pod_trouble[pod] != "" && is_of(pod, namespace, name)) return "pod " pod_name[pod] ": " pod_trouble[pod]
    return ""
}

# The component of a workload: by who made it, else every one whose namespace it is in, if an operator made it.
function belongs(workload, component,    release, addon) {
    release = work_release[workload]
    addon = work_addon[workload]
    if (release != "") return release == charts[component] && kinds[component] == "chart"
    if (addon != "") return (names[component] SUBSEP addon) in addon_of
    return work_owners[workload] != "" && work_namespace[workload] == namespaces[component]
}

# Sets `state` and `reason` of a component none of whose files is held.
function judge(c,    parts, count, i, file, job, w, trouble) {
    state = "starting"
    count = split(files[c], parts, ",")
    for (i = 1; i <= count; i++) {
        file = parts[i]
        if (!(file in there)) continue
        if (checksum[file] != there[file]) {
            reason = "k3s has not applied " file " yet"
            return
        }
    }
    if (kinds[c] == "chart") {
        job = job_of[charts[c]]
        if (chart_trouble[charts[c]] != "") {
            state = "failing"
            reason = "its chart: " chart_trouble[charts[c]]
            return
        }
        if (job == "") {
            reason = "k3s has not begun to install its chart"
            return
        }
        if (!(succeeded[job] > 0)) {
            reason = "its chart is being installed"
            trouble = trouble_of("kube-system", job)
            if (trouble != "") {
                state = "failing"
                reason = trouble
            }
            return
        }
    }
    reason = ""
    for (w = 1; w <= works; w++) {
        if (work_ready[w] || !belongs(w, c)) continue
        trouble = trouble_of(work_namespace[w], work_name[w])
        if (trouble != "") {
            state = "failing"
            reason = trouble
            return
        }
        if (reason == "") reason = work_state[w]
    }
    if (reason == "") state = "ready"
}

input == 1 && NF >= 7 && $1 ~ /^[0-9]+$/ {
    components++
    phases[components] = $1 + 0
    if ($1 + 0 > last_phase) last_phase = $1 + 0
    names[components] = $2
    namespaces[components] = $3
    hosts[components] = $5
    kinds[components] = $6
    titles[components] = $7
    # Of some the chart has another name in the cluster.
    charts[components] = $8 == "" ? $2 : $8
    count = split($4, parts, ",")
    files[components] = ""
    for (i = 1; i <= count; i++) {
        file = parts[i]
        sub(/\.yaml$/, "", file)
        files[components] = files[components] (i > 1 ? "," : "") file ".yaml"
        # k3s names an AddOn by what comes before the first dot.
        sub(/\..*/, "", file)
        addon_of[$2, file] = 1
    }
}

input == 2 { given_up[$1] = 1 }

input == 3 {
    there[$1] = $3
    if ($2 == "held") held[$1] = 1
}

input == 4 && $1 == "Addon" && $2 == "kube-system" {
    checksum[$3 ".yaml"] = $4
    if ($3 == "labimg-secrets" && $4 != "") print "secrets", $4
}
input == 4 && $1 == "HelmChart" && $2 == "kube-system" {
    job_of[$3] = $4
    if ($5 != "") chart_trouble[$3] = plain($5)
}
input == 4 && $1 == "Job" && $2 == "kube-system" { succeeded[$3] = $4 + 0 }
input == 4 && $1 == "Pod" {
    pods++
    pod_namespace[pods] = $2
    pod_name[pods] = $3
    pod_owner[pods] = $4
    if ($6 != "") pod_trouble[pods] = plain($6)
    for (i = 7; i <= NF; i += 2)
        if (pod_trouble[pods] == "" && $i in bad)
            pod_trouble[pods] = $i (($i in said) || $(i + 1) == "" ? "" : ", " plain($(i + 1)))
}
input == 4 && ($1 == "Deployment" || $1 == "StatefulSet" || $1 == "DaemonSet") && NF >= 11 {
    works++
    work_namespace[works] = $2
    work_name[works] = $3
    work_owners[works] = $4
    work_release[works] = $5
    work_addon[works] = $6
    work_ready[works] = $8 + 0 >= $7 + 0 && $10 + 0 >= $9 + 0 && $11 + 0 >= $9 + 0
    work_state[works] = tolower($1) " " $3 ": " ($12 != "" ? plain($12) : $11 + 0 " of " $9 + 0 " ready")
}

END {
    for (c = 1; c <= components; c++) {
        count = split(files[c], parts, ",")
        present = holding = 0
        for (i = 1; i <= count; i++) {
            if (parts[i] in there) present++
            if (parts[i] in held) holding++
        }
        # Somebody took it out of the folder: it is no part of the stack any more.
        if (!present) continue
        all++
        is_there[c] = 1
        if (holding) {
            is_held[c] = 1
            if (!gate || phases[c] < gate) gate = phases[c]
            states[c] = "waiting"
        } else {
            judge(c)
            states[c] = state
            reasons[c] = reason
            if (state == "ready") ready++
        }
        if (present > holding) begun[phases[c]] = 1
        if (holding) holds[phases[c]] = 1
    }
    # What was begun before a power cut is finished; else all that comes before must be ready, or be waited for no longer.
    for (c = 1; gate && c <= components; c++)
        if (is_there[c] && phases[c] < gate && states[c] != "ready" && !(names[c] in given_up)) {
            waits = waits (waits == "" ? "" : " ") names[c]
            why = why (why == "" ? "" : ", ") names[c]
        }
    for (c = 1; c <= components; c++) {
        if (!is_there[c]) continue
        if (is_held[c]) reasons[c] = why == "" ? "its turn comes now" : "waits for " plain(why)
        print "component", phases[c], names[c], states[c], hosts[c], titles[c], reasons[c]
    }
    if (gate) print "gate", gate, (begun[gate] || waits == "" ? "go" : "wait"), waits
    print "count", ready + 0, all + 0, last_phase + 0
}
