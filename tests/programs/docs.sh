#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The documentation says what the code says: every public function has a manual page, every key of
# URGEDEBUG, Kconfig symbol and reason of preempt/reason.h is documented, what is named exists
# (files, links, goals, tests), the manual pages are well-formed, and README's program builds and
# runs.
#
# shellcheck disable=SC2016 # the backquotes are Markdown's
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(realpath "${URGE_BUILD:-build}")
texts=(README.md CONTRIBUTING.md docs/*.md)
folders='kernelshim|sched|preempt|numa|tests|bench|docs|examples|\.ci'
failed=0

complain() { # words
	echo "$*"
	failed=1
}

# "$1: WORD" for each word of stdin that is not among the lines of the file $2
missing() {
	local word
	while read -r word; do
		grep -qxF -e "$word" "$2" || complain "$1: $word"
	done
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# ---- functions -----------------------------------------------------------------------------------

grep -oP '^(URGE_NORETURN )?URGE_API .*?\burge_\w+(?=\()' sched/urge.h | grep -o 'urge_[a-z_]*$' |
	sort -u >"$scratch/api"
sed -n 's/^\.Nm \(urge_[a-z_]*\).*/\1/p' docs/man/*.3 | sort -u >"$scratch/named"
sed -n 's/^\.F[no] \(urge_[a-z_]*\).*/\1/p' docs/man/*.3 | sort -u >"$scratch/declared"
missing 'no page in docs/man names the function' "$scratch/named" <"$scratch/api"
missing 'no synopsis in docs/man has the function' "$scratch/declared" <"$scratch/api"
missing 'docs/man names what urge.h does not declare' "$scratch/api" <"$scratch/named"
[[ -s $scratch/api ]] || complain 'sched/urge.h: no URGE_API found'

# ---- keys, symbols, reasons ----------------------------------------------------------------------

while read -r key; do
	grep -q "^| \`$key=" README.md || complain "README.md lacks the URGEDEBUG key: $key"
	grep -q "^\.It Cm $key\b" docs/man/urge.7 || complain "urge.7 lacks the URGEDEBUG key: $key"
	grep -q "\b$key=" sched/urge.h || complain "urge.h lacks the URGEDEBUG key: $key"
done < <(grep -oP '^\tX\(\K\w+' sched/env.h)

while read -r metric; do
	grep -qxF ".It Pa $metric" docs/man/urge_metrics_read.3 ||
		complain "urge_metrics_read.3 lacks the metric: $metric"
done < <(grep -oP '^\tX\("\K[^"]+' sched/metrics.h)

sed -n 's/^\(config\|choice\) \([A-Z_]*\)$/\2/p' Kconfig | sort -u >"$scratch/symbols"
sed -n '/^## Configuration/,/^## /p' README.md | grep '^|' | grep -oP '`\K[A-Z_]+(?=`)' | sort -u \
	>"$scratch/documented"
missing 'README.md lacks the Kconfig symbol' "$scratch/documented" <"$scratch/symbols"
missing 'Kconfig lacks a symbol of README.md' "$scratch/symbols" <"$scratch/documented"

# X(NAME, "words"), in order, against | 0 | `NAME` | words |
sed -n 's/^\tX(\(LEFT_[A-Z_]*\), "\(.*\)").*/\1` | \2 |/p' preempt/reason.h |
	awk '{ print "| " NR - 1 " | `" $0 }' >"$scratch/reasons"
grep '^| [0-9]* | `LEFT_' docs/preemption.md | diff - "$scratch/reasons" ||
	complain 'docs/preemption.md: the table of reasons is not that of preempt/reason.h'

# ---- what is named exists ------------------------------------------------------------------------

# Links to files; [text](file#anchor) and [text](#anchor) are looked up among the headings.
for text in "${texts[@]}"; do
	while read -r link; do
		file=${link%%#*} anchor=${link#*#}
		[[ $link == *:* ]] && continue
		target=${file:+$(dirname "$text")/$file}
		if [[ ! -e ${target:=$text} ]]; then
			complain "$text: no such file: $link"
		elif [[ $link == *#* ]]; then
			sed -n 's/^##* //p' "$target" | tr '[:upper:] ' '[:lower:]-' | tr -cd '[:alnum:]\n-' |
				grep -qxF -e "$anchor" || complain "$text: no such heading: $link"
		fi
	done < <(grep -oP '\]\(\K[^) ]+' "$text")
	while read -r path; do
		compgen -G "$path" >/dev/null || complain "$text: no such file: $path"
	done < <(grep -oP "\`\K($folders)/[\w./*-]*(?=\`)" "$text")
done
while read -r test; do
	grep -qrE "^TEST(_[FP])?\(${test%.*}, ${test#*.}\)" tests || complain "no such test: $test"
done < <(cat README.md docs/*.md | grep -oP '`\K[A-Z]\w+\.[A-Z]\w+(?=`)')

# The goals of `make help`, and those that are named in the texts.
sed -n 's/^\([a-z0-9 -]*\):\([^=].*\)\?$/\1/p' Makefile | tr ' ' '\n' >"$scratch/goals"
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL "${MAKE:-make}" help >"$scratch/help" ||
	complain 'make help failed'
sed -n '/^Goals/,/^Variables/s/^  \([a-z0-9]\+\) .*/\1/p' "$scratch/help" >"$scratch/helped"
[[ -s $scratch/helped ]] || complain 'make help names no goal'
missing '`make help` names a goal that the Makefile lacks' "$scratch/goals" <"$scratch/helped"
missing 'the texts name a goal that the Makefile lacks' "$scratch/goals" \
	< <(cat "${texts[@]}" | grep -oP '(`|^ {4})make \K[a-z0-9-]+' | sort -u)

# The options that the programs print are those of their pages.
options() { # program, experiments
	local program=$1 page=docs/man/$1.1 experiment
	for experiment in "${@:2}"; do
		"$build/$program" ${experiment:+"$experiment"} --help | grep -oP '^  --\K\w+'
	done | sort -u >"$scratch/options"
	sed -n 's/^\.It Fl -\([a-z]*\).*/\1/p' "$page" | sort -u | diff - "$scratch/options" ||
		complain "$page: other options than $program --help"
}
options urge-bench ''
mapfile -t experiments < <("$build/urge-lab" --help | grep -oP '^  \K[a-z]+')
options urge-lab "${experiments[@]}"

# ---- manual pages --------------------------------------------------------------------------------

for page in docs/man/*; do
	mandoc -T lint -W warning "$page" || complain "$page: see above"
done

# ---- the program of README.md --------------------------------------------------------------------

# block LANGUAGE: the first block of README.md in that language
block() {
	awk -v fence="\`\`\`$1" '/^```/ { if (on) exit; on = $0 == fence; next } on' README.md
}

block c >"$scratch/prog.c"
mapfile -t lines < <(block sh | grep -v pkg-config)
((${#lines[@]} == 2)) || complain 'README.md: expected a line for the archive and one for the .so'
ln -s "$build" "$scratch/build"
# shellcheck disable=SC2317 # called by the lines
cc() {
	"${CC:-gcc}" "$@"
}
for line in "${lines[@]}"; do
	said=$(cd "$scratch" && eval "$line" && timeout 60 ./prog) ||
		complain "README.md: its program failed: $line"
	[[ $said == $'tick 0\ntick 1\ntick 2' ]] || complain "README.md: its program said: $said"
done

exit $failed
