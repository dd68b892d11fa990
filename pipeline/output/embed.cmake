# Writes OUT, a C++ source that defines fenceline::embedded_file() over FILES (list of paths; '|' separates them).
# cmake -DOUT=embedded_files.cpp "-DFILES=a.css|b.js" -P embed.cmake
string(REPLACE "|" ";" FILES "${FILES}")
set(arrays "")
set(table "")
set(count 0)
foreach(file IN LISTS FILES)
  file(READ "${file}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  get_filename_component(name "${file}" NAME)
  string(APPEND arrays "constexpr unsigned char kFile${count}[] = {\n${bytes}0};\n")
  string(APPEND table "    if (name == \"${name}\") return {reinterpret_cast<const char*>(kFile${count}), ${size}};\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE "${OUT}.new" "#include \"output/embedded.h\"

#include <stdexcept>
#include <string>

namespace fenceline {
namespace {
${arrays}}  // namespace

std::string_view embedded_file(std::string_view name) {
${table}    throw std::logic_error(\"not built in: \" + std::string(name));
}

}  // namespace fenceline
")
file(RENAME "${OUT}.new" "${OUT}")
