# Copies one file of kernels for tools/plant, each place of a fault behind a choice at run time (cuda/planted.h beside
# the copies), and prints the places: number, file, line, kind, text, with tabs between. A barrier or a wait can be left
# out, a store dropped: a statement that assigns through an index or a pointer, or a call whose value nobody takes. A
# bound, the right side of a comparison, can be moved by one up and, with the number below zero, down; not that of an
# unrolled loop, which is as long as an array of registers.
# Needs -v file=NAME -v copy=FILE -v last=NUMBER, the last number given.
function blank(text, from, bytes) {
  return substr(text, 1, from - 1) sprintf("%" bytes "s", "") substr(text, from + bytes)
}
function line_at(at,    n) {
  for (n = 1; n < NR && begins[n + 1] <= at; ++n);
  return n
}
function print_place(number, at, kind, mark, bytes,    n, text) {
  n = line_at(at); at -= begins[n] - 1; text = raw[n]
  if (mark) text = substr(text, 1, at + bytes - 1) mark substr(text, at + bytes)
  gsub(/\t/, " ", text); sub(/^ +/, "", text)
  printf "%d\t%s\t%d\t%s\t%s\n", number, file, n, kind, text
}
function plant_statement(kind, at, bytes) {
  print_place(++last, at, kind)
  insert[at] = "(gesso_planted == " last " ? (void)0 : (void)("
  insert[at + bytes] = "))"
}
function plant_bound(at, sign) {
  ++last
  insert[at + length(sign)] = " gesso_bound{" last "} +"
  print_place(last, at, "bound", "[+1]", length(sign))
  print_place(-last, at, "bound", "[-1]", length(sign))
}
# A statement without what its brackets hold: @ for (...), # for [...].
function outline(text) {
  while (gsub(/\([^()]*\)/, "@", text) + gsub(/\[[^][]*\]/, "#", text) + gsub(/<[A-Za-z0-9_:*,. @#]*>/, "", text));
  gsub(/[ \n]+/, " ", text)
  return text
}
function statement(at, text,    shape, target, skipped) {
  if (text ~ /\[&\]/) return
  shape = outline(text)
  skipped = sub(/^return /, "", shape) ? 7 : 0
  if (match(shape, / [-+*\/^|&]?= /)) {
    target = substr(shape, 1, RSTART - 1)
    if (!skipped && target !~ / / && (target ~ /^\*/ || target ~ /#/)) plant_statement("store", at, length(text))
    return
  }
  if (shape !~ /^[A-Za-z_][A-Za-z0-9_.:]*@$/) return
  sub(/@$/, "", shape)
  # No stores, and what the emulator has nothing to show for: it knows neither registers nor proxies.
  if (shape ~ /^(static_assert|CU_[A-Z_]+|cu::(reg_(de)?alloc|wgmma_fence|fence_[a-z_]+))$/) return
  if (skipped && shape !~ /store/) return
  plant_statement(shape ~ /__sync|mbar|wait|commit/ ? "barrier" : "store", at + skipped, length(text) - skipped)
}
{
  raw[NR] = $0; begins[NR] = length(code) + 1; line = $0
  if (line ~ /^#/) line = blank(line, 1, length(line))
  if (match(line, /\/\/.*/)) line = blank(line, RSTART, RLENGTH)
  while (match(line, /"[^"]*"/)) line = blank(line, RSTART, RLENGTH)
  code = code line "\n"; source = source $0 "\n"
}
END {
  level = 0; inside[0] = "block"; runs[0] = ""  # runs: nothing outside of functions, else where
  for (i = 1; i <= length(code); ++i) {
    c = substr(code, i, 1)
    if (c == " " || c == "\n") continue
    if (inside[level] == "block" && !first[level] && c !~ /[;{}]/) {
      if (match(substr(code, i, 10), /^(else|CU_UNROLL)[^A-Za-z0-9_]/)) {
        if (c == "C") unrolled = level + 1
        i += RLENGTH - 2; last_char = "e"
        continue
      }
      first[level] = i
    }
    text = first[level] ? substr(code, first[level], i - first[level]) : ""
    if (c ~ /[<>]/ && match(substr(code, i - 1, 4), /^ [<>]=?[ \n]/)) {
      sign = substr(code, i, RLENGTH - 2)
      for (outer = level; inside[outer] == "list"; --outer);
      head = substr(code, first[outer], i - first[outer])
      if ((runs[level] == "device" || head ~ /__device__/) && !unrolled &&
          head !~ /^(if constexpr|static_assert|constexpr)/ &&
          substr(code, i + length(sign), 10) !~ /^ -?INFINITY/) plant_bound(i, sign)
      i += length(sign) - 1
    }
    if (c == "(" || c == "[") { inside[++level] = "list"; runs[level] = runs[level - 1]; first[level] = 0 }
    else if (c == ")" || c == "]") {
      if (--level < 0) exit 1
      if (unrolled == level + 1) unrolled = 0
      text = first[level] ? substr(code, first[level], i - first[level]) : ""
      if (c == ")" && inside[level] == "block" && text ~ /^(if|for|while|switch)( constexpr)? *\(/) first[level] = 0
    } else if (c == "{") {
      opens = last_char == ")" || (inside[level] == "block" && (text == "" || text ~ /\)[ \n]*(const|mutable)[ \n]*$/ ||
              (text ~ /^(namespace|struct|class|enum|template|public|private)/ && text !~ / = /)))
      runs[level + 1] = runs[level]
      if (opens && !runs[level] && outline(text) !~ /(^| )(namespace|struct|class|enum) /)
        runs[level + 1] = text ~ /__(device|global)__/ ? "device" : "host"
      inside[++level] = opens ? "block" : "list"; first[level] = 0
    } else if (c == "}") {
      if (--level < 0) exit 1
      if (inside[level + 1] == "block" && inside[level] == "block") first[level] = 0
    } else if (c == ";" && inside[level] == "block") {
      if (first[level] && runs[level] == "device") statement(first[level], text)
      first[level] = 0
    }
    last_char = c
  }
  if (level != 0) exit 1
  printf "#include \"cuda/planted.h\"\n#line 1 \"%s\"\n", file > copy
  for (i = 1; i <= length(source); ++i) printf "%s%s", insert[i], substr(source, i, 1) > copy
}
