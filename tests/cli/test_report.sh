# SPDX-License-Identifier: Apache-2.0
# insitu report: a grid becomes a well-formed SVG with its numbers, results of sim and methods become pages; bad input is
# refused in one line.
. "$(dirname "$0")/common.sh"

out=$work/out.d
mkdir "$out"
cat >"$work/grid.csv" <<'EOF'
bi,bo,accuracy,paper_ratio,file_bytes
1,1,0.7012,0.0601,14008
1,2,0.7912,0.0700,15000
2,2,0.9133,0.0801,16000
EOF
expect 0 "$tool" report --grid "$work/grid.csv" -o "$work/grid.svg" --title 'a <title> & more' --caption 'two epochs'
says "written  *$work/grid.svg"
python3 - "$work/grid.svg" <<'PYTHON' || fail "the picture is not what was asked for"
import sys, xml.dom.minidom
text = open(sys.argv[1], encoding="utf-8").read()
xml.dom.minidom.parseString(text)
for wanted in ("a &lt;title&gt; &amp; more", "two epochs", ">91.33<", ">8.01 %<", "Bi 1, Bo 2: accuracy 79.12 %"):
    assert wanted in text, wanted
assert text.count("<g fill=") == 1 + 3 and "http" not in text.replace("http://www.w3.org/2000/svg", "")
PYTHON
expect 0 "$tool" report --grid "$work/grid.csv" -o "$work/again.svg" --title 'a <title> & more' --caption 'two epochs' --json
[ "$(json schema)" = insitu.report/1 ] || fail "schema"
[ "$(json bytes)" -eq "$(wc -c <"$work/again.svg")" ] || fail "bytes are not those of the file"
cmp -s "$work/grid.svg" "$work/again.svg" || fail "the same grid gave another picture"

# the committed grid is what docs/results.md shows
"$source/scripts/fig5a-table" "$source/models/fig5a/grid.csv" >"$work/table.md"
sed -n '/^<!-- fig5a:/,/^<!-- end of fig5a/p' "$source/docs/results.md" | sed '1d;$d' | cmp -s - "$work/table.md" ||
    fail "docs/results.md shows another grid than models/fig5a/grid.csv (scripts/reproduce-publish)"
expect 0 "$tool" report --grid "$source/models/fig5a/grid.csv" -o "$work/fig5a.svg" \
    --title "$(sed -n 's,.*<title>\(Fig[^<]*\)</title>.*,\1,p' "$source/docs/fig5a-grid.svg")" \
    --caption "$(sed -n 's,.*<text class="s" x="78" y="52">\([^<]*\)</text>.*,\1,p' "$source/docs/fig5a-grid.svg")"
cmp -s "$work/fig5a.svg" "$source/docs/fig5a-grid.svg" || fail "docs/fig5a-grid.svg is not the picture of that grid"

# what sim printed becomes the page that sim itself writes
expect 0 "$tool" sim arch:resnet20 --profile firefly300 --html "$work/sim.html" --json --quiet
cp "$work/out" "$work/sim.json"
expect 0 "$tool" report "$work/sim.json" -o "$work/page.html"
cmp -s "$work/sim.html" "$work/page.html" || fail "another page than that of sim --html"

# what methods printed becomes a page whose pictures are well-formed
expect 0 "$tool" methods "$source/models/fashion-dense.onnx" "$source/models/fashion-2x4.isg" --method uniform:bits=4 \
    --method binary --json --quiet
cp "$work/out" "$work/methods.json"
expect 0 "$tool" report "$work/methods.json" -o "$work/methods.html"
python3 - "$work/methods.html" <<'PYTHON' || fail "the page of methods is not what was asked for"
import re, sys, xml.dom.minidom
text = open(sys.argv[1], encoding="utf-8").read()
for picture in re.findall("<svg.*?</svg>", text, re.S):
    xml.dom.minidom.parseString(picture)
for wanted in ("2 methods in 2 settings, beside 1 compressed file", "No accuracy was measured", "uniform:bits=4", "binary"):
    assert wanted in text, wanted
PYTHON
expect 0 "$tool" methods --list --json
cp "$work/out" "$work/list.json"
refused 4 "$tool" report "$work/list.json" -o "$out/o.html"

for f in "$source"/tests/bad/grid/exit4-*; do
    refused 4 "$tool" report --grid "$f" -o "$out/o.svg"
    grep -q "$(basename "$f"): " "$work/err" || fail "the error does not name $f"
done
refused 4 "$tool" report "$work/grid.csv" -o "$out/o.html"
refused 1 "$tool" report --grid "$work/absent.csv" -o "$out/o.svg"
refused 1 "$tool" report --grid "$work/grid.csv" -o "$out/absent/o.svg"
refused 2 "$tool" report --grid "$work/grid.csv"
refused 2 "$tool" report --grid "$work/grid.csv" "$work/sim.json" -o "$out/o.svg"
refused 2 "$tool" report -o "$out/o.svg"
refused 2 "$tool" report "$work/sim.json" --title x -o "$out/o.html"
refused 2 "$tool" report --grid "$work/grid.csv" -o "$work/grid.csv"
finish
